//! Files as they were read: their texts, what those say, and which of them speak of a name.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::check;
use super::super::document::parse_file;
use super::super::model::{FileSpec, SpecSet};
use super::{Diagnostic, Files, has_errors};
use crate::tree::Map;

/// What a text says.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) spec: Arc<FileSpec>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    pub(super) fn new(path: &Arc<str>, text: &Arc<str>) -> Self {
        let (spec, diagnostics) = parse_file(path, text);
        Self { spec: Arc::new(spec), diagnostics }
    }

    pub(super) fn has_errors(&self) -> bool {
        has_errors(&self.diagnostics)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spec.rollouts.is_empty() && self.spec.resources.is_empty() && self.spec.templates.is_empty()
    }
}

/// A text and what it says.
pub(super) type Read = (Arc<str>, Arc<Parsed>);

/// Texts and what they say, by path. A copy shares with what it was made from what is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct ParsedFiles {
    pub(super) texts: Files,
    pub(super) parsed: Map<Arc<str>, Arc<Parsed>>,
    pub(super) specs: SpecSet,
    /// Of each name the files that define it or refer to it.
    speakers: Map<Arc<str>, Arc<BTreeSet<Arc<str>>>>,
}

/// All the rest is made from these.
impl PartialEq for ParsedFiles {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts && self.parsed == other.parsed
    }
}

impl ParsedFiles {
    /// Reads `files`; what is as in `known` is not parsed again.
    pub(super) fn read(files: &Files, known: &Self) -> Self {
        // The texts as they are now, even where they are no others: those of the next reading share with these.
        let mut read = Self { texts: files.clone(), ..known.clone() };
        for change in files.changes_from(&known.texts) {
            let parsed = change.is.map(|text| Arc::new(Parsed::new(change.key, text)));
            read.put_parsed(change.key, parsed);
        }
        read
    }

    /// What `path` holds, with its text.
    pub(super) fn get(&self, path: &str) -> Option<Read> {
        Some((Arc::clone(self.texts.get(path)?), Arc::clone(self.parsed.get(path)?)))
    }

    /// Puts a file in the place of what `path` held, or takes that away.
    pub(super) fn put(&mut self, path: &Arc<str>, read: Option<&Read>) {
        match read {
            Some((text, _)) => self.texts.insert(Arc::clone(path), Arc::clone(text)),
            None => self.texts.remove(path),
        };
        self.put_parsed(path, read.map(|(_, parsed)| Arc::clone(parsed)));
    }

    fn put_parsed(&mut self, path: &Arc<str>, parsed: Option<Arc<Parsed>>) {
        let is = parsed.as_ref().map(|parsed| check::names(&parsed.spec)).unwrap_or_default();
        let before = if let Some(parsed) = parsed {
            self.specs.files.insert(Arc::clone(path), Arc::clone(&parsed.spec));
            self.parsed.insert(Arc::clone(path), parsed)
        } else {
            self.specs.files.remove(path);
            self.parsed.remove(path)
        };
        let was = before.map(|before| check::names(&before.spec)).unwrap_or_default();
        for name in was.symmetric_difference(&is) {
            let mut speakers = self.speakers.get(name).map(|paths| BTreeSet::clone(paths)).unwrap_or_default();
            if is.contains(name) {
                speakers.insert(Arc::clone(path))
            } else {
                speakers.remove(path)
            };
            if speakers.is_empty() {
                self.speakers.remove(name);
            } else {
                self.speakers.insert(Arc::clone(name), Arc::new(speakers));
            }
        }
    }

    /// The files that speak of any of `names`, alone.
    pub(super) fn about(&self, names: &BTreeSet<Arc<str>>) -> SpecSet {
        let paths: BTreeSet<_> =
            names.iter().filter_map(|name| self.speakers.get(name)).flat_map(|s| s.iter()).collect();
        let file = |path: &Arc<str>| Some((Arc::clone(path), Arc::clone(self.specs.files.get(path)?)));
        SpecSet { files: paths.into_iter().filter_map(file).collect() }
    }
}
