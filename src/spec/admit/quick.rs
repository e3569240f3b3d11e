//! The quick way for an edit that leaves all well: only the names that the changed files speak of are checked again.
//!
//! What is wrong between files is always about one name, and only files that speak of that name can bring it about. Where
//! all was well before, and nothing is wrong about the names that the changed files speak of or spoke of, all is well.
//! In every other case the whole is checked: that takes longer, and decides the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::check::{self, Finding, Options};
use super::files::ParsedFiles;
use super::{Admission, Admitted, Files, Parsed};

/// A change of more than one in so many files is checked as a whole.
const FEW: usize = 8;

/// Warnings of files that are in force as they were found. There are no errors.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Across files.
    findings: Vec<Finding>,
    /// The files that have some of their own.
    warned: BTreeSet<Arc<str>>,
}

impl Known {
    pub(super) fn new(files: &ParsedFiles, findings: Vec<Finding>) -> Self {
        let warned = files.parsed.iter().filter(|(_, parsed)| !parsed.diagnostics.is_empty());
        Self { findings, warned: warned.map(|(path, _)| Arc::clone(path)).collect() }
    }
}

/// What [`super::admit`] decides, if it can be told without a look at all files.
pub(super) fn admit(
    previous: &Admitted,
    current: &Files,
    unreadable: &BTreeMap<Arc<str>, String>,
    options: &Options,
) -> Option<Admission> {
    let mut known =
        previous.known.clone().filter(|_| unreadable.is_empty() && !current.is_empty() && !previous.is_empty())?;
    let before = &previous.files;
    let changes: Vec<_> = current.changes_from(&before.texts).collect();
    if changes.len() > 1 + current.len() / FEW {
        return None;
    }
    let mut files = before.clone();
    let (mut names, mut candidates) = (BTreeSet::new(), [BTreeSet::new(), BTreeSet::new()]);
    for change in changes {
        let was = before.get(change.key);
        let is = change.is.map(|text| (Arc::clone(text), Arc::new(Parsed::new(change.key, text))));
        if let Some((_, is)) = &is
            && (is.has_errors() || is.is_empty() && was.as_ref().is_some_and(|(_, was)| !was.is_empty()))
        {
            return None;
        }
        known.warned.remove(change.key);
        known.warned.extend(is.iter().filter(|(_, is)| !is.diagnostics.is_empty()).map(|_| Arc::clone(change.key)));
        for (read, candidates) in [&was, &is].into_iter().zip(&mut candidates) {
            let Some((_, parsed)) = read else { continue };
            names.extend(check::names(&parsed.spec));
            candidates.extend(check::candidates(&parsed.spec));
        }
        files.put(change.key, is.as_ref());
    }
    if !check::check_about(&files.about(&names), options, Some(&names)).is_empty() {
        return None;
    }
    known.findings.retain(|finding| !names.contains(finding.about()));
    // The others' words of help guess at what there is.
    if !known.findings.is_empty() && candidates[0] != candidates[1] {
        return None;
    }
    files.texts = current.clone();

    let warned = known.warned.iter().filter_map(|path| files.parsed.get(path));
    let of_files = warned.flat_map(|parsed| parsed.diagnostics.iter().cloned());
    let between = known.findings.iter().map(|finding| finding.diagnostic.clone());
    let diagnostics: BTreeSet<_> = of_files.chain(between).collect();
    Some(Admission::Ready {
        admitted: Admitted { files, known: Some(known) },
        held_back: BTreeSet::new(),
        diagnostics: diagnostics.into_iter().collect(),
    })
}
