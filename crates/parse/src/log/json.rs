//! Field access on JSON objects where any field may be absent or of another type.

use super::LineError;
use serde_json::Value;
use std::net::IpAddr;

/// One line as an object.
pub(super) fn object(line: &[u8]) -> Result<Value, LineError> {
    match serde_json::from_slice(line) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(LineError::Json),
    }
}

/// The value at a path of keys.
pub(super) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

pub(super) fn text<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    at(value, path)?.as_str()
}

pub(super) fn owned(value: &Value, path: &[&str]) -> Option<String> {
    text(value, path).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A whole number, also where it is written as text.
pub(super) fn number(value: &Value, path: &[&str]) -> Option<u64> {
    match at(value, path)? {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().filter(|float| *float >= 0.0).map(|float| float as u64)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

pub(super) fn port(value: &Value, path: &[&str]) -> Option<u16> {
    number(value, path).and_then(|number| u16::try_from(number).ok())
}

pub(super) fn address(value: &Value, path: &[&str]) -> Option<IpAddr> {
    text(value, path)?.parse().ok()
}

pub(super) fn flag(value: &Value, path: &[&str]) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The texts of an array, or the one text that stands for it; at most `most`.
pub(super) fn texts(value: &Value, path: &[&str], most: usize) -> Vec<String> {
    match at(value, path) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).take(most).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}
