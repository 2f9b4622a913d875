//! How large everything may be.

/// The largest report in bytes, as JSON: the largest SBOM fits.
pub const REPORT_BYTES: usize = 4 * 1024 * 1024;
/// The largest answer to a report in bytes, and the largest signed settings.
pub const ANSWER_BYTES: usize = 64 * 1024;
/// The most notices of a batch.
pub const NOTICES: usize = 128;
/// The largest batch of notices in bytes, as JSON.
pub const NOTICES_BYTES: usize = 8 * 1024 * 1024;
/// The most orders of an answer.
pub const ORDERS: usize = 256;
/// The largest answer with orders, in bytes: what is known of every asset fits.
pub const ORDERS_BYTES: usize = 32 * 1024 * 1024;
/// How long a server lets a sensor wait for orders at most, in seconds.
pub const WAIT_SECS: u64 = 20;
/// The most components of an SBOM.
pub const COMPONENTS: usize = 4_096;
/// The most listening ports of a posture.
pub const LISTENING: usize = 1_024;
/// The most weak accounts of a posture.
pub const ACCOUNTS: usize = 64;
/// Network interfaces of a device.
pub const INTERFACES: usize = 32;
/// The most sources that could not be read.
pub const UNREAD: usize = 32;
/// The longest name, version or reason, in bytes.
pub const TEXT: usize = 256;
/// The longest name and version of a component, in bytes.
pub const COMPONENT: usize = 128;
/// The longest package URL, in bytes.
pub const PURL: usize = 384;
/// How often a device may report at most and at least, in seconds.
pub const REPORT_EVERY: std::ops::RangeInclusive<u32> = 60..=86_400;

/// A field that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {found}: expected {expected}")]
pub struct Invalid {
    /// Which, as a path: `posture.listening`.
    pub field: &'static str,
    /// What stands there, cut.
    pub found: String,
    /// What may.
    pub expected: String,
}

impl Invalid {
    pub(crate) fn new(field: &'static str, found: impl ToString, expected: impl Into<String>) -> Self {
        let found: String = found.to_string().chars().take(64).collect();
        Self { field, found, expected: expected.into() }
    }
}

/// A text of 1 to `most` bytes without control characters.
pub(crate) fn text(field: &'static str, text: &str, most: usize) -> Result<(), Invalid> {
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        let found = format!("{} bytes, {text:?}", text.len());
        return Err(Invalid::new(field, found, format!("1 to {most} bytes without control characters")));
    }
    Ok(())
}

/// At most `most` of them.
pub(crate) fn count(field: &'static str, found: usize, most: usize) -> Result<(), Invalid> {
    if found > most {
        return Err(Invalid::new(field, format!("{found} long"), format!("at most {most}")));
    }
    Ok(())
}

/// Sorted, each once: the same facts are the same bytes.
pub(crate) fn sorted<T: Ord>(field: &'static str, all: &[T]) -> Result<(), Invalid> {
    if all.is_sorted_by(|one, next| one < next) {
        return Ok(());
    }
    Err(Invalid::new(field, "out of order", "each once, in ascending order"))
}

/// The version that is spoken here.
pub(crate) fn version(field: &'static str, found: u32) -> Result<(), Invalid> {
    if found == crate::VERSION {
        return Ok(());
    }
    Err(Invalid::new(field, found, format!("{}", crate::VERSION)))
}

/// Small hexadecimal digits, `length` of them.
pub(crate) fn hex(field: &'static str, found: &str, length: usize) -> Result<(), Invalid> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if found.len() == length && found.bytes().all(digit) {
        return Ok(());
    }
    Err(Invalid::new(field, format!("{found:?}"), format!("{length} small hexadecimal digits")))
}
