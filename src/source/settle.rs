//! When a reading counts: once it has stood still.
//!
//! Pure; [`Source`](super::Source) feeds it one scan every [`INTERVAL`]. Two scans that are equal, one interval apart,
//! are one moment: a file caught between truncation and writing, a directory half copied, or files of both sides of a
//! symbolic link that was swapped meanwhile would differ in the second. Equal are text and time stamps, because a file
//! that is written over and over may be caught empty again and again. A reading that takes something away has to
//! stand longer, because what vanishes is mostly on its way back (`rm -r` and copy, checkout, an editor that saves by
//! delete and write), and nobody waits for a deletion. Where something never stands still, the rest counts after
//! [`PATIENCE`]; what moved, and what is missing, is an error of its own file.

use std::sync::Arc;
use std::time::Duration;

use super::reading::{FileError, Reading, Scan};

/// Between two scans. Long enough for a writer to fill the file it has truncated, short enough that an edit is
/// delivered well within 100 ms.
pub(super) const INTERVAL: Duration = Duration::from_millis(25);

/// After this long a reading counts without what still moves in it.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How many scans after the first must be equal to it, where a file of the delivered reading is missing: 250 ms.
const LOSS_REPEATS: u32 = 10;

/// The scans since something changed.
#[derive(Debug)]
pub(super) struct Settling {
    last: Scan,
    repeats: u32,
}

impl Settling {
    /// Starts with the first scan that differs from what was known.
    pub(super) fn new(first: Scan) -> Self {
        Self { last: first, repeats: 0 }
    }

    /// Takes the next scan; gives back the one that counts, if now there is one. `delivered` is the reading that the
    /// rest of the program has, and `late` is set when [`PATIENCE`] is over.
    pub(super) fn take(&mut self, next: Scan, delivered: &Reading, late: bool) -> Option<Scan> {
        self.repeats = if next == self.last { self.repeats + 1 } else { 0 };
        let needed = match &next.reading {
            Ok(reading) if lost(delivered, reading).next().is_some() => LOSS_REPEATS,
            _ => 1,
        };
        if self.repeats >= needed {
            return Some(next);
        }
        let earlier = std::mem::replace(&mut self.last, next);
        if late { without_moving(&earlier, &self.last, delivered) } else { None }
    }
}

/// The files that were delivered and are not among the files any more: gone, emptied or unreadable.
fn lost<'a>(delivered: &'a Reading, reading: &'a Reading) -> impl Iterator<Item = &'a Arc<str>> {
    reading.files.changes_from(&delivered.files).filter(|change| change.is.is_none()).map(|change| change.key)
}

/// `later`, with each path on which `earlier` differs, or which is lost, as an error. `None` if a root was not read.
fn without_moving(earlier: &Scan, later: &Scan, delivered: &Reading) -> Option<Scan> {
    let mut still = later.clone();
    let (Ok(before), Ok(after), Ok(reading)) = (&earlier.reading, &later.reading, &mut still.reading) else {
        return None;
    };
    let paths = [before, after].into_iter().flat_map(|reading| reading.files.keys().chain(reading.errors.keys()));
    let moved = paths.filter(|&path| {
        before.files.get(path) != after.files.get(path)
            || before.errors.get(path) != after.errors.get(path)
            || earlier.stamps.get(path) != later.stamps.get(path)
    });
    for path in moved.chain(lost(delivered, after)) {
        reading.files.remove(path);
        reading.errors.insert(Arc::clone(path), FileError::Unsettled);
    }
    Some(still)
}

#[cfg(test)]
mod tests;
