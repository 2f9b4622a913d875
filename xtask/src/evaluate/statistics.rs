//! The little statistics that the tables need.

/// The 95 % upper bound (one-sided) of a Poisson mean when `count` were seen.
#[must_use]
pub fn poisson_upper(count: u64) -> f64 {
    let at_most = |mean: f64| {
        let mut term = (-mean).exp();
        let mut sum = term;
        for k in 1..=count {
            term *= mean / k as f64;
            sum += term;
        }
        sum
    };
    let (mut low, mut high) = (0.0, count as f64 + 10.0 + 5.0 * (count as f64).sqrt());
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if at_most(middle) > 0.05 { low = middle } else { high = middle }
    }
    high
}

/// The value below which the share `part` lies; `None` of nothing.
#[must_use]
pub fn median(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * part).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_tables() {
        for (count, expected) in [(0, 2.996), (1, 4.744), (5, 10.513), (20, 29.062)] {
            assert!((poisson_upper(count) - expected).abs() < 0.01, "{count}: {}", poisson_upper(count));
        }
        assert_eq!(median(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(median(&[], 0.5), None);
    }
}
