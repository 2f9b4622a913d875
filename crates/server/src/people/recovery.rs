//! Codes for the day on which phone and key are lost: [`CODES`] of them, shown once, each good once.
//!
//! Guarantees: 80 random bits each, kept as hashes.

use crate::secret::{self, NoRandomness};

/// How many are made at a time.
pub(crate) const CODES: usize = 10;
const BYTES: usize = 10;
/// Crockford's letters: none that is taken for another.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Fresh codes, such as `7K3M-9QXD-0TRB-VA2W`.
///
/// # Errors
/// Where the machine has no randomness.
pub(crate) fn fresh() -> Result<Vec<String>, NoRandomness> {
    (0..CODES).map(|_| one()).collect()
}

fn one() -> Result<String, NoRandomness> {
    let bits = secret::random::<BYTES>()?.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let mut code = String::with_capacity(19);
    for place in 0..16_u32 {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        let index = (bits >> (75 - 5 * place)) & 31;
        code.push(LETTERS.get(index as usize).copied().map_or('0', char::from));
    }
    Ok(code)
}

/// What is kept of a code, also of one that was typed: in small letters, without its dashes, O for 0, I or L for 1.
/// Unset where it cannot be a code.
pub(crate) fn kept(typed: &str) -> Option<String> {
    let code: String = typed
        .chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '-')
        .take(17)
        .map(|letter| match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    let whole = code.len() == 16 && code.bytes().all(|byte| LETTERS.contains(&byte));
    whole.then(|| secret::hash(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_code_is_known_again_as_people_type_it() {
        let codes = fresh().unwrap();
        assert_eq!(codes.iter().filter_map(|code| kept(code)).collect::<BTreeSet<_>>().len(), CODES);
        let same = |typed: &str| assert_eq!(kept(typed), kept("7K3M-9QXD-0TRB-1A2W"), "{typed}");
        same("7k3m9qxd0trb1a2w");
        same(" 7K3M 9QXD OTRB LA2W ");
        same("7k3m-9qxd-otrb-ia2w");
        assert_ne!(kept("7K3M-9QXD-0TRB-1A2X"), kept("7K3M-9QXD-0TRB-1A2W"));
        for bad in ["", "7K3M-9QXD-0TRB-1A2", "7K3M-9QXD-0TRB-1A2WW", "7K3M-9QXD-0TRB-1A2U", "äöüß"] {
            assert_eq!(kept(bad), None, "{bad}");
        }
    }
}
