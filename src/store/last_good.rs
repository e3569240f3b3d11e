//! The last good version of every configuration file: what is in service, so that a restart beside a broken file does
//! not lose what that file said before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::replace::{Previous, previous, replace};
use super::seal::{Unopened, seal, unseal};
use super::{Damage, StateDir, StoreError};

const NAME: &str = "last-good.json";
const SCHEMA: u32 = 1;

/// What was remembered of the configuration files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastGood {
    /// Path to text.
    pub files: BTreeMap<Arc<str>, Arc<str>>,
    /// Documents that were passed over. One: `files` is the version before; two: `files` is empty, and the memory lost.
    pub damaged: Vec<Damage>,
}

/// What one process saved last.
#[derive(Debug)]
pub(super) struct Saved {
    files: BTreeMap<Arc<str>, Arc<str>>,
    /// Of the document: inode, bytes, and time of its last change, as long as nobody else has touched it.
    stamp: (u64, u64, i64, i64),
}

impl Saved {
    fn holds(&self, files: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        let same = |a: &Arc<str>, b: &Arc<str>| Arc::ptr_eq(a, b) || a == b;
        let mut pairs = self.files.iter().zip(files);
        self.files.len() == files.len() && pairs.all(|((a, text), (b, other))| same(a, b) && same(text, other))
    }
}

fn stamp(file: &Path) -> io::Result<(u64, u64, i64, i64)> {
    let metadata = fs::metadata(file)?;
    Ok((metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
}

impl StateDir {
    /// What was saved before that, if it is there and whole: proxies that come back may still have it.
    pub fn load_before_last_good(&self) -> Result<BTreeMap<Arc<str>, Arc<str>>, StoreError> {
        let Opened::Files(files) = open(&previous(&self.last_good()))? else { return Ok(BTreeMap::new()) };
        Ok(files.into_iter().map(|(path, text)| (path.into(), text.into())).collect())
    }

    /// What [`save_last_good`](Self::save_last_good) last saved; the version before where that is damaged; nothing if
    /// nothing was ever saved.
    pub fn load_last_good(&self) -> Result<LastGood, StoreError> {
        let file = self.last_good();
        let mut damaged = Vec::new();
        for file in [previous(&file), file].into_iter().rev() {
            match open(&file)? {
                Opened::Files(files) => {
                    let files = files.into_iter().map(|(path, text)| (path.into(), text.into())).collect();
                    return Ok(LastGood { files, damaged });
                }
                Opened::Damaged(damage) => damaged.push(damage),
                // Also after a crash between the two renames of a replacement: then the version before is the last.
                Opened::Absent => {}
            }
        }
        Ok(LastGood { files: BTreeMap::new(), damaged })
    }

    /// Remembers `files`, on disk when this returns. Writes nothing if that is what is remembered already.
    pub fn save_last_good(&mut self, files: &BTreeMap<Arc<str>, Arc<str>>) -> Result<(), StoreError> {
        let file = self.last_good();
        let sound = self.saved.take().filter(|saved| stamp(&file).is_ok_and(|stamp| stamp == saved.stamp));
        if sound.as_ref().is_some_and(|saved| saved.holds(files)) {
            self.saved = sound;
            return Ok(());
        }
        let body: BTreeMap<&str, &str> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
        let document = seal(SCHEMA, body).map_err(io::Error::from).map_err(StoreError::io("encode", &file))?;
        // A damaged document must not push out the good one before it.
        let before = match sound {
            Some(_) => Some(Previous::Keep),
            None if fs::read(&file).is_ok_and(|present| present == document) => None,
            None => match open(&file)? {
                Opened::Files(_) => Some(Previous::Keep),
                Opened::Damaged(_) | Opened::Absent => Some(Previous::Drop),
            },
        };
        if let Some(before) = before {
            replace(&file, &document, before).map_err(StoreError::io("write", &file))?;
        }
        self.saved = stamp(&file).ok().map(|stamp| Saved { files: files.clone(), stamp });
        Ok(())
    }

    fn last_good(&self) -> PathBuf {
        self.path().join(NAME)
    }
}

enum Opened {
    Files(BTreeMap<String, String>),
    Damaged(Damage),
    Absent,
}

fn open(file: &Path) -> Result<Opened, StoreError> {
    let document = match fs::read(file) {
        Ok(document) => document,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opened::Absent),
        Err(error) => return Err(StoreError::io("read", file)(error)),
    };
    match unseal(SCHEMA, &document) {
        Ok(files) => Ok(Opened::Files(files)),
        Err(Unopened::Flaw(flaw)) => Ok(Opened::Damaged(Damage { file: file.to_owned(), flaw })),
        Err(Unopened::Newer(found)) => Err(StoreError::NewerSchema { file: file.to_owned(), found, known: SCHEMA }),
    }
}

#[cfg(test)]
mod tests;
