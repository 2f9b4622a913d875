//! The document and `docs/analysis.schema.json` say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use report::{Document, Input, Skipped};
use serde_json::{Map, Value, json};

mod sample;

/// Checks a value against the part of JSON Schema 2020-12 that the schema uses; a keyword that this does not know is a
/// fault of the schema, so that nothing in it goes unchecked.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => {}
            "$ref" => {
                let target = rule.as_str().unwrap().strip_prefix('#').unwrap();
                found.extend(faults(root, root.pointer(target).unwrap(), value, at));
            }
            "type" => {
                let names: Vec<&str> = match rule {
                    Value::String(name) => vec![name],
                    Value::Array(names) => names.iter().map(|name| name.as_str().unwrap()).collect(),
                    _ => panic!("type at {at}"),
                };
                if !names.iter().any(|name| is(name, value)) {
                    found.push(format!("{at}: expected {names:?}, found {value}"));
                }
            }
            "enum" => {
                if !rule.as_array().unwrap().contains(value) {
                    found.push(format!("{at}: {value} is none of {rule}"));
                }
            }
            "required" => {
                for key in rule.as_array().unwrap() {
                    if value.get(key.as_str().unwrap()).is_none() {
                        found.push(format!("{at}: {key} is missing"));
                    }
                }
            }
            "properties" | "additionalProperties" => {}
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(root, rule, item, &format!("{at}/{index}")));
                }
            }
            "minimum" | "maximum" => {
                if let Some(number) = value.as_f64() {
                    let bound = rule.as_f64().unwrap();
                    if (keyword == "minimum" && number < bound) || (keyword == "maximum" && number > bound) {
                        found.push(format!("{at}: {number} is beyond {keyword} {bound}"));
                    }
                }
            }
            "minLength" => {
                if value.as_str().is_some_and(|text| (text.chars().count() as u64) < rule.as_u64().unwrap()) {
                    found.push(format!("{at}: too short"));
                }
            }
            "pattern" => {
                if let Some(text) = value.as_str()
                    && !matches_pattern(rule.as_str().unwrap(), text)
                {
                    found.push(format!("{at}: {text:?} does not match {rule}"));
                }
            }
            "format" => {
                if let Some(text) = value.as_str() {
                    assert_eq!(rule, "date-time");
                    if model::Timestamp::parse(text).is_err() {
                        found.push(format!("{at}: {text:?} is no moment"));
                    }
                }
            }
            other => panic!("the schema uses {other}, which this test does not check"),
        }
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        assert_eq!(schema.get("additionalProperties"), Some(&json!(false)), "{at} is not strict");
        let empty = Map::new();
        for (key, inner) in value.as_object().unwrap_or(&empty) {
            match properties.get(key) {
                Some(rule) => found.extend(faults(root, rule, inner, &format!("{at}/{key}"))),
                None => found.push(format!("{at}: {key} is not in the schema")),
            }
        }
    }
    found
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("unknown type {other}"),
    }
}

/// The patterns of the schema, each with the check that it stands for.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match pattern {
        "^inc-[0-9a-f]{16}$" => text.parse::<model::IncidentId>().is_ok(),
        "^([0-9a-f]{2}:){5}[0-9a-f]{2}$" => {
            text.parse::<model::Mac>().is_ok_and(|mac| mac.to_string() == text)
        }
        "^T[0-9]{4}(\\.[0-9]{3})?$" => shape == "T0000" || shape == "T0000.000",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$" => {
            shape == "0000-00-00T00:00:00.000000Z"
        }
        other => panic!("no check for the pattern {other}"),
    }
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/analysis.schema.json")).unwrap()
}

fn check(document: &Document) -> Vec<String> {
    let value = serde_json::to_value(document).unwrap();
    let back: Document = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(&back, document, "reads back what it wrote");
    let schema = schema();
    faults(&schema, &schema, &value, "")
}

#[test]
fn documents_are_as_the_schema_says() {
    assert_eq!(check(&Document::default()), Vec::<String>::new());
    assert_eq!(check(&sample::city()), Vec::<String>::new());
    assert_eq!(check(&sample::hostile()), Vec::<String>::new());
}

#[test]
fn every_field_of_the_issue_is_there() {
    let value = serde_json::to_value(sample::city()).unwrap();
    let keys = |pointer: &str| -> Vec<String> {
        let mut keys: Vec<_> = value.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(""), ["devices", "incidents", "inputs", "totals"]);
    assert_eq!(
        keys("/inputs/0"),
        ["bytes", "error", "first", "format", "last", "path", "records", "skipped"]
    );
    assert_eq!(keys("/inputs/0/skipped/0"), ["count", "reason"]);
    assert_eq!(keys("/totals"), ["events", "findings", "flows", "incidents", "packets", "seconds"]);
    for key in [
        "id",
        "title",
        "severity",
        "confidence",
        "stages",
        "techniques",
        "first",
        "last",
        "assets",
        "assets_omitted",
        "findings",
        "flows",
        "summary",
        "evidence",
        "advice",
    ] {
        assert!(value.pointer(&format!("/incidents/0/{key}")).is_some(), "{key}");
    }
    for key in ["address", "mac", "role"] {
        assert!(value.pointer(&format!("/incidents/0/assets/0/{key}")).is_some(), "{key}");
    }
    for key in ["at", "detector", "why", "value", "threshold", "file", "record"] {
        assert!(value.pointer(&format!("/incidents/0/evidence/0/{key}")).is_some(), "{key}");
    }
}

#[test]
fn the_check_itself_can_fail() {
    let schema = schema();
    let good = serde_json::to_value(sample::city()).unwrap();
    let spoil = |pointer: &str, value: Value| {
        let mut spoiled = good.clone();
        *spoiled.pointer_mut(pointer).unwrap() = value;
        faults(&schema, &schema, &spoiled, "")
    };
    for (pointer, value) in [
        ("/totals/seconds", json!(-1)),
        ("/incidents/0/severity", json!("grave")),
        ("/incidents/0/confidence", json!(101)),
        ("/incidents/0/first", json!("2026-01-01 00:00:00")),
        ("/incidents/0/id", json!("1")),
        ("/incidents/0/assets/0", json!({"address": "10.0.0.1"})),
        ("/inputs/0/format", json!("")),
        ("/inputs/0", json!({"path": "x", "more": 1})),
    ] {
        assert!(!spoil(pointer, value).is_empty(), "{pointer}");
    }
}

#[test]
fn figures_about_the_whole_come_from_the_parts() {
    let at = model::Timestamp::from_secs;
    let document = Document {
        inputs: vec![
            Input { first: Some(at(50)), last: Some(at(60)), ..Input::default() },
            Input {
                first: Some(at(10)),
                last: Some(at(20)),
                error: Some("cut off at 7".into()),
                ..Input::default()
            },
            Input { skipped: vec![Skipped { reason: "not IP".into(), count: 3 }], ..Input::default() },
        ],
        ..Document::default()
    };
    assert_eq!(document.span(), Some((at(10), at(60))));
    assert!(document.is_partial());
    assert_eq!(document.worst(), None);
    assert_eq!(sample::city().worst(), Some(model::Severity::Critical));
    let named = |path: &str| Input { path: path.into(), ..Input::default() };
    let document =
        Document { inputs: vec![named("a/x.pcap"), named("b/x.pcap"), named("c/y.pcap")], ..document };
    for (file, expected) in [("c/y.pcap", "y.pcap"), ("a/x.pcap", "a/x.pcap"), ("eth0", "eth0"), ("", "")] {
        assert_eq!(document.short_file(file), expected);
    }
}
