//! The file of a backup: lines of JSON, packed with gzip.
//!
//! The first line says what it is and of which schema; then comes each table, with its columns, and its rows in the
//! order of its key; the last line counts the rows and gives the SHA-256 of all tables and rows. A file is complete
//! before it has its name.

use super::{
    Copied, CopyError,
    row::{Digest, Line, from_json},
};
use crate::schema::{self, Table};
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The form of the file.
const FORM: u32 = 1;
/// The longest line: the largest record, with every letter escaped, and room for its other columns.
const LONGEST: u64 = 16 << 20;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    #[serde(rename = "bastide-backup")]
    form: u32,
    schema: i64,
    made: Timestamp,
    program: String,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    rows: u64,
    sha256: String,
}

/// A file that is being written.
pub(super) struct Writer {
    path: PathBuf,
    packed: GzEncoder<BufWriter<NamedTempFile>>,
    digest: Digest,
    rows: u64,
}

impl Writer {
    pub(super) fn new(path: &Path) -> Result<Self, CopyError> {
        let failed = |error| CopyError::file(path, error);
        if path.exists() {
            return Err(failed(std::io::Error::other("it is there already; name a new file")));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Only its owner may read it from the first moment on.
        let file = tempfile::Builder::new().prefix(".bastide-backup-").tempfile_in(folder).map_err(failed)?;
        let packed = GzEncoder::new(BufWriter::new(file), Compression::default());
        Ok(Self { path: path.to_owned(), packed, digest: Digest::default(), rows: 0 })
    }

    pub(super) fn begin(&mut self, schema: i64, made: Timestamp) -> Result<(), CopyError> {
        let first = First { form: FORM, schema, made, program: env!("CARGO_PKG_VERSION").to_owned() };
        self.text(&(serde_json::to_string(&first).unwrap_or_default() + "\n"))
    }

    pub(super) fn line(&mut self, line: &Line) -> Result<(), CopyError> {
        let text = line.text();
        self.rows += u64::from(matches!(line, Line::Row(_)));
        self.digest.add_text(&text);
        self.text(&text)
    }

    fn text(&mut self, text: &str) -> Result<(), CopyError> {
        self.packed.write_all(text.as_bytes()).map_err(|error| CopyError::file(&self.path, error))
    }

    /// Writes the last line, waits for the disk, and gives the file its name.
    pub(super) fn finish(self) -> Result<Copied, CopyError> {
        let Self { path, mut packed, digest, rows } = self;
        let failed = |error| CopyError::file(&path, error);
        let last = Last { rows, sha256: digest.finish() };
        packed.write_all(serde_json::to_string(&last).unwrap_or_default().as_bytes()).map_err(failed)?;
        packed.write_all(b"\n").map_err(failed)?;
        let file = packed.finish().map_err(failed)?;
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist_noclobber(&path).map_err(|error| failed(error.error))?;
        sync_folder(&path).map_err(failed)?;
        Ok(Copied { rows, digest: last.sha256 })
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A file that is being read.
pub(super) struct Reader<R> {
    path: PathBuf,
    lines: BufReader<MultiGzDecoder<BufReader<R>>>,
    schema: i64,
    digest: Digest,
    line: u64,
    rows: u64,
    /// Tables that were there; a second time would be a fault.
    tables: BTreeSet<String>,
    /// The table that began last.
    table: Option<Table>,
    last: Option<Last>,
}

impl Reader<File> {
    pub(super) fn open(path: &Path) -> Result<Self, CopyError> {
        Self::over(path, File::open(path).map_err(|error| CopyError::file(path, error))?)
    }
}

impl<R: std::io::Read> Reader<R> {
    /// Of bytes that are called `path`.
    pub(super) fn over(path: &Path, packed: R) -> Result<Self, CopyError> {
        let mut reader = Self {
            path: path.to_owned(),
            lines: BufReader::new(MultiGzDecoder::new(BufReader::new(packed))),
            schema: 0,
            digest: Digest::default(),
            line: 0,
            rows: 0,
            tables: BTreeSet::new(),
            table: None,
            last: None,
        };
        let expected = "a Bastide backup, made with `bastide backup`";
        let text = reader.text(expected)?;
        let first: First =
            serde_json::from_str(&text).map_err(|_| reader.damaged(expected, "something else"))?;
        if first.form != FORM {
            return Err(reader.damaged("a backup of form 1", format!("form {}", first.form)));
        }
        if first.schema > schema::today() {
            let file = path.display().to_string();
            return Err(CopyError::Newer { file, found: first.schema, known: schema::today() });
        }
        if first.schema < 1 {
            return Err(reader.damaged("a schema from 1", first.schema.to_string()));
        }
        reader.schema = first.schema;
        Ok(reader)
    }

    pub(super) const fn schema(&self) -> i64 {
        self.schema
    }

    /// The next table or row; nothing after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Line>, CopyError> {
        let text = self.text("a row, a table or the last line")?;
        if text.starts_with('[') {
            let row: Vec<_> = serde_json::from_str(&text).map_err(|error| self.damaged("a row", error))?;
            let width = self.table.as_ref().map_or(0, |table| table.columns.len());
            if row.len() != width {
                let found = format!("{} values of {width} columns", row.len());
                return Err(self.damaged("a row", found));
            }
            self.rows += 1;
            self.digest.add_text(&text);
            return Ok(Some(Line::Row(row)));
        }
        if text.starts_with("{\"table\"") {
            let table: Table = serde_json::from_str(&text).map_err(|error| self.damaged("a table", error))?;
            if !is_sound(&table) || !self.tables.insert(table.name.clone()) {
                return Err(self.damaged("a table with plain names, once", format!("{:?}", table.name)));
            }
            self.digest.add_text(&text);
            self.table = Some(table.clone());
            return Ok(Some(Line::Table(table)));
        }
        let last: Last = serde_json::from_str(&text)
            .map_err(|_| self.damaged("a row, a table or the last line", shortened(&text)))?;
        self.last = Some(last);
        Ok(None)
    }

    /// Reads all that is left; refused where a value is not what its column holds.
    pub(super) fn check(mut self, mut each: impl FnMut()) -> Result<Copied, CopyError> {
        while let Some(line) = self.next()? {
            each();
            let (Line::Row(row), Some(table)) = (line, &self.table) else { continue };
            if from_json(table, row).is_none() {
                let found = format!("other values than {} holds", table.name);
                return Err(self.damaged("a row", found));
            }
        }
        self.finish()
    }

    /// What the file says of itself; refused where that is not so.
    fn finish(mut self) -> Result<Copied, CopyError> {
        // Reading to the very end, so that the packing's own sum is looked at too.
        let more = match self.lines.fill_buf() {
            Ok(more) => !more.is_empty(),
            Err(error) => return Err(self.damaged("the end of the file", error)),
        };
        let digest = std::mem::take(&mut self.digest).finish();
        match &self.last {
            None => Err(self.damaged("the last line", "the end of the file")),
            Some(_) if more => Err(self.damaged("the end of the file", "more")),
            Some(last) if last.rows != self.rows => Err(self
                .damaged("as many rows as the last line counts", format!("{} of {}", self.rows, last.rows))),
            Some(last) if last.sha256 != digest => {
                Err(self.damaged("the SHA-256 that the last line gives", digest))
            }
            Some(_) => Ok(Copied { rows: self.rows, digest }),
        }
    }

    fn text(&mut self, expected: &'static str) -> Result<String, CopyError> {
        self.line += 1;
        let mut bytes = Vec::new();
        if let Err(error) = self.lines.by_ref().take(LONGEST).read_until(b'\n', &mut bytes) {
            return Err(self.damaged(expected, error));
        }
        if bytes.pop() != Some(b'\n') {
            return Err(self.damaged(expected, "the end of the file, or a line too long"));
        }
        bytes.push(b'\n');
        String::from_utf8(bytes).map_err(|_| self.damaged(expected, "bytes that are no text"))
    }

    fn damaged(&self, expected: &'static str, found: impl ToString) -> CopyError {
        CopyError::Damaged {
            file: self.path.display().to_string(),
            line: self.line,
            expected,
            found: found.to_string(),
        }
    }
}

/// Whether names can stand in a statement as they are, and all is within bounds.
fn is_sound(table: &Table) -> bool {
    let plain = |name: &str| {
        (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    plain(&table.name)
        && (1..=64).contains(&table.columns.len())
        && (1..=table.columns.len()).contains(&table.key)
        && table.columns.iter().all(|(name, _)| plain(name))
}

fn shortened(text: &str) -> String {
    format!("{:?}", text.trim_end().chars().take(40).collect::<String>())
}
