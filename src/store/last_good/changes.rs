//! The changes since the document was written, in `last-good.changes.jsonl` beside it: one JSON object per line, only
//! ever appended to.
//!
//! Each line says to which document it belongs, by its checksum, and how many came before it; it has a checksum of its
//! own over all of that. A crash leaves whole lines, then part of one, which was never said to be saved. Lines of another
//! document are no lines: so the document can be replaced before the file is, and a crash in between mixes nothing up.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::replace::previous;
use super::super::seal::{Flaw, checksum};
use super::super::{Damage, StoreError};
use super::Files;

const NAME: &str = "last-good.changes.jsonl";

/// A document of fewer bytes is replaced whole: that takes a millisecond, and one file is easier to read.
const LARGE: u64 = 128 << 10;

/// What changed at once.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// Checksum of the document.
    document: String,
    /// How many lines come before.
    after: u64,
    /// Path to text; `null` where there is none any more.
    files: BTreeMap<String, Option<String>>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    sha256: String,
    change: Line,
}

/// The changes since one document was written.
#[derive(Debug)]
pub(super) struct Changes {
    document: String,
    lines: Vec<Line>,
    /// Those that were appended since they were read, and so are not kept.
    appended: u64,
    /// Bytes of the file, if all of it are whole lines of this document.
    length: Option<u64>,
    damage: Option<Damage>,
}

impl Changes {
    /// Of a document of that checksum that was just written.
    pub(super) fn none(document: String) -> Self {
        Self { document, lines: Vec::new(), appended: 0, length: None, damage: None }
    }

    /// Of the document of that checksum beside `file`.
    pub(super) fn of(file: &Path, document: &str) -> Result<Self, StoreError> {
        let here = beside(file);
        // Set aside already where a crash kept the next document from taking its place.
        for path in [here.clone(), previous(&here)] {
            let content = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(StoreError::io("read", &path))?,
            };
            let mut changes = Self::none(document.to_owned());
            for line in content.split_inclusive(|byte| *byte == b'\n') {
                match changes.open(line) {
                    Ok(line) => changes.lines.push(line),
                    Err(flaw) => {
                        changes.damage = Some(Damage { file: path.clone(), flaw });
                        break;
                    }
                }
            }
            if !changes.lines.is_empty() {
                changes.length = (changes.damage.is_none() && path == here).then_some(content.len() as u64);
                return Ok(changes);
            }
        }
        Ok(Self::none(document.to_owned()))
    }

    fn open(&self, line: &[u8]) -> Result<Line, Flaw> {
        let form = |error: serde_json::Error| Flaw::Form(error.to_string());
        let Sealed { sha256, change } = serde_json::from_slice(line).map_err(form)?;
        let is_next = change.document == self.document && change.after == self.lines.len() as u64;
        let whole = is_next && line.ends_with(b"\n") && checksum(&change).map_err(form)? == sha256;
        if whole { Ok(change) } else { Err(Flaw::Checksum) }
    }

    pub(super) fn damage(&self) -> Option<Damage> {
        self.damage.clone()
    }

    /// What `document` has become.
    pub(super) fn apply(&self, document: &Files) -> Files {
        applied(document, &self.lines)
    }

    /// What it was before the last change; `None` if there is none.
    pub(super) fn before(&self, document: &Files) -> Option<Files> {
        Some(applied(document, self.lines.split_last()?.1))
    }

    /// Whether the file is as this process left it.
    pub(super) fn is_untouched(&self, file: &Path) -> bool {
        self.length.is_none_or(|length| fs::metadata(beside(file)).is_ok_and(|metadata| metadata.len() == length))
    }

    /// Appends what makes `files` of `before`, on disk when this returns. `false` where a new document is better: its
    /// `size` is in bytes.
    pub(super) fn append(&mut self, file: &Path, files: &Files, before: &Files, size: u64) -> Result<bool, StoreError> {
        if size < LARGE || self.damage.is_some() {
            return Ok(false);
        }
        let text = |text: &Arc<str>| text.to_string();
        let changes = files.changes_from(before).map(|change| (change.key.to_string(), change.is.map(text)));
        let after = self.lines.len() as u64 + self.appended;
        let change = Line { document: self.document.clone(), after, files: changes.collect() };
        let encode = || {
            let mut line = serde_json::to_vec(&Sealed { sha256: checksum(&change)?, change })?;
            line.push(b'\n');
            Ok::<_, serde_json::Error>(line)
        };
        let path = beside(file);
        let line = encode().map_err(io::Error::from).map_err(StoreError::io("encode", &path))?;
        let length = self.length.unwrap_or_default() + line.len() as u64;
        if length > size / 2 || (after > 0 && self.length.is_none()) {
            return Ok(false);
        }
        self.write(&path, &line).map_err(StoreError::io("write", &path))?;
        (self.appended, self.length) = (self.appended + 1, Some(length));
        Ok(true)
    }

    fn write(&self, path: &Path, line: &[u8]) -> io::Result<()> {
        if self.length.is_some() {
            let mut file = OpenOptions::new().append(true).open(path)?;
            file.write_all(line)?;
            return file.sync_data();
        }
        // What is there are changes of an earlier document, and not set aside because there were none.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(line)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }

    /// Keeps the changes of the document that is about to be the one before.
    pub(super) fn set_aside(file: &Path) -> io::Result<()> {
        let path = beside(file);
        match fs::rename(&path, previous(&path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }
}

fn applied(document: &Files, lines: &[Line]) -> Files {
    let mut files = document.clone();
    for (path, text) in lines.iter().flat_map(|line| &line.files) {
        match text {
            Some(text) => files.insert(path.as_str().into(), text.as_str().into()),
            None => files.remove(path.as_str()),
        };
    }
    files
}

fn beside(document: &Path) -> PathBuf {
    document.with_file_name(NAME)
}
