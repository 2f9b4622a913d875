//! Flags over environment over file over defaults.

use super::{
    Loaded, Settings, Source, Wrong, file,
    known::{Form, KNOWN, Known, find},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What the command line said: keys with their values as text, lists with one text each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// The settings file.
    pub(crate) file: Option<PathBuf>,
    /// Keys and values.
    pub(crate) flags: Vec<(&'static str, Vec<String>)>,
}

/// Puts the layers together. `variables` are those of the environment.
pub(crate) fn load(
    given: &Given,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, Wrong> {
    let variables: BTreeMap<_, _> = variables.filter(|(name, _)| name.starts_with("BASTIDE_")).collect();
    let path = given.file.clone().or_else(|| variables.get("BASTIDE_CONFIG").map(PathBuf::from));
    let mut sources = BTreeMap::new();
    let mut table = match &path {
        Some(path) => file::read(path)?,
        None => toml::Table::new(),
    };
    if let Some(path) = &path {
        let said = KNOWN.iter().filter(|known| has(&table, known.key));
        sources.extend(said.map(|known| (known.key, Source::File(path.clone()))));
    }
    for known in KNOWN {
        let name = known.variable();
        if let (Some(text), false) = (variables.get(&name), known.form == Form::Table) {
            let texts = if known.form == Form::Texts { split(text) } else { vec![text.clone()] };
            put(&mut table, known, &texts, &name)?;
            sources.insert(known.key, Source::Environment(name));
        }
    }
    for (key, texts) in &given.flags {
        let Some(known) = find(key) else { continue };
        let flag = known.flag.unwrap_or(known.key);
        put(&mut table, known, texts, flag)?;
        sources.insert(known.key, Source::Flag(flag));
    }
    let settings: Settings = table.try_into().map_err(|error: toml::de::Error| Wrong {
        place: "the settings together".into(),
        key: String::new(),
        problem: error.message().to_owned(),
    })?;
    let loaded = Loaded { settings, sources };
    check(&loaded)?;
    Ok(loaded)
}

/// The variables of the environment that are text.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Where data goes where nobody says.
#[expect(clippy::disallowed_methods, reason = "settings come in here")]
pub(crate) fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/bastide");
    }
    let base =
        std::env::var("XDG_DATA_HOME").ok().filter(|base| Path::new(base).is_absolute()).map(PathBuf::from);
    let home = || std::env::var("HOME").ok().map(|home| Path::new(&home).join(".local/share"));
    base.or_else(home).map_or_else(|| PathBuf::from("bastide-data"), |base| base.join("bastide"))
}

/// What no single value shows.
fn check(loaded: &Loaded) -> Result<(), Wrong> {
    let wrong = |key: &str, problem: String| Wrong {
        place: loaded.source(key).to_string(),
        key: key.to_owned(),
        problem,
    };
    let settings = &loaded.settings;
    settings.response.validate().map_err(|error| {
        let key = format!("response.{}", error.key);
        wrong(&key, format!("expected {}, found {}", error.expected, error.found))
    })?;
    let kinds = sensor::kinds();
    if let Some(unknown) = settings.response.kinds.keys().find(|&kind| !kinds.contains(kind)) {
        let kinds = kinds.join(", ");
        return Err(wrong("response.kinds", format!("expected kinds among {kinds}, found {unknown:?}")));
    }
    if settings.data_dir.as_os_str().is_empty() {
        return Err(wrong("data_dir", "expected a directory, found nothing".into()));
    }
    for (key, without) in [
        ("notify.webhook_secret_file", settings.notify.webhook_secret_file.is_some()),
        ("notify.webhook_ca", settings.notify.webhook_ca.is_some()),
    ] {
        if without && settings.notify.webhook.is_none() {
            return Err(wrong(key, "expected `notify.webhook` to be set too".into()));
        }
    }
    Ok(())
}

/// Puts a value from the command line or the environment in, refused with its name where it is wrong.
fn put(table: &mut toml::Table, known: &Known, texts: &[String], name: &str) -> Result<(), Wrong> {
    let wrong = |problem: String| Wrong { place: name.to_owned(), key: known.key.to_owned(), problem };
    let text = texts.first().map(String::as_str).unwrap_or_default();
    let value = match known.form {
        Form::Texts => texts.iter().map(|text| toml::Value::String(text.clone())).collect::<Vec<_>>().into(),
        Form::Truth => {
            let truth = text.parse::<bool>();
            truth.map_err(|_| wrong(format!("expected true or false, found {text:?}")))?.into()
        }
        Form::Number => {
            let number = text.parse::<i64>();
            number.map_err(|_| wrong(format!("expected a whole number, found {text:?}")))?.into()
        }
        Form::Fraction => {
            let number = text.parse::<f64>();
            number.map_err(|_| wrong(format!("expected a number, found {text:?}")))?.into()
        }
        Form::Text | Form::Table => toml::Value::String(text.to_owned()),
    };
    let alone = insert(toml::Table::new(), known.key, value.clone());
    alone
        .try_into::<Settings>()
        .map_err(|error: toml::de::Error| wrong(error.message().replace('\n', " ")))?;
    *table = insert(std::mem::take(table), known.key, value);
    Ok(())
}

fn insert(mut table: toml::Table, key: &str, value: toml::Value) -> toml::Table {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((name, key)) => {
            let inner = match table.remove(name) {
                Some(toml::Value::Table(inner)) => inner,
                _ => toml::Table::new(),
            };
            table.insert(name.to_owned(), insert(inner, key, value).into());
        }
    }
    table
}

fn has(table: &toml::Table, key: &str) -> bool {
    match key.split_once('.') {
        None => table.contains_key(key),
        Some((name, key)) => {
            table.get(name).and_then(toml::Value::as_table).is_some_and(|table| has(table, key))
        }
    }
}

/// Texts with commas between them.
fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn given(
        text: &str,
        flags: &[(&'static str, &[&str])],
        variables: &[(&str, &str)],
    ) -> Result<Loaded, Wrong> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let flags =
            flags.iter().map(|(key, texts)| (*key, texts.iter().map(|&text| text.to_owned()).collect()));
        let given = Given { file: Some(file.path().to_owned()), flags: flags.collect() };
        load(&given, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"\n[retention]\nasset_days = 9\n[sensor]\nhome = [\"10.0.0.0/8\"]\n";
        let loaded = given(
            text,
            &[("server.listen", &["127.0.0.1:3"])],
            &[
                ("BASTIDE_SERVER_LISTEN", "127.0.0.1:2"),
                ("BASTIDE_SENSOR_HOME", "172.16.0.0/12, fd00::/8"),
                ("OTHER", "x"),
            ],
        )
        .unwrap();
        let settings = &loaded.settings;
        assert_eq!(settings.server.listen.port(), 3);
        assert_eq!(
            settings.sensor.home.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["172.16.0.0/12", "fd00::/8"]
        );
        assert_eq!((settings.retention.asset_days, settings.retention.incident_days), (9, 400));
        assert_eq!(loaded.source("server.listen"), Source::Flag("--listen"));
        assert_eq!(loaded.source("sensor.home"), Source::Environment("BASTIDE_SENSOR_HOME".into()));
        assert!(matches!(loaded.source("retention.asset_days"), Source::File(_)));
        assert_eq!(loaded.source("retention.incident_days"), Source::Default);
    }

    #[test]
    fn a_wrong_layer_is_named() {
        let check = |outcome: Result<Loaded, Wrong>, expected: &str| {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            given("", &[("server.listen", &["localhost"])], &[]),
            "--listen: server.listen: expected an address and a port",
        );
        check(
            given("", &[], &[("BASTIDE_RETENTION_DISK_MIB", "much")]),
            "BASTIDE_RETENTION_DISK_MIB: retention.disk_mib: expected a whole number, found \"much\"",
        );
        check(given("", &[], &[("BASTIDE_RETENTION_DISK_MIB", "1")]), "retention.disk_mib: expected 16 to");
        check(
            given("[response]\nauto_confidence = 101\n", &[], &[]),
            "response.auto_confidence: expected 0 to 100, found 101",
        );
        check(
            given("[response]\nkinds = { camra = \"auto\" }\n", &[], &[]),
            "response.kinds: expected kinds among access-point, bulb, camera, ",
        );
        check(
            given("[notify]\nwebhook_ca = \"x\"\n", &[], &[]),
            "notify.webhook_ca: expected `notify.webhook` to be set too",
        );
        check(
            given("", &[("sensor.home", &["10.0.0.0/33"])], &[]),
            "--home: sensor.home: expected a network such as",
        );
    }
}
