//! One record per rollout, under `rollouts/`: the state that its engine goes on from after a restart.
//!
//! Each record carries a revision, counted up by each save. Whoever saves names the revision that it read: a save that
//! somebody else came before is refused, so that several replicas can share a store. Here, where one process has the
//! directory, that shows a mistake of the program's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::replace::{Previous, previous, stage, swap, sync};
use super::seal::{Unopened, seal, unseal};
use super::{Damage, Flaw, StateDir, StoreError};

const DIRECTORY: &str = "rollouts";
const ENDING: &str = ".json";
const SCHEMA: u32 = 1;

/// Bytes: with `.json.tmp` well within the 255 of the usual file systems.
const MAX_STEM: usize = 200;

/// Files that a disk is asked for at once. More than this it does no faster.
const WRITERS: usize = 8;

/// Comes before the checksum of a name that is cut.
const CUT: &str = "%~";

/// What is remembered of one rollout.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// Of `record`; what the next save must expect. 0 where there is none.
    pub revision: u64,
    /// As it was saved. `None` if it is lost.
    pub record: Option<Value>,
    /// Documents that were passed over. One: `record` is the version before, if there was one; two: it is lost.
    pub damaged: Vec<Damage>,
}

/// A record to be saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Save {
    /// Whose it is.
    pub rollout: String,
    /// The revision that must be there now; 0 for none. The new one is the next.
    pub expected: u64,
    /// What is to be remembered.
    pub record: Value,
}

/// The body of a document. It names its rollout, so that a file under another's name is not taken for that one's.
#[derive(Serialize, Deserialize)]
struct Body {
    rollout: String,
    revision: u64,
    record: Value,
}

/// Where the records are; they have one writer.
#[derive(Debug)]
pub struct Records {
    directory: PathBuf,
}

impl StateDir {
    /// The records in this directory.
    #[must_use]
    pub fn records(&self) -> Records {
        Records { directory: self.path().join(DIRECTORY) }
    }
}

impl Records {
    /// All records by name of their rollout. One that is damaged says so in its place and keeps none of the others.
    pub fn load_all(&self) -> Result<BTreeMap<String, Loaded>, StoreError> {
        let directory = &self.directory;
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(StoreError::io("read", directory)(error)),
        };
        let mut stems = BTreeSet::new();
        for entry in entries {
            let file = entry.map_err(StoreError::io("read", directory))?.file_name();
            // What else lies here (`.tmp`, an editor's copy) is not ours to read.
            stems.extend(file.to_str().and_then(stem_of).map(str::to_owned));
        }
        stems.iter().map(|stem| self.load_stem(stem)).collect()
    }

    /// The record of one rollout; nothing if nothing was saved.
    pub fn load(&self, name: &str) -> Result<Loaded, StoreError> {
        Ok(self.load_stem(&stem(name))?.1)
    }

    fn load_stem(&self, stem: &str) -> Result<(String, Loaded), StoreError> {
        let file = self.record(stem);
        let mut loaded = Loaded::default();
        // After a crash between the two renames of a replacement, the version before is the last.
        for file in [previous(&file), file].into_iter().rev() {
            match open(&file, stem)? {
                Opened::Record(Body { rollout, revision, record }) => {
                    return Ok((rollout, Loaded { revision, record: Some(record), ..loaded }));
                }
                Opened::Damaged(damage) => loaded.damaged.push(damage),
                Opened::Absent => {}
            }
        }
        Ok((unescaped(stem).unwrap_or_else(|| stem.to_owned()), loaded))
    }

    /// Saves each record, on disk when this returns. Names a rollout once. After an error some may be saved, none of them
    /// in part; [`load`](Self::load) tells.
    ///
    /// The directory is synced once, and files are waited for side by side: of a thousand a disk has the last in a
    /// tenth of the time.
    pub fn save_all(&mut self, saves: &[Save]) -> Result<(), StoreError> {
        if saves.is_empty() {
            return Ok(());
        }
        self.make_rollouts()?;
        let stage = |saves: &[Save]| saves.iter().map(|save| self.stage(save)).collect::<Result<Vec<_>, _>>();
        let staged = thread::scope(|scope| {
            let parts = saves.chunks(saves.len().div_ceil(WRITERS).max(1)).collect::<Vec<_>>();
            let Some((first, others)) = parts.split_first() else { return Ok(Vec::new()) };
            let others: Vec<_> = others.iter().map(|part| scope.spawn(|| stage(part))).collect();
            let mut staged = stage(first)?;
            for other in others {
                staged.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            Ok(staged)
        })?;
        for (file, before) in staged {
            swap(&file, before).map_err(StoreError::io("write", &file))?;
        }
        sync(&self.directory).map_err(StoreError::io("sync", &self.directory))
    }

    /// Has the next version of a record on disk, not yet in its place: where that is, and what becomes of the present one.
    fn stage(&self, Save { rollout, expected, record }: &Save) -> Result<(PathBuf, Previous), StoreError> {
        let found = self.load(rollout)?;
        if found.revision != *expected {
            return Err(StoreError::Conflict { rollout: rollout.clone(), expected: *expected, found: found.revision });
        }
        let file = self.record(&stem(rollout));
        let body = Body { rollout: rollout.clone(), revision: expected + 1, record: record.clone() };
        let document = seal(SCHEMA, body).map_err(io::Error::from).map_err(StoreError::io("encode", &file))?;
        // Only a present document that is good may push out the one before it.
        let before = if found.damaged.is_empty() && file.exists() { Previous::Keep } else { Previous::Drop };
        stage(&file, &document).map_err(StoreError::io("write", &file))?;
        Ok((file, before))
    }

    /// Forgets a rollout, damaged or not. Forgetting an unknown one is no error.
    pub fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        let file = self.record(&stem(name));
        // The version before goes first: alone it would be taken for the last.
        for file in [previous(&file), file] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &file)(error));
                }
                _ => {}
            }
        }
        let directory = &self.directory;
        match sync(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("sync", directory)(error)),
            _ => Ok(()),
        }
    }

    fn record(&self, stem: &str) -> PathBuf {
        self.directory.join(format!("{stem}{ENDING}"))
    }

    fn make_rollouts(&self) -> Result<(), StoreError> {
        let directory = &self.directory;
        if directory.is_dir() {
            return Ok(());
        }
        DirBuilder::new().mode(0o700).create(directory).map_err(StoreError::io("create", directory))?;
        let above = directory.parent().unwrap_or(directory);
        sync(above).map_err(StoreError::io("sync", above))
    }
}

enum Opened {
    Record(Body),
    Damaged(Damage),
    Absent,
}

fn open(file: &Path, stem_of_file: &str) -> Result<Opened, StoreError> {
    let document = match fs::read(file) {
        Ok(document) => document,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opened::Absent),
        Err(error) => return Err(StoreError::io("read", file)(error)),
    };
    let flaw = match unseal::<Body>(SCHEMA, &document) {
        Ok(body) if stem(&body.rollout) == stem_of_file => return Ok(Opened::Record(body)),
        Ok(body) => Flaw::Name(body.rollout),
        Err(Unopened::Flaw(flaw)) => flaw,
        Err(Unopened::Newer(found)) => {
            return Err(StoreError::NewerSchema { file: file.to_owned(), found, known: SCHEMA });
        }
    };
    Ok(Opened::Damaged(Damage { file: file.to_owned(), flaw }))
}

/// The name of a rollout as that of a file, without its ending.
///
/// Lower-case letters, digits, `-` and `_` stand for themselves, each other byte is `%` and two digits: one name for each
/// rollout on every file system, also where case does not count, and none that leads out of the directory. What would be
/// too long for a file system ends with `%~` and its checksum instead.
fn stem(rollout: &str) -> String {
    let mut stem = String::with_capacity(rollout.len());
    for byte in rollout.bytes() {
        if matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') {
            stem.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(stem, "%{byte:02x}");
        }
    }
    if stem.len() > MAX_STEM {
        let checksum = format!("{CUT}{:x}", Sha256::digest(rollout));
        stem.truncate(MAX_STEM - checksum.len());
        stem.push_str(&checksum);
    }
    stem
}

/// The rollout that [`stem`] was made of, unless that was too long.
fn unescaped(stem_of_file: &str) -> Option<String> {
    let mut parts = stem_of_file.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|rollout| stem(rollout) == stem_of_file)
}

/// The stem, if `file` is a record or the version before one.
fn stem_of(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".1").unwrap_or(file).strip_suffix(ENDING)?;
    (unescaped(stem).is_some() || stem.contains(CUT)).then_some(stem)
}

#[cfg(test)]
mod tests;
