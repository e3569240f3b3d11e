//! What happened, in `history.jsonl`: one JSON object per line, only ever appended to.
//!
//! A crash while lines are written leaves whole lines, then part of one; that part is cut off when the journal is opened,
//! and reported. Rotated by size: the file and the one before it hold what is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::replace::previous;
use super::{StateDir, StoreError};

const NAME: &str = "history.jsonl";

/// Bytes from which on the next lines begin a new file. Two files are kept: some 60,000 entries of 250 bytes, and as
/// much as can be read at once for an answer.
const LIMIT: u64 = 8 << 20;

/// The field of an entry that names its rollout.
const ROLLOUT: &str = "rollout";

/// The journal, open for appending. Only one at a time for a directory.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in `file`.
    length: u64,
    limit: u64,
}

/// The end of the journal was not what was written, and is cut off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the last entry of {} was cut off by a crash: removed its {bytes} bytes", file.display())]
pub struct Torn {
    /// The journal.
    pub file: PathBuf,
    /// How much was removed.
    pub bytes: u64,
}

impl StateDir {
    /// Opens the journal, repaired where a crash left part of an entry.
    pub fn open_journal(&self) -> Result<(Journal, Option<Torn>), StoreError> {
        Journal::open(self.path(), LIMIT)
    }
}

impl Journal {
    fn open(directory: &Path, limit: u64) -> Result<(Self, Option<Torn>), StoreError> {
        let path = directory.join(NAME);
        let content = read(&path)?;
        let whole = whole_lines(&content);
        let file = create(&path)?;
        let torn = (whole < content.len()).then(|| Torn { file: path.clone(), bytes: (content.len() - whole) as u64 });
        let journal = Self { path, file, length: whole as u64, limit };
        if torn.is_some() {
            let cut = journal.file.set_len(journal.length).and_then(|()| journal.file.sync_all());
            cut.map_err(StoreError::io("write", &journal.path))?;
        }
        Ok((journal, torn))
    }

    /// Appends `entries`, on disk when this returns. What an error leaves of them is gone once the next are appended.
    pub fn append(&mut self, entries: &[Value]) -> Result<(), StoreError> {
        let mut lines = String::new();
        for entry in entries {
            lines.push_str(&entry.to_string());
            lines.push('\n');
        }
        if lines.is_empty() {
            return Ok(());
        }
        if self.length >= self.limit {
            self.rotate()?;
        }
        self.write(lines.as_bytes()).map_err(StoreError::io("write", &self.path))
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.metadata()?.len() != self.length {
            // Part of what could not be written, most likely to a full disk.
            self.file.set_len(self.length)?;
        }
        self.file.write_all(lines)?;
        self.file.sync_data()?;
        self.length += lines.len() as u64;
        Ok(())
    }

    /// The newest `limit` entries, oldest first; of one rollout if `rollout` names it. A line that does not hold what
    /// was written is passed over.
    pub fn tail(&self, rollout: Option<&str>, limit: usize) -> Result<Vec<Value>, StoreError> {
        let mut entries = Vec::new();
        for path in [self.path.clone(), previous(&self.path)] {
            if entries.len() >= limit {
                break;
            }
            let content = read(&path)?;
            let newest_first = content.split(|byte| *byte == b'\n').rev();
            let all = newest_first.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
            let asked = all.filter(|entry| rollout.is_none_or(|rollout| entry[ROLLOUT] == rollout));
            entries.extend(asked.take(limit - entries.len()));
        }
        entries.reverse();
        Ok(entries)
    }

    fn rotate(&mut self) -> Result<(), StoreError> {
        match fs::rename(&self.path, previous(&self.path)) {
            // Done before, by a rotation that failed to make the new file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(StoreError::io("rename", &self.path))?,
        }
        self.file = create(&self.path)?;
        self.length = 0;
        Ok(())
    }
}

/// Opens the file for appending, and makes its name last where it is new.
fn create(path: &Path) -> Result<File, StoreError> {
    let open = || {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(file)
    };
    open().map_err(StoreError::io("open", path))
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(StoreError::io("read", path)),
    }
}

/// How much of `content` is whole: up to the end of the last line that is JSON. Blocks that never reached the disk read
/// as zeros, so a line end alone is no proof.
fn whole_lines(content: &[u8]) -> usize {
    let mut end = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    while end > 0 {
        let start = content[..end - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if serde_json::from_slice::<Value>(&content[start..end]).is_ok() {
            return end;
        }
        end = start;
    }
    0
}

#[cfg(test)]
mod tests;
