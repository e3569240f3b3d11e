//! The one way in which a file of the state directory is written: whole, or not at all.
//!
//! Temporary file, fsync, rename, fsync of the directory. At every point in between, the file or its previous version
//! is there and complete. What a crash leaves behind is a `.tmp`, which is never read and which the next write takes over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Whether what a file holds now is worth being its previous version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Previous {
    /// Yes.
    Keep,
    /// No (there is none, or it is damaged): the present `.1` stays.
    Drop,
}

/// Where the version before the present one of `file` is.
pub(super) fn previous(file: &Path) -> PathBuf {
    with_suffix(file, ".1")
}

/// Makes `content` the content of `file`. Only one caller at a time per file.
pub(super) fn replace(file: &Path, content: &[u8], before: Previous) -> io::Result<()> {
    stage(file, content)?;
    swap(file, before)?;
    match file.parent() {
        Some(directory) => sync(directory),
        None => Ok(()),
    }
}

/// The first step of [`replace`]: has `content` on disk beside `file`. Several files may go side by side.
pub(super) fn stage(file: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(file);
    write_through(&temporary, content).inspect_err(|_| {
        // Most likely the disk is full; do not keep it so.
        let _ = fs::remove_file(&temporary);
    })
}

/// The second: puts what is staged in the place of `file`.
pub(super) fn swap(file: &Path, before: Previous) -> io::Result<()> {
    if before == Previous::Keep {
        fs::rename(file, previous(file))?;
    }
    fs::rename(temporary(file), file)
}

/// The third, which makes it last; once for all files of a directory.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn temporary(file: &Path) -> PathBuf {
    with_suffix(file, ".tmp")
}

fn write_through(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
