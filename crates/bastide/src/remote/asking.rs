//! What all nouns have in common: whom to ask, about which authority, and in which form the answer is wanted.

use super::{
    connection::{Connection, Query, Which, encoded},
    table::{Column, table},
};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Whom to ask, and how to say it.
#[derive(Clone, clap::Args)]
pub(crate) struct Asking {
    #[command(flatten)]
    which: Which,
    /// Only of this authority and those below it
    #[arg(long, value_name = "ID")]
    pub(super) authority: Option<String>,
    /// What the API answered, as JSON
    #[arg(long)]
    json: bool,
}

/// How much of a list.
#[derive(Clone, clap::Args)]
pub(crate) struct Limit {
    /// The most rows
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// The same JSON without letters that a terminal would obey or turn round.
fn harmless(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() && letter != '\u{7f}' || letter.is_alphanumeric() {
            safe.push(letter);
        } else {
            letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
        }
    }
    safe
}

impl Asking {
    fn query(&self) -> Query {
        Query::default().and_some("authority", self.authority.as_ref())
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        self.which.connect()
    }

    fn say(&self, answer: &Value, text: impl FnOnce(&Value) -> String) -> anyhow::Result<ExitCode> {
        match self.json {
            true => crate::terminal::say(&harmless(&serde_json::to_string_pretty(answer)?))?,
            false => crate::terminal::say(&text(answer))?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// A list, page after page, as a table.
    pub(super) fn list(
        &self,
        path: &str,
        filter: &[(&'static str, Option<&String>)],
        limit: &Limit,
        columns: &[Column],
        what: &str,
    ) -> anyhow::Result<ExitCode> {
        let connection = self.connect()?;
        let query = filter.iter().fold(self.query(), |query, (name, value)| query.and_some(name, *value));
        super::run(async {
            let (items, total) = connection.list(path, &query, limit.limit as usize).await?;
            let answer = json!({"items": items, "total": total});
            self.say(&answer, |_| table(columns, &items, total, what))
        })
    }

    /// All of something, as the API has it.
    pub(super) fn all(&self, path: &str) -> anyhow::Result<Value> {
        let (connection, mut all) = (self.connect()?, Value::Null);
        super::run(async {
            all = connection.get(&format!("{path}{}", self.query().text())).await?;
            Ok(ExitCode::SUCCESS)
        })?;
        Ok(all)
    }

    /// The same, told.
    pub(super) fn tell(&self, path: &str, text: impl FnOnce(&Value) -> String) -> anyhow::Result<ExitCode> {
        self.say(&self.all(path)?, text)
    }

    /// One thing.
    pub(super) fn show(
        &self,
        path: &str,
        id: &str,
        text: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<ExitCode> {
        self.look(&format!("{path}/{}", encoded(id)), text)
    }

    /// What there is at a path, which holds no text of others.
    pub(super) fn look(&self, path: &str, text: impl FnOnce(&Value) -> String) -> anyhow::Result<ExitCode> {
        let connection = self.connect()?;
        super::run(async {
            let answer = connection.get(&format!("{path}{}", self.query().text())).await?;
            self.say(&answer, text)
        })
    }

    /// Has something done to one thing.
    pub(super) fn act_on(
        &self,
        path: &str,
        id: &str,
        deed: &str,
        body: Option<&Value>,
        text: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<ExitCode> {
        self.act(&format!("{path}/{}/{deed}", encoded(id)), body, text)
    }

    /// Sends a file that is no JSON of ours.
    pub(super) fn send(
        &self,
        path: &str,
        filter: Query,
        kind: &str,
        body: Vec<u8>,
        text: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<ExitCode> {
        let connection = self.connect()?;
        let query = filter.and_some("authority", self.authority.as_ref());
        super::run(async {
            let answer = connection.send(&format!("{path}{}", query.text()), kind, body).await?;
            self.say(&answer, text)
        })
    }

    /// Changes some of what is there.
    pub(super) fn change(
        &self,
        path: &str,
        body: &Value,
        text: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<ExitCode> {
        let connection = self.connect()?;
        super::run(async {
            let answer = connection.patch(&format!("{path}{}", self.query().text()), body).await?;
            self.say(&answer, text)
        })
    }

    /// Takes one thing away.
    pub(super) fn remove(
        &self,
        path: &str,
        id: &str,
        text: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<ExitCode> {
        let connection = self.connect()?;
        super::run(async {
            let answer = connection.delete(&format!("{path}/{}{}", encoded(id), self.query().text())).await?;
            self.say(&answer, text)
        })
    }

    /// Has something done; `path` holds no text of others.
    pub(super) fn act(
        &self,
        path: &str,
        body: Option<&Value>,
        text: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<ExitCode> {
        let connection = self.connect()?;
        super::run(async {
            let answer = connection.post(&format!("{path}{}", self.query().text()), body).await?;
            self.say(&answer, text)
        })
    }
}
