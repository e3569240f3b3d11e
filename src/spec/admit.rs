//! Which version of each file is in force: the newest where all is well, the last good one elsewhere.
//!
//! Pure, and a function of the texts in force and the texts found now; parsing is reused where a text has not changed,
//! which changes nothing but the time it takes. What holds, whatever the files go through:
//!
//! * The set in force has no errors, within a file or across files.
//! * A set of files without errors is taken whole (but for the two guards below).
//! * A path that is in force stays so until its file is deleted while others remain and nothing else names what it
//!   defines: a file that turns unreadable, empty or wrong never takes its documents along.
//! * Of what is held back for errors across files nothing could be taken alone without an error.
//! * Guards: all files gone at once, or a file emptied of its documents, is taken for an accident and not for a wish.
//! * Before the first set without errors nothing is in force ([`Admission::NotReady`]), never half a set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::{self, Finding, Options};
use super::model::SpecSet;
use super::yaml::Position;
use super::{Diagnostic, Severity};
use crate::tree::Map;
use files::{Parsed, ParsedFiles, Read};
use quick::Known;

mod files;
mod quick;

/// Path to text.
pub type Files = Map<Arc<str>, Arc<str>>;

/// The files in force, free of errors. Empty only before the first set without errors.
#[derive(Debug, Clone, Default)]
pub struct Admitted {
    files: ParsedFiles,
    /// What is said of them, where they are the files as they were found: for the quick way.
    known: Option<Known>,
}

/// What is known of the files follows from them.
impl PartialEq for Admitted {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

impl Admitted {
    /// The set that was in force when this process was last alive, from the texts that were kept.
    ///
    /// # Errors
    ///
    /// All diagnostics, if there is an error among them: a set that this version of the program, or these options, no
    /// longer find good as a whole is of no use.
    pub fn restore(files: &Files, options: &Options) -> Result<Self, Vec<Diagnostic>> {
        Self::default().restore_beside(files, options)
    }

    /// [`Self::restore`]. Files that are in force here are not parsed again.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn restore_beside(&self, files: &Files, options: &Options) -> Result<Self, Vec<Diagnostic>> {
        let files = ParsedFiles::read(files, &self.files);
        let (diagnostics, findings) = diagnose(&files, &files, options);
        if has_errors(&diagnostics) {
            return Err(diagnostics);
        }
        let known = findings.map(|findings| Known::new(&files, findings));
        Ok(Self { files, known })
    }

    /// The texts in force, to be kept for [`Self::restore`].
    #[must_use]
    pub fn texts(&self) -> Files {
        self.files.texts.clone()
    }

    /// The documents in force.
    #[must_use]
    pub fn spec_set(&self) -> SpecSet {
        self.files.specs.clone()
    }

    /// Whether nothing was ever in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.texts.is_empty()
    }
}

/// What [`admit`] decides.
#[derive(Debug, PartialEq)]
pub enum Admission {
    /// A set is in force.
    Ready {
        /// The files in force.
        admitted: Admitted,
        /// Paths whose newest state is not in force: they run on an older version, or not at all if they never had a
        /// good one.
        held_back: BTreeSet<Arc<str>>,
        /// What is wrong with the newest state, by file and place: the words of [`check_files`], and for each path
        /// held back because of others, why.
        diagnostics: Vec<Diagnostic>,
    },
    /// Nothing is in force yet, and what was found is not good as a whole.
    NotReady {
        /// What is wrong, by file and place.
        diagnostics: Vec<Diagnostic>,
    },
}

/// Checks files as they are, without any earlier version: what `serin check` prints. Sorted by file and place.
#[must_use]
pub fn check_files(files: &Files, options: &Options) -> Vec<Diagnostic> {
    let files = ParsedFiles::read(files, &ParsedFiles::default());
    diagnose(&files, &files, options).0
}

/// Decides what is in force, now that the files are `current`. `unreadable` says of paths (files, or directories with
/// all that was in them) why they could not be read. `options` must be those that `previous` was admitted under.
#[must_use]
pub fn admit(
    previous: &Admitted,
    current: &Files,
    unreadable: &BTreeMap<Arc<str>, String>,
    options: &Options,
) -> Admission {
    if let Some(admission) = quick::admit(previous, current, unreadable, options) {
        return admission;
    }
    let read = ParsedFiles::read(current, &previous.files);
    let mut diagnostics: Vec<Diagnostic> =
        unreadable.iter().map(|(path, reason)| about(path, format!("cannot be read: {reason}"))).collect();
    if previous.is_empty() {
        let (found, findings) = diagnose(&read, &read, options);
        diagnostics.extend(found);
        return first(read, diagnostics, findings);
    }

    let mut changes = Changes::default();
    for (path, parsed) in &read.parsed {
        let before = previous.files.parsed.get(path);
        if before.is_some_and(|before| !before.is_empty()) && parsed.is_empty() && !parsed.has_errors() {
            let message = "no documents are left in this file: its last good version stays in force";
            let help = Some("delete the file to withdraw its documents".to_owned());
            diagnostics.push(Diagnostic { help, ..about(path, message.to_owned()) });
        } else if !parsed.has_errors() && before.is_none_or(|before| !Arc::ptr_eq(before, parsed)) {
            changes.wished.insert(path.clone(), read.get(path));
        }
    }
    let is_there = |path: &str| current.contains_key(path) || unreadable.keys().any(|lost| covers(lost, path));
    for path in previous.files.texts.keys().filter(|path| !is_there(path)) {
        if current.is_empty() {
            let message = "all files are gone at once: the last good version of this one stays in force";
            diagnostics.push(about(path, message.to_owned()));
        } else {
            changes.wished.insert(path.clone(), None);
        }
    }
    let (found, findings) = diagnose(&read, &changes.apply(previous), options);
    diagnostics.extend(found);
    changes.settle(previous, options, findings.clone().map(errors));
    diagnostics.extend(changes.explain(previous, &diagnostics));
    diagnostics.sort();

    let mut files = changes.apply(previous);
    let differs = |path: &&Arc<str>| current.get(*path) != files.texts.get(*path);
    let held_back = current.keys().chain(files.texts.keys()).filter(differs);
    let held_back: BTreeSet<_> = held_back.chain(unreadable.keys()).cloned().collect();
    let as_found = held_back.is_empty() && !has_errors(&diagnostics);
    if as_found {
        files.texts = current.clone();
    }
    let known = findings.filter(|_| as_found).map(|findings| Known::new(&files, findings));
    Admission::Ready { held_back, admitted: Admitted { files, known }, diagnostics }
}

/// With nothing to fall back on it is all or nothing.
fn first(files: ParsedFiles, mut diagnostics: Vec<Diagnostic>, findings: Option<Vec<Finding>>) -> Admission {
    diagnostics.sort();
    if has_errors(&diagnostics) || files.parsed.values().all(|parsed| parsed.is_empty()) {
        return Admission::NotReady { diagnostics };
    }
    let known = findings.map(|findings| Known::new(&files, findings));
    Admission::Ready { admitted: Admitted { files, known }, held_back: BTreeSet::new(), diagnostics }
}

/// The changes since the previous set, and which of them cannot be taken.
#[derive(Default)]
struct Changes {
    /// Good by themselves: a new text, or `None` for a deletion.
    wished: BTreeMap<Arc<str>, Option<Read>>,
    /// Those of `wished` that would break the set, each with what it would break.
    held: BTreeMap<Arc<str>, Diagnostic>,
}

impl Changes {
    fn apply(&self, previous: &Admitted) -> ParsedFiles {
        let mut files = previous.files.clone();
        for (path, change) in self.wished.iter().filter(|(path, _)| !self.held.contains_key(*path)) {
            files.put(path, change.as_ref());
        }
        files
    }

    /// Holds changes back until the rest is free of errors, then takes back in what does no harm.
    ///
    /// Each round holds back at least one change, and with all of them held back the set is the previous one. `known` are
    /// the errors with none held back, if they are known.
    fn settle(&mut self, previous: &Admitted, options: &Options, mut known: Option<Vec<Finding>>) {
        let errors = |changes: &Self| errors(check::check(&changes.apply(previous).specs, options));
        while self.held.len() < self.wished.len() {
            let errors = known.take().unwrap_or_else(|| errors(self));
            let Some(first) = errors.first() else { break };
            let mut culprits: BTreeMap<Arc<str>, Diagnostic> = BTreeMap::new();
            for error in &errors {
                for path in self.culprits(error, previous) {
                    culprits.entry(path).or_insert_with(|| error.diagnostic.clone());
                }
            }
            if culprits.is_empty() {
                // As checks go now each error has its culprit; this ends the loop whatever they learn to find.
                let rest = self.wished.keys().filter(|path| !self.held.contains_key(*path));
                culprits = rest.map(|path| (path.clone(), first.diagnostic.clone())).collect();
            }
            self.held.append(&mut culprits);
        }
        let mut paths: Vec<Arc<str>> = self.held.keys().cloned().collect();
        loop {
            let before = paths.len();
            paths.retain(|path| {
                self.held.remove(path);
                let harm = errors(self).into_iter().next();
                harm.map(|error| self.held.insert(path.clone(), error.diagnostic)).is_some()
            });
            if paths.len() == before {
                break;
            }
        }
    }

    /// The changes that may be to blame for an error: of the file that has it, of the one it is at odds with, and of
    /// those that used to define what is missing.
    fn culprits(&self, error: &Finding, previous: &Admitted) -> Vec<Arc<str>> {
        let used_to_define = |path: &Arc<str>| {
            let before = previous.files.parsed.get(path);
            error.undefined.as_ref().is_some_and(|name| before.is_some_and(|file| check::defines(&file.spec, name)))
        };
        let open = self.wished.keys().filter(|path| !self.held.contains_key(*path));
        open.filter(|path| {
            error.diagnostic.file == **path || error.other.as_ref() == Some(path) || used_to_define(path)
        })
        .cloned()
        .collect()
    }

    /// A diagnostic for each change held back that has no error told at its own file.
    fn explain(&self, previous: &Admitted, told: &[Diagnostic]) -> Vec<Diagnostic> {
        let untold = self.held.iter().filter(|(path, _)| {
            !told.iter().any(|diagnostic| diagnostic.severity == Severity::Error && diagnostic.file == **path)
        });
        untold
            .map(|(path, reason)| {
                let Diagnostic { file, line, column, message, .. } = reason;
                let state = match (self.wished.get(path), previous.files.texts.contains_key(path)) {
                    (Some(None), _) => "deleted, but its last good version stays in force: without it",
                    (_, true) => "this change is held back, the last good version stays in force: with it",
                    (_, false) => "this file is held back: with it",
                };
                about(path, format!("{state}, {file}:{line}:{column}: {message}"))
            })
            .collect()
    }
}

/// All that is wrong with the files `found`, and between them. `stand` are those without errors, or good versions of
/// theirs, and the last good versions of the others. A name that a definition with mistakes has, or that may stand
/// where a mistake of syntax ended the reading, is not called undefined before those mistakes are gone. With it go the
/// findings across the files that `stand`, where these are the same.
fn diagnose(found: &ParsedFiles, stand: &ParsedFiles, options: &Options) -> (Vec<Diagnostic>, Option<Vec<Finding>>) {
    let mut diagnostics: Vec<_> = found.parsed.values().flat_map(|parsed| parsed.diagnostics.clone()).collect();
    let broken: Vec<(&Arc<str>, &Arc<Parsed>)> = found.parsed.iter().filter(|(_, p)| p.has_errors()).collect();
    let may_be_defined = |name: &Arc<str>| {
        let stem = name.split('/').next().unwrap_or(name);
        broken.iter().any(|(path, parsed)| {
            let spec = &parsed.spec;
            let in_unread = |before: &Arc<Parsed>| check::defines(&before.spec, name);
            check::may_define(spec, name)
                || !spec.unread.is_empty()
                    && (spec.unread.contains(stem) || stand.parsed.get(*path).is_some_and(in_unread))
        })
    };
    let mut newest = stand.specs.clone();
    newest.files.extend(broken.iter().map(|(path, parsed)| (Arc::clone(path), Arc::clone(&parsed.spec))));
    let mut findings = check::check(&newest, options);
    let all = broken.is_empty().then(|| findings.clone());
    findings.retain(|finding| !finding.undefined.as_ref().is_some_and(may_be_defined));
    diagnostics.extend(findings.into_iter().map(|finding| finding.diagnostic));
    diagnostics.sort();
    diagnostics.dedup();
    (diagnostics, all)
}

fn errors(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|finding| finding.diagnostic.severity == Severity::Error);
    findings
}

fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Whether what happened to `lost` happened to `path`: it is that file, or lies in that directory.
fn covers(lost: &str, path: &str) -> bool {
    path.strip_prefix(lost).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || lost.ends_with('/'))
        || lost.is_empty()
}

/// An error of a file as a whole.
fn about(file: &Arc<str>, message: String) -> Diagnostic {
    check::diagnostic(file, Position { line: 1, column: 1 }, Severity::Error, message, "", None)
}

#[cfg(test)]
mod tests;
