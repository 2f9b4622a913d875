//! Lists of assets, CSV and JSON.
#![no_main]

use identify::{
    Kinds,
    import::{MOST_ERRORS, read},
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::shipped);

fuzz_target!(|bytes: &[u8]| {
    match read(bytes, &KINDS) {
        Ok(rows) => {
            assert!(rows.iter().all(|row| row.name.is_some() || !row.identifiers().is_empty()));
            assert!(rows.windows(2).all(|pair| pair[0].line <= pair[1].line));
        }
        Err(refused) => {
            assert!(!refused.errors.is_empty() && refused.errors.len() <= MOST_ERRORS);
            assert!(!refused.to_string().is_empty());
        }
    }
});
