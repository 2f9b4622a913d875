//! The settings in force, as a file that could be used again, but for secrets: those are not shown.

use super::{Loaded, known::KNOWN, masked};
use std::fmt::Write as _;

/// All settings as TOML: above each its meaning, its source, its flag and its variable.
pub(crate) fn print(loaded: &Loaded) -> String {
    let values = toml::Value::try_from(&loaded.settings).unwrap_or(toml::Value::Boolean(false));
    let mut text = String::from(
        "# Settings of `bastide up`, as they are in force.\n# Flags win over variables, variables over this file.\n",
    );
    let mut table = "";
    for known in KNOWN {
        let (of, key) = known.key.split_once('.').unwrap_or(("", known.key));
        if of != table {
            let _ = writeln!(text, "\n[{of}]");
            table = of;
        }
        let _ = write!(text, "\n# {}\n# From: {}.", known.meaning, loaded.source(known.key));
        if let Some(flag) = known.flag {
            let _ = write!(text, " Flag: {flag}.");
        }
        if known.form != super::known::Form::Table {
            let _ = write!(text, " Variable: {}.", known.variable());
        }
        if known.key == "response.kinds" {
            let _ = write!(text, "\n# Kinds: {}.", sensor::kinds().join(", "));
        }
        let _ = match value_at(&values, known.key) {
            // Who sends this page to somebody must not send the secret with it.
            Some(value) if known.key == "notify.webhook" => writeln!(text, "\n# {key} = {}", masked(value)),
            Some(value) => writeln!(text, "\n{key} = {value}"),
            None => writeln!(text, "\n# {key} ="),
        };
    }
    text
}

/// The value of a key; nothing where it is unset.
pub(super) fn value_at<'a>(values: &'a toml::Value, key: &str) -> Option<&'a toml::Value> {
    key.split('.').try_fold(values, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Given, Settings, load};

    #[test]
    fn every_setting_is_known_and_every_known_is_a_setting() {
        // What is unset is left out when written.
        let database = Some("postgres://x/y".parse().unwrap());
        let mut settings = Settings { database, ..Settings::default() };
        settings.notify.webhook = Some("https://x".into());
        settings.notify.webhook_ca = Some("x".into());
        settings.notify.webhook_secret_file = Some("x".into());
        settings.notify.syslog = Some("udp://x".into());
        settings.ledger.witness_ca = Some("x".into());
        settings.certificates.listen = Some("[::]:80".parse().unwrap());
        settings.certificates.keys = Some("pkcs11:token=x?module-path=/x.so".parse().unwrap());
        settings.authority.id = Some(model::AuthorityId::local());
        settings.authority.name = Some("x".into());
        settings.authority.level = Some(model::AuthorityLevel::Regional);
        let mut keys = Vec::new();
        for (name, value) in toml::Table::try_from(&settings).unwrap() {
            match value.as_table() {
                Some(table) => keys.extend(table.keys().map(|key| format!("{name}.{key}"))),
                None => keys.push(name),
            }
        }
        let mut known: Vec<_> = KNOWN.iter().map(|known| known.key.to_owned()).collect();
        keys.sort();
        known.sort();
        assert_eq!(keys, known);
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        let webhook = "https://siem.example/hook/s3cret?key=s3cret";
        let flags = [("notify.syslog", "udp://log.example"), ("notify.webhook", webhook)];
        let flags = flags.map(|(key, value)| (key, vec![value.to_owned()])).to_vec();
        let loaded = load(&Given { file: None, flags }, std::iter::empty()).unwrap();
        let text = print(&loaded);
        let mut again = toml::from_str::<Settings>(&text).unwrap();
        assert_eq!(again.notify.webhook, None, "what may be a secret is not shown");
        assert!(!text.contains("s3cret") && text.contains("# webhook = https://siem.example/…"), "{text}");
        assert!(text.contains("# Kinds: access-point, bulb, camera, "), "{text}");
        again.notify.webhook = Some(webhook.to_owned());
        assert_eq!(again, loaded.settings);
        assert!(
            text.contains("# From: flag --syslog. Flag: --syslog. Variable: BASTIDE_NOTIFY_SYSLOG."),
            "{text}"
        );
    }
}
