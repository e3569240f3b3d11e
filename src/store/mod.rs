//! What must outlive the process, in the `--state` directory.
//!
//! One JSON document per thing to remember, and a journal that is only appended to. Each document is sealed with a schema number and a checksum (the private `seal`) and
//! replaced whole (the private `replace`), so that a crash at any point leaves this or the previous version. The
//! directory belongs to one process at a time. Everything here blocks: `app` calls it off the async threads. What the
//! documents mean is not known here.
//!
//! | file | is |
//! |---|---|
//! | `lock` | held locked while a process uses the directory; its text is that process's id |
//! | `last-good.json` | the configuration files that were last in service |
//! | `last-good.changes.jsonl` | what changed of them since that was written, where it is large |
//! | `rejections.json`, `nodes.json` | what proxies rejected, and which there are |
//! | `rollouts/NAME.json` | the state of the rollout of that name |
//! | `history.jsonl` | the journal, one JSON object per line; `history.jsonl.1` is what came before |
//! | `NAME.1` | the version of `NAME` before the present one |
//! | `NAME.tmp` | the next version of `NAME`, never complete; may be deleted |

mod journal;
mod last_good;
mod memo;
mod records;
mod replace;
mod seal;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use journal::{Journal, Torn};
pub use last_good::LastGood;
pub use memo::Memo;
pub use records::{Loaded, Records, Save};
pub use seal::Flaw;

/// Why the state directory cannot be used, or a document neither read nor written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "state directory {} is in use by {}; stop that process, or give this one another directory with --state",
        directory.display(),
        holder.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process's id, as it wrote it; in its own namespace, where there are containers.
        holder: Option<u32>,
    },
    /// A later serin wrote this document. It is neither read nor overwritten.
    #[error(
        "{} has schema {found}, but this serin knows only schemas up to {known}; use the serin that wrote it, or \
         another directory with --state",
        file.display()
    )]
    NewerSchema {
        /// The document.
        file: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// Somebody else saved the record since it was read. It is as they left it.
    #[error("the record of rollout {rollout} {}", match found {
        0 => format!("is gone, it had revision {expected}"),
        _ => format!("has revision {found}, not {expected}: somebody else saved it"),
    })]
    Conflict {
        /// Whose record it is.
        rollout: String,
        /// The revision that was read.
        expected: u64,
        /// The one that is there now; 0 where there is none.
        found: u64,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, e.g. `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err`.
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// A document that was passed over, because it does not hold what was written. For people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged: {flaw}", file.display())]
pub struct Damage {
    /// The document.
    pub file: PathBuf,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// The state directory, for as long as this process has it. Dropping it gives it back.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Locked. The lock goes with it, however the process ends.
    _lock: File,
    /// What this process has left there.
    saved: Option<last_good::Saved>,
}

impl StateDir {
    /// Creates `path` if need be, readable by this user alone (it will hold secrets), and takes it for this process.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(StoreError::io("create", &path))?;
        let lock = path.join("lock");
        let io = |action| StoreError::io(action, &lock);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Without it the message names no process, which is no reason to give another error.
                let _ = file.read_to_string(&mut pid);
                return Err(StoreError::InUse { directory: path, holder: pid.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(io("lock")(error)),
        }
        file.set_len(0).map_err(io("write"))?;
        writeln!(file, "{}", std::process::id()).map_err(io("write"))?;
        Ok(Self { path, _lock: file, saved: None })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
