//! The last good version of every configuration file: what is in service, so that a restart beside a broken file does
//! not lose what that file said before.
//!
//! One document, replaced whole while it is small. Of a large one the [changes](changes) are appended to a file beside
//! it, so that an edit costs what it is and not what there is, until they have grown enough for a new document.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::replace::{Previous, previous, stage, swap, sync};
use super::seal::{Unopened, seal_with_checksum, unseal_with_checksum};
use super::{Damage, StateDir, StoreError};
use crate::tree::Map;
use changes::Changes;

mod changes;

const NAME: &str = "last-good.json";
const SCHEMA: u32 = 1;

/// Path to text.
type Files = Map<Arc<str>, Arc<str>>;

/// What was remembered of the configuration files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastGood {
    /// Path to text.
    pub files: Files,
    /// What was passed over. One document: `files` is the version before; two: `files` is empty, and the memory lost. Of
    /// changes: those from the first damaged one on are not in `files`.
    pub damaged: Vec<Damage>,
}

/// What one process saved last.
#[derive(Debug)]
pub(super) struct Saved {
    files: Files,
    /// Of the document: inode, bytes, and time of its last change, as long as nobody else has touched it.
    stamp: (u64, u64, i64, i64),
    changes: Changes,
}

fn stamp(file: &Path) -> io::Result<(u64, u64, i64, i64)> {
    let metadata = fs::metadata(file)?;
    Ok((metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
}

impl StateDir {
    /// What was saved before that, if it is there and whole: proxies that come back may still have it.
    pub fn load_before_last_good(&self) -> Result<Files, StoreError> {
        let file = self.last_good();
        if let Opened::Files(document, sha256) = open(&file)? {
            let changes = Changes::of(&file, &sha256)?;
            if let Some(before) = changes.before(&document) {
                return Ok(before);
            }
        }
        Ok(open_with_changes(&previous(&file))?.0.map(|(files, _)| files).unwrap_or_default())
    }

    /// What [`save_last_good`](Self::save_last_good) last saved; the version before where that is damaged; nothing if
    /// nothing was ever saved.
    pub fn load_last_good(&self) -> Result<LastGood, StoreError> {
        let file = self.last_good();
        let mut damaged = Vec::new();
        for file in [previous(&file), file].into_iter().rev() {
            let (opened, damage) = open_with_changes(&file)?;
            damaged.extend(damage);
            // Also absent after a crash between the two renames of a replacement: then the version before is the last.
            if let Some((files, _)) = opened {
                return Ok(LastGood { files, damaged });
            }
        }
        Ok(LastGood { files: Map::new(), damaged })
    }

    /// Remembers `files`, on disk when this returns. Writes nothing if that is what is remembered already, and where
    /// that is large and little of it has changed, only the changes.
    pub fn save_last_good(&mut self, files: &Files) -> Result<(), StoreError> {
        let file = self.last_good();
        let sound = self.saved.take().filter(|saved| stamp(&file).is_ok_and(|stamp| stamp == saved.stamp));
        let sound = sound.filter(|saved| saved.changes.is_untouched(&file));
        // A damaged document must not push out the good one before it.
        let (before, sound) = match sound {
            Some(sound) => (Previous::Keep, Some(sound)),
            None => match open_with_changes(&file)? {
                (Some((known, changes)), None) => {
                    let stamp = stamp(&file).map_err(StoreError::io("read", &file))?;
                    (Previous::Keep, Some(Saved { files: known, stamp, changes }))
                }
                (Some(_), Some(_)) => (Previous::Keep, None),
                (None, _) => (Previous::Drop, None),
            },
        };
        if let Some(mut saved) = sound
            && (saved.files == *files || saved.changes.append(&file, files, &saved.files, saved.stamp.1)?)
        {
            saved.files = files.clone();
            self.saved = Some(saved);
            return Ok(());
        }
        let body: BTreeMap<&str, &str> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
        let encode = StoreError::io("encode", &file);
        let (document, sha256) = seal_with_checksum(SCHEMA, body).map_err(io::Error::from).map_err(encode)?;
        let write = || {
            stage(&file, &document)?;
            if before == Previous::Keep {
                Changes::set_aside(&file)?;
            }
            swap(&file, before)?;
            sync(self.path())
        };
        write().map_err(StoreError::io("write", &file))?;
        let saved = |stamp| Saved { files: files.clone(), stamp, changes: Changes::none(sha256) };
        self.saved = stamp(&file).ok().map(saved);
        Ok(())
    }

    fn last_good(&self) -> PathBuf {
        self.path().join(NAME)
    }
}

enum Opened {
    /// With its checksum.
    Files(Files, String),
    Damaged(Damage),
    Absent,
}

/// The document and the changes since it was written, as far as they are whole; and what is damaged.
type WithChanges = (Option<(Files, Changes)>, Option<Damage>);

fn open_with_changes(file: &Path) -> Result<WithChanges, StoreError> {
    match open(file)? {
        Opened::Files(files, sha256) => {
            let changes = Changes::of(file, &sha256)?;
            let damage = changes.damage();
            Ok((Some((changes.apply(&files), changes)), damage))
        }
        Opened::Damaged(damage) => Ok((None, Some(damage))),
        Opened::Absent => Ok((None, None)),
    }
}

fn open(file: &Path) -> Result<Opened, StoreError> {
    let document = match fs::read(file) {
        Ok(document) => document,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opened::Absent),
        Err(error) => return Err(StoreError::io("read", file)(error)),
    };
    match unseal_with_checksum::<BTreeMap<String, String>>(SCHEMA, &document) {
        Ok((files, sha256)) => {
            let files = files.into_iter().map(|(path, text)| (path.into(), text.into())).collect();
            Ok(Opened::Files(files, sha256))
        }
        Err(Unopened::Flaw(flaw)) => Ok(Opened::Damaged(Damage { file: file.to_owned(), flaw })),
        Err(Unopened::Newer(found)) => Err(StoreError::NewerSchema { file: file.to_owned(), found, known: SCHEMA }),
    }
}

#[cfg(test)]
mod tests;
