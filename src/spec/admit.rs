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
use super::document::parse_file;
use super::model::{FileSpec, SpecSet};
use super::yaml::Position;
use super::{Diagnostic, Severity};

/// Path to text.
pub type Files = BTreeMap<Arc<str>, Arc<str>>;

/// A text and what it says.
#[derive(Debug, PartialEq)]
struct Parsed {
    text: Arc<str>,
    spec: Arc<FileSpec>,
    diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    fn new(path: &Arc<str>, text: &Arc<str>) -> Self {
        let (spec, diagnostics) = parse_file(path, text);
        Self { text: text.clone(), spec: Arc::new(spec), diagnostics }
    }

    fn has_errors(&self) -> bool {
        has_errors(&self.diagnostics)
    }

    fn is_empty(&self) -> bool {
        self.spec.rollouts.is_empty() && self.spec.resources.is_empty() && self.spec.templates.is_empty()
    }
}

type ParsedFiles = BTreeMap<Arc<str>, Arc<Parsed>>;

/// The files in force, free of errors. Empty only before the first set without errors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Admitted {
    files: ParsedFiles,
}

impl Admitted {
    /// The set that was in force when this process was last alive, from the texts that were kept.
    ///
    /// # Errors
    ///
    /// All diagnostics, if there is an error among them: a set that this version of the program, or these options, no
    /// longer find good as a whole is of no use.
    pub fn restore(files: &Files, options: &Options) -> Result<Self, Vec<Diagnostic>> {
        let files = parse(files, &Self::default());
        let (diagnostics, _) = diagnose(&files, &files, options);
        if has_errors(&diagnostics) { Err(diagnostics) } else { Ok(Self { files }) }
    }

    /// The texts in force, to be kept for [`Self::restore`].
    #[must_use]
    pub fn texts(&self) -> Files {
        self.files.iter().map(|(path, parsed)| (path.clone(), parsed.text.clone())).collect()
    }

    /// The documents in force.
    #[must_use]
    pub fn spec_set(&self) -> SpecSet {
        spec_set(&self.files)
    }

    /// Whether nothing was ever in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
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
    let files = parse(files, &Admitted::default());
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
    let parsed = parse(current, previous);
    let mut diagnostics: Vec<Diagnostic> =
        unreadable.iter().map(|(path, reason)| about(path, format!("cannot be read: {reason}"))).collect();
    if previous.is_empty() {
        diagnostics.extend(diagnose(&parsed, &parsed, options).0);
        return first(parsed, diagnostics);
    }

    let mut changes = Changes::default();
    for (path, parsed) in &parsed {
        let before = previous.files.get(path);
        if before.is_some_and(|before| !before.is_empty()) && parsed.is_empty() && !parsed.has_errors() {
            let message = "no documents are left in this file: its last good version stays in force";
            let help = Some("delete the file to withdraw its documents".to_owned());
            diagnostics.push(Diagnostic { help, ..about(path, message.to_owned()) });
        } else if !parsed.has_errors() && before.is_none_or(|before| !Arc::ptr_eq(before, parsed)) {
            changes.wished.insert(path.clone(), Some(parsed.clone()));
        }
    }
    let is_there = |path: &str| current.contains_key(path) || unreadable.keys().any(|lost| covers(lost, path));
    for path in previous.files.keys().filter(|path| !is_there(path)) {
        if current.is_empty() {
            let message = "all files are gone at once: the last good version of this one stays in force";
            diagnostics.push(about(path, message.to_owned()));
        } else {
            changes.wished.insert(path.clone(), None);
        }
    }
    let (found, errors) = diagnose(&parsed, &changes.apply(previous), options);
    diagnostics.extend(found);
    changes.settle(previous, options, errors);
    diagnostics.extend(changes.explain(previous, &diagnostics));
    diagnostics.sort();

    let admitted = Admitted { files: changes.apply(previous) };
    let in_force = |path: &Arc<str>| admitted.files.get(path).map(|parsed| &parsed.text);
    let differs = |path: &Arc<str>| match (current.get(path), in_force(path)) {
        (Some(a), Some(b)) => !Arc::ptr_eq(a, b) && a != b,
        (a, b) => a.is_some() || b.is_some(),
    };
    let paths = current.keys().chain(admitted.files.keys()).filter(|path| differs(path));
    let held_back = paths.chain(unreadable.keys()).cloned().collect();
    Admission::Ready { held_back, admitted, diagnostics }
}

/// With nothing to fall back on it is all or nothing.
fn first(parsed: ParsedFiles, mut diagnostics: Vec<Diagnostic>) -> Admission {
    diagnostics.sort();
    if has_errors(&diagnostics) || parsed.values().all(|parsed| parsed.is_empty()) {
        return Admission::NotReady { diagnostics };
    }
    Admission::Ready { admitted: Admitted { files: parsed }, held_back: BTreeSet::new(), diagnostics }
}

/// The changes since the previous set, and which of them cannot be taken.
#[derive(Default)]
struct Changes {
    /// Good by themselves: a new text, or `None` for a deletion.
    wished: BTreeMap<Arc<str>, Option<Arc<Parsed>>>,
    /// Those of `wished` that would break the set, each with what it would break.
    held: BTreeMap<Arc<str>, Diagnostic>,
}

impl Changes {
    fn apply(&self, previous: &Admitted) -> ParsedFiles {
        let mut files = previous.files.clone();
        for (path, change) in self.wished.iter().filter(|(path, _)| !self.held.contains_key(*path)) {
            match change {
                Some(parsed) => files.insert(path.clone(), parsed.clone()),
                None => files.remove(path),
            };
        }
        files
    }

    /// Holds changes back until the rest is free of errors, then takes back in what does no harm.
    ///
    /// Each round holds back at least one change, and with all of them held back the set is the previous one. `known` are
    /// the errors with none held back, if they are known.
    fn settle(&mut self, previous: &Admitted, options: &Options, mut known: Option<Vec<Finding>>) {
        let errors = |changes: &Self| cross_errors(&changes.apply(previous), options);
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
            let before = previous.files.get(path);
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
                let state = match (self.wished.get(path), previous.files.contains_key(path)) {
                    (Some(None), _) => "deleted, but its last good version stays in force: without it",
                    (_, true) => "this change is held back, the last good version stays in force: with it",
                    (_, false) => "this file is held back: with it",
                };
                about(path, format!("{state}, {file}:{line}:{column}: {message}"))
            })
            .collect()
    }
}

fn parse(files: &Files, known: &Admitted) -> ParsedFiles {
    let parsed = |(path, text): (&Arc<str>, &Arc<str>)| {
        let same = known.files.get(path).filter(|known| Arc::ptr_eq(&known.text, text) || known.text == *text);
        (path.clone(), same.map_or_else(|| Arc::new(Parsed::new(path, text)), Arc::clone))
    };
    files.iter().map(parsed).collect()
}

/// All that is wrong with the files `found`, and between them. `stand` are those without errors, or good versions of
/// theirs, and the last good versions of the others. A name that a definition with mistakes has, or that may stand
/// where a mistake of syntax ended the reading, is not called undefined before those mistakes are gone. With it go the
/// errors across the files that `stand`, where these are the same.
fn diagnose(found: &ParsedFiles, stand: &ParsedFiles, options: &Options) -> (Vec<Diagnostic>, Option<Vec<Finding>>) {
    let mut diagnostics: Vec<_> = found.values().flat_map(|parsed| parsed.diagnostics.clone()).collect();
    let broken: ParsedFiles =
        found.iter().filter(|(_, p)| p.has_errors()).map(|(path, p)| (path.clone(), p.clone())).collect();
    let may_be_defined = |name: &Arc<str>| {
        let stem = name.split('/').next().unwrap_or(name);
        broken.iter().any(|(path, parsed)| {
            let spec = &parsed.spec;
            let in_unread = |before: &Arc<Parsed>| check::defines(&before.spec, name);
            check::may_define(spec, name)
                || !spec.unread.is_empty() && (spec.unread.contains(stem) || stand.get(path).is_some_and(in_unread))
        })
    };
    let mut newest = spec_set(stand);
    newest.files.extend(broken.iter().map(|(path, parsed)| (path.clone(), parsed.spec.clone())));
    let mut findings = check::check(&newest, options);
    let errors = broken.is_empty().then(|| errors(findings.clone()));
    findings.retain(|finding| !finding.undefined.as_ref().is_some_and(may_be_defined));
    diagnostics.extend(findings.into_iter().map(|finding| finding.diagnostic));
    diagnostics.sort();
    diagnostics.dedup();
    (diagnostics, errors)
}

fn cross_errors(files: &ParsedFiles, options: &Options) -> Vec<Finding> {
    errors(check::check(&spec_set(files), options))
}

fn errors(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|finding| finding.diagnostic.severity == Severity::Error);
    findings
}

fn spec_set(files: &ParsedFiles) -> SpecSet {
    SpecSet { files: files.iter().map(|(path, parsed)| (path.clone(), parsed.spec.clone())).collect() }
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
