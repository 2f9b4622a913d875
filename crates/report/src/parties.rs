//! Which parties of an incident are shown where there is no room for all.

use model::{IncidentAsset, Role};

/// At most `most` of the parties, ours first. Nobody's role is hidden by the number of those in another: the first of
/// each role on either side has its place before the second of any.
#[must_use]
pub fn foremost(assets: &[IncidentAsset], most: usize) -> Vec<&IncidentAsset> {
    let ours_first = || {
        let of = |home: bool| assets.iter().filter(move |asset| asset.home == home);
        of(true).chain(of(false))
    };
    let mut seen: Vec<(bool, Role)> = Vec::new();
    let (mut heads, mut others) = (Vec::new(), Vec::new());
    for (place, asset) in ours_first().enumerate() {
        let kind = (asset.home, asset.role);
        if seen.contains(&kind) {
            others.push((place, asset));
        } else {
            seen.push(kind);
            heads.push((place, asset));
        }
    }
    let mut shown: Vec<_> = heads.into_iter().chain(others).take(most).collect();
    shown.sort_by_key(|(place, _)| *place);
    shown.into_iter().map(|(_, asset)| asset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Proof;

    #[test]
    fn the_only_one_of_a_role_is_never_hidden() {
        let asset = |number: u8, role: Role, home: bool| IncidentAsset {
            address: [10, 0, 0, number].into(),
            mac: None,
            role,
            proof: Proof::None,
            home,
        };
        let mut assets: Vec<_> = (0..40).map(|number| asset(number, Role::Attacker, false)).collect();
        assets.push(asset(90, Role::Controller, false));
        assets.extend((50..60).map(|number| asset(number, Role::Victim, true)));
        assets.push(asset(99, Role::Target, true));
        let check = |most: usize, expected: &[u8]| {
            let shown = foremost(&assets, most).into_iter().map(|asset| match asset.address {
                std::net::IpAddr::V4(v4) => v4.octets()[3],
                std::net::IpAddr::V6(_) => 0,
            });
            assert_eq!(shown.collect::<Vec<_>>(), expected, "{most}");
        };
        check(0, &[]);
        check(4, &[50, 99, 0, 90]);
        check(6, &[50, 51, 52, 99, 0, 90]);
        assert_eq!(foremost(&assets, 100).len(), assets.len());
    }
}
