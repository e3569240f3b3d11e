//! One look at the configuration files: what was there, and what could not be had.
//!
//! Reads and nothing more: whether a reading is whole is for [`super::settle`] to say. A file that cannot be read is
//! an error under its own path and never loses the others; only a root that cannot be read fails a reading, so that
//! its caller keeps what it has. Driven by the watched [`Source`](super::Source), and by commands that read once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::tree::Map;

/// The largest file that is read, in bytes. A `ConfigMap` holds 1 MiB and Envoy's peers take 4 MiB in one message, so
/// what is larger was not meant to be here (a dump, a log), and parsing it would cost many times its size in memory.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// All files of a directory at one moment. Readings share the texts that are the same, and these are not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Path to text. Paths are relative to the root, with `/`.
    pub files: Map<Arc<str>, Arc<str>>,
    /// Path to the reason why that file, or that folder and all below it, could not be read. Disjoint from `files`.
    pub errors: BTreeMap<Arc<str>, FileError>,
}

impl Reading {
    /// Why `path` is not among the files: its own error, or that of a folder above it. `None` if it was read, and
    /// also if it is gone: only then has somebody deleted it.
    #[must_use]
    pub fn error_of(&self, path: &str) -> Option<&FileError> {
        let above = path.rmatch_indices('/').map(|(end, _)| &path[..end]);
        std::iter::once(path).chain(above).find_map(|path| self.errors.get(path))
    }
}

/// Why one file, or one folder, could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Nothing but white space. A file is emptied on the way to being written far more often than on purpose, so it
    /// does not count as one without documents.
    #[error("the file is empty (to take away what it declares, delete it)")]
    Empty,
    /// Kept changing for as long as the reader had patience.
    #[error("the file keeps changing while it is read")]
    Unsettled,
    /// Asked for by name, and not there.
    #[error("no such file or directory")]
    Missing,
    /// Listed, but gone when it was opened; or a symbolic link that leads nowhere.
    #[error("vanished while it was read, or is a symbolic link that leads nowhere")]
    Vanished,
    /// A pipe, socket or device.
    #[error("not a regular file")]
    NotAFile,
    /// Larger than [`MAX_FILE_BYTES`].
    #[error("the file is larger than {} MiB", MAX_FILE_BYTES >> 20)]
    TooLarge,
    /// Its bytes are not UTF-8.
    #[error("not UTF-8 text: bad byte at offset {offset}")]
    NotUtf8 {
        /// How many bytes before the bad one, from 0.
        offset: usize,
    },
    /// Its name is not UTF-8; it is listed under the nearest name that is.
    #[error("the file's name is not UTF-8")]
    NameNotUtf8,
    /// The operating system refused, in its words.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Vanished,
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

/// The root itself could not be read, so nothing is known of any file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {}: {reason}", root.display())]
pub struct RootError {
    /// The root, as it was asked for.
    pub root: PathBuf,
    /// The operating system's words.
    pub reason: String,
}

/// Reads every `.yaml`, `.yml` and `.json` file of `root`, in any folder; or `root` alone if it is a file.
///
/// Entries whose name begins with a dot are passed over, files and folders: `..data` of a `ConfigMap` mount, `.git`, lock
/// files of editors. Symbolic links are followed, but no folder is read twice, so loops end.
pub fn read_directory(root: &Path) -> Result<Reading, RootError> {
    scan(root, &Reading::default(), None, Duration::ZERO).reading
}

/// Reads files and directories as they were typed on a command line; each path is shown as typed. One that does not
/// exist is an error under its path.
#[must_use]
pub fn read_paths(paths: &[PathBuf]) -> Reading {
    let known = Reading::default();
    let mut walk = Walk::new(&known, None);
    for path in paths {
        let shown = path.to_string_lossy();
        if let Err(error) = walk.root(path, &shown, &shown) {
            let missing = error.kind() == io::ErrorKind::NotFound;
            walk.fail(&shown, if missing { FileError::Missing } else { error.into() });
        }
    }
    walk.reading
}

/// Identifies a directory whatever its path: device and inode.
pub(super) type DirectoryId = (u64, u64);

/// Changes with every write to a file: inode, length in bytes, seconds and nanoseconds of its last modification and of
/// its last change of any kind. That it is the same does not prove that nothing was written.
pub(super) type Stamp = (u64, u64, [i64; 4]);

fn stamp(metadata: &Metadata) -> Stamp {
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    (metadata.ino(), metadata.len(), times)
}

/// How long a file must have been left alone for its stamp to be proof: two writes within one tick of the clock that
/// makes stamps leave one stamp, and the coarsest of these clocks ticks every two seconds.
const PROOF: Duration = Duration::from_secs(3);

/// A reading, and how a change to it would show.
#[derive(Debug, Clone, Eq)]
pub(super) struct Scan {
    pub(super) reading: Result<Reading, RootError>,
    /// When it was begun, since the Unix epoch.
    pub(super) begun: Duration,
    /// Of every file looked at, by its path in the reading, as it was before it was read.
    pub(super) stamps: Map<Arc<str>, Stamp>,
    /// Every directory that was listed, that a link leads into, or that holds the root. Each once.
    pub(super) directories: Arc<BTreeMap<PathBuf, DirectoryId>>,
    /// Whether each file is an entry of a directory that was listed, so that events name it: there is no link.
    pub(super) plain: bool,
}

/// Whenever they were made.
impl PartialEq for Scan {
    fn eq(&self, other: &Self) -> bool {
        let Self { reading, begun: _, stamps, directories, plain } = self;
        *plain == other.plain
            && *stamps == other.stamps
            && *directories == other.directories
            && *reading == other.reading
    }
}

impl Scan {
    /// The text of a file, if its stamp is proof that this is what it still holds.
    fn proven(&self, path: &str, stamp: &Stamp) -> Option<&Arc<str>> {
        let (_, _, [modified, _, changed, _]) = stamp;
        let last = Duration::from_secs((*modified.max(changed)).try_into().unwrap_or_default());
        let is_old = last + PROOF <= self.begun;
        let files = &self.reading.as_ref().ok().filter(|_| is_old && self.stamps.get(path) == Some(stamp))?.files;
        files.get(path)
    }
}

/// Reads `root` as [`read_directory`] does. A file whose text is the same in `known` gets that very `Arc`. What by its
/// stamp has not changed since `before` is not opened. `begun` is the time, since the Unix epoch.
pub(super) fn scan(root: &Path, known: &Reading, before: Option<&Scan>, begun: Duration) -> Scan {
    let mut walk = Walk::new(known, before);
    let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy();
    let outcome = walk.root(root, "", &name);
    walk.watch_holder(root);
    let reading = match outcome {
        Ok(()) => Ok(walk.reading),
        Err(error) => Err(RootError { root: root.to_owned(), reason: error.to_string() }),
    };
    let plain = !walk.linked && !walk.listed.is_empty() && root.canonicalize().is_ok_and(|real| real == root);
    Scan { reading, begun, stamps: walk.stamps, directories: Arc::new(walk.directories), plain }
}

/// [`scan`], where since `before` nothing can have changed but what is `hinted` at: the entries of directories that events
/// named. `None` where that may not be all: a directory came or went, something is a link, or something could not be read.
pub(super) fn rescan(
    root: &Path,
    known: &Reading,
    before: &Scan,
    hinted: &BTreeSet<PathBuf>,
    begun: Duration,
) -> Option<Scan> {
    let reading = before.reading.as_ref().ok().filter(|reading| before.plain && reading.errors.is_empty())?;
    let mut walk = Walk::new(known, Some(before));
    (walk.reading, walk.stamps) = (reading.clone(), before.stamps.clone());
    for path in hinted {
        if before.directories.contains_key(path) {
            return None;
        }
        let (directory, name) = (path.parent()?, path.file_name()?);
        if name.as_encoded_bytes().starts_with(b".") || root.parent() == Some(directory) {
            continue;
        }
        let folder = directory.strip_prefix(root).ok().filter(|_| before.directories.contains_key(directory))?;
        let shown = below(folder.to_str()?, name);
        name.to_str()?;
        walk.reading.files.remove(shown.as_str());
        walk.stamps.remove(shown.as_str());
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() || metadata.is_symlink() => return None,
            Ok(metadata) if is_ours(path) => walk.file(path, &shown, &metadata),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    let (reading, directories) = (Ok(walk.reading), Arc::clone(&before.directories));
    Some(Scan { reading, begun, stamps: walk.stamps, directories, plain: true })
}

/// A walk over one or more roots, under way.
struct Walk<'a> {
    known: &'a Reading,
    before: Option<&'a Scan>,
    reading: Reading,
    stamps: Map<Arc<str>, Stamp>,
    directories: BTreeMap<PathBuf, DirectoryId>,
    watched: BTreeSet<DirectoryId>,
    listed: BTreeSet<DirectoryId>,
    /// Whether a link was met.
    linked: bool,
    /// Of the file being read; kept to allocate once.
    buffer: Vec<u8>,
}

/// A directory yet to be listed: where it is, and the path it is shown under.
type Pending = VecDeque<(PathBuf, String)>;

impl<'a> Walk<'a> {
    fn new(known: &'a Reading, before: Option<&'a Scan>) -> Self {
        Self {
            known,
            before,
            reading: Reading::default(),
            stamps: Map::new(),
            directories: BTreeMap::new(),
            watched: BTreeSet::new(),
            listed: BTreeSet::new(),
            linked: false,
            buffer: Vec::new(),
        }
    }

    /// Reads `root`: a directory whose files are shown below `prefix`, or a file shown as `name`.
    fn root(&mut self, root: &Path, prefix: &str, name: &str) -> io::Result<()> {
        let metadata = fs::metadata(root)?;
        if !metadata.is_dir() {
            self.file(root, name, &metadata);
            return Ok(());
        }
        let mut pending = Pending::new();
        self.list(root, prefix, &mut pending)?;
        while let Some((path, shown)) = pending.pop_front() {
            if let Err(error) = self.list(&path, &shown, &mut pending) {
                self.fail(&shown, error.into());
            }
        }
        Ok(())
    }

    /// Reads the files of one directory and adds its folders to `pending`: links last, so that a folder which is
    /// reached both ways is shown under its own path.
    fn list(&mut self, directory: &Path, shown: &str, pending: &mut Pending) -> io::Result<()> {
        let id = self.watch(directory)?;
        if !self.listed.insert(id) {
            return Ok(());
        }
        let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_cached_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            let shown = below(shown, &name);
            let linked = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            self.linked |= linked;
            match if linked { fs::metadata(&path) } else { entry.metadata() } {
                Ok(metadata) if metadata.is_dir() && linked => pending.push_back((path, shown)),
                Ok(metadata) if metadata.is_dir() => pending.push_front((path, shown)),
                Ok(_) if !is_ours(&path) => {}
                Ok(_) if name.to_str().is_none() => self.fail(&shown, FileError::NameNotUtf8),
                Ok(metadata) => {
                    if linked {
                        self.watch_target(&path);
                    }
                    self.file(&path, &shown, &metadata);
                }
                // A link that leads nowhere may have led to a folder, whatever its name.
                Err(error) => self.fail(&shown, error.into()),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, shown: &str, metadata: &Metadata) {
        let known = self.known.files.get_key_value(shown);
        let shown: Arc<str> = known.map_or_else(|| shown.into(), |(shown, _)| Arc::clone(shown));
        let stamp = stamp(metadata);
        self.stamps.insert(Arc::clone(&shown), stamp);
        if let Some(text) = self.before.and_then(|before| before.proven(&shown, &stamp)) {
            self.reading.files.insert(shown, Arc::clone(text));
            return;
        }
        match self.text(path, metadata, known.map(|(_, text)| text)) {
            Ok(text) => drop(self.reading.files.insert(shown, text)),
            Err(error) => drop(self.reading.errors.insert(shown, error)),
        }
    }

    /// The text of the file at `path`: `known` itself, if that is what the file holds.
    fn text(&mut self, path: &Path, metadata: &Metadata, known: Option<&Arc<str>>) -> Result<Arc<str>, FileError> {
        // Asked before opening: to open a pipe would wait for its writer.
        if !metadata.is_file() {
            return Err(FileError::NotAFile);
        }
        self.buffer.clear();
        // The length may lie (it grows, or the file system does not know it), so the read itself is bounded.
        File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut self.buffer)?;
        if self.buffer.len() as u64 > MAX_FILE_BYTES {
            return Err(FileError::TooLarge);
        }
        if let Some(known) = known
            && known.as_bytes() == self.buffer
        {
            return Ok(Arc::clone(known));
        }
        let text = str::from_utf8(&self.buffer).map_err(|e| FileError::NotUtf8 { offset: e.valid_up_to() })?;
        if text.trim().is_empty() {
            return Err(FileError::Empty);
        }
        Ok(text.into())
    }

    fn fail(&mut self, shown: &str, error: FileError) {
        self.reading.errors.insert(shown.into(), error);
    }

    /// Notes a directory as one to watch, under the first path it was reached by.
    fn watch(&mut self, directory: &Path) -> io::Result<DirectoryId> {
        let metadata = fs::metadata(directory)?;
        let id = (metadata.dev(), metadata.ino());
        if self.watched.insert(id) {
            self.directories.insert(directory.to_owned(), id);
        }
        Ok(id)
    }

    /// Notes the directory that holds the root, or the nearest one above that exists: there the root reappears.
    fn watch_holder(&mut self, root: &Path) {
        self.watch_target(root);
        for above in root.ancestors().skip(1) {
            if self.watch(above).is_ok() {
                return;
            }
        }
    }

    /// Notes the directory a link leads into: a change there makes no event beside the link.
    fn watch_target(&mut self, link: &Path) {
        if let Ok(target) = link.canonicalize()
            && let Some(directory) = target.parent()
        {
            // What cannot be listed cannot be watched; reading the file says what is wrong.
            let _ = self.watch(directory);
        }
    }
}

fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|ours| extension == *ours))
}

fn below(shown: &str, name: &OsStr) -> String {
    let name = name.to_string_lossy();
    match shown {
        "" => name.into_owned(),
        _ => format!("{}/{name}", shown.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests;
