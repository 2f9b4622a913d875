//! Where a key is: a `pkcs11:` URI (RFC 7512).

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The longest URI, in bytes.
const MOST_BYTES: usize = 2_048;
/// The longest label that a token or an object has here, in bytes.
const MOST_LABEL: usize = 255;

/// A token, or an object on it, with the module by which it is reached and the file that holds its PIN.
///
/// `pkcs11:token=T;serial=S;object=O?module-path=/lib/M.so&pin-source=file:/etc/P`: the token by its label, its serial number
/// or both; a PIN itself (`pin-value`) is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) token: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) object: Option<String>,
    pub(crate) module: PathBuf,
    pub(crate) pin: Option<PathBuf>,
}

/// What is wrong with such a URI. Says nothing of what stands in it but the names of its parts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0}: expected pkcs11:token=LABEL?module-path=/path/to/module.so&pin-source=file:/path/to/pin (RFC 7512)"
)]
pub struct PlaceError(String);

impl Place {
    /// A token of a module, by its label.
    #[must_use]
    pub fn of_token(module: &Path, label: &str) -> Self {
        let (token, module) = (Some(label.to_owned()), module.to_owned());
        Self { token, serial: None, object: None, module, pin: None }
    }

    /// The same token, with its PIN in this file.
    #[must_use]
    pub fn with_pin(self, file: &Path) -> Self {
        Self { pin: Some(file.to_owned()), ..self }
    }

    /// The object of that label on this token.
    #[must_use]
    pub fn with_object(&self, label: &str) -> Self {
        Self { object: Some(label.to_owned()), ..self.clone() }
    }

    /// This object by the way to its token that `now` names, where that is the same token: the file with the PIN and the
    /// module may have moved since.
    #[must_use]
    pub fn reached_as(self, now: &Self) -> Self {
        let is_same = self.token == now.token && self.serial == now.serial;
        if is_same { Self { object: self.object, ..now.clone() } } else { self }
    }

    /// The object's label, where it names one.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// The token in words.
    pub(crate) fn token(&self) -> String {
        match (&self.token, &self.serial) {
            (Some(label), None) => format!("{label:?}"),
            (Some(label), Some(serial)) => format!("{label:?} (serial number {serial:?})"),
            (None, serial) => format!("with the serial number {:?}", serial.as_deref().unwrap_or_default()),
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = |reason: &str| PlaceError(reason.to_owned());
        if text.len() > MOST_BYTES {
            return Err(wrong("this is too long for the place of a key"));
        }
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| wrong("this does not begin with pkcs11:"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut token, mut serial, mut object, mut module, mut pin) = (None, None, None, None, None);
        for (name, value) in parts(path, ';').chain(parts(query, '&')) {
            let slot = match name {
                "token" => &mut token,
                "serial" => &mut serial,
                "object" => &mut object,
                "module-path" => &mut module,
                "pin-source" => &mut pin,
                "type" if value == Some("private") => continue,
                "pin-value" => {
                    return Err(wrong(
                        "a PIN (pin-value) does not belong in settings: write it into a file and name that",
                    ));
                }
                other => {
                    let other: String = other.chars().filter(char::is_ascii_graphic).take(40).collect();
                    return Err(PlaceError(format!("the part {other:?} is not understood")));
                }
            };
            let value = value.and_then(decoded).filter(|value| {
                (1..=MOST_LABEL).contains(&value.len()) && !value.chars().any(char::is_control)
            });
            let value = value.ok_or_else(|| PlaceError(format!("{name} has no value that can be used")))?;
            if slot.replace(value).is_some() {
                return Err(PlaceError(format!("{name} is there twice")));
            }
        }
        let absolute = |name: &str, value: String| match value.starts_with('/') {
            true => Ok(PathBuf::from(value)),
            false => Err(PlaceError(format!("{name} is no absolute path of a file"))),
        };
        let module = module.ok_or_else(|| wrong("module-path is missing"))?;
        let pin = pin
            .map(|pin: String| absolute("pin-source", pin.strip_prefix("file:").unwrap_or(&pin).to_owned()));
        if token.is_none() && serial.is_none() {
            return Err(wrong("it names no token"));
        }
        Ok(Self { token, serial, object, module: absolute("module-path", module)?, pin: pin.transpose()? })
    }
}

fn parts(text: &str, separator: char) -> impl Iterator<Item = (&str, Option<&str>)> {
    let parts = text.split(separator).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value))))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit =
                    || char::from(*rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit()? << 4 | digit()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// As a URI, which reads back the same.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = [("token", &self.token), ("serial", &self.serial), ("object", &self.object)];
        let mut before = "pkcs11:";
        for (name, value) in path {
            if let Some(value) = value {
                write!(f, "{before}{name}={}", Encoded(value.as_bytes()))?;
                before = ";";
            }
        }
        use std::os::unix::ffi::OsStrExt as _;
        write!(f, "?module-path={}", Encoded(self.module.as_os_str().as_bytes()))?;
        match &self.pin {
            Some(pin) => write!(f, "&pin-source=file:{}", Encoded(pin.as_os_str().as_bytes())),
            None => Ok(()),
        }
    }
}

struct Encoded<'a>(&'a [u8]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) {
                write!(f, "{}", char::from(*byte))
            } else {
                write!(f, "%{byte:02X}")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_as_it_was_written() {
        let table = [
            "pkcs11:token=city%20CA?module-path=/usr/lib/softhsm/libsofthsm2.so",
            "pkcs11:token=city;object=root%3B%3F?module-path=/m.so&pin-source=file:/etc/pin",
            "pkcs11:serial=0123?module-path=/m.so",
            "pkcs11:token=%C3%BC;serial=1;object=o?module-path=/a%25b.so&pin-source=file:/p%26q",
        ];
        for text in table {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        let other = "pkcs11:object=o;token=t;type=private?pin-source=/p&module-path=/m.so";
        let same = "pkcs11:token=t;object=o?module-path=/m.so&pin-source=file:/p";
        assert_eq!(other.parse::<Place>().unwrap().to_string(), same);
    }

    #[test]
    fn what_is_no_place_is_refused_and_no_pin_is_said_again() {
        let long = format!("pkcs11:token={}?module-path=/m.so", "x".repeat(3_000));
        let table = [
            ("", "does not begin with pkcs11:"),
            ("softhsm", "does not begin with pkcs11:"),
            ("pkcs11:token=t", "module-path is missing"),
            ("pkcs11:?module-path=/m.so", "names no token"),
            ("pkcs11:object=o?module-path=/m.so", "names no token"),
            ("pkcs11:token=t?module-path=m.so", "module-path is no absolute path"),
            ("pkcs11:token=t?module-path=/m.so&pin-source=pin", "pin-source is no absolute path"),
            ("pkcs11:token=t?module-path=/m.so&pin-value=4711", "a PIN (pin-value) does not belong"),
            ("pkcs11:token=t;token=u?module-path=/m.so", "token is there twice"),
            ("pkcs11:token=?module-path=/m.so", "token has no value"),
            ("pkcs11:token=%zz?module-path=/m.so", "token has no value"),
            ("pkcs11:token=%0a?module-path=/m.so", "token has no value"),
            ("pkcs11:token=%ff?module-path=/m.so", "token has no value"),
            ("pkcs11:token=%4?module-path=/m.so", "token has no value"),
            ("pkcs11:token=t;slot-id=1?module-path=/m.so", "\"slot-id\" is not understood"),
            (long.as_str(), "too long"),
        ];
        for (text, expected) in table {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("4711"), "{error}");
        }
    }

    #[test]
    fn a_key_is_reached_as_the_settings_say_where_they_name_its_token() {
        let read = |text: &str| text.parse::<Place>().unwrap();
        let kept = read("pkcs11:token=t;object=o?module-path=/old.so&pin-source=file:/old");
        let now = read("pkcs11:token=t?module-path=/new.so&pin-source=file:/new");
        let reached = read("pkcs11:token=t;object=o?module-path=/new.so&pin-source=file:/new");
        assert_eq!(kept.clone().reached_as(&now), reached);
        assert_eq!(kept.clone().reached_as(&read("pkcs11:token=u?module-path=/new.so")), kept);
    }
}
