//! A mapping of the rollout format with its vocabulary: unknown keys are reported with the nearest known one.
//!
//! For the documents of our own. Envoy messages have their vocabulary in the descriptors.

use super::yaml::{Data, Entry, Node, Position};
use super::{Reporter, suggest};

/// The entries of one mapping, unknown ones reported and left out.
pub(super) struct Fields<'a> {
    entries: Vec<&'a Entry>,
    /// The known keys that unknown ones were probably meant to be.
    misspelt: Vec<String>,
    position: Position,
}

impl<'a> Fields<'a> {
    /// Reads `node` as the mapping that `place` names in messages, e.g. `spec.strategy`. `None`, and a report, if it
    /// is none.
    pub(super) fn read(node: &'a Node, place: &str, known: &[&str], reporter: &mut Reporter) -> Option<Self> {
        let (mut entries, mut misspelt) = (Vec::new(), Vec::new());
        for entry in mapping(node, place, reporter)? {
            if known.contains(&entry.key.as_str()) {
                entries.push(entry);
                continue;
            }
            let guess = suggest::nearest(&entry.key, known.iter().copied());
            misspelt.extend(guess.map(str::to_owned));
            let help = suggest::or_list(&entry.key, "expected one of", known.iter().copied());
            let message = format!("unknown key {:?} in {place}", entry.key);
            reporter.error(entry.position, message, entry.key.as_str(), help);
        }
        Some(Self { entries, misspelt, position: node.position })
    }

    /// The entry of `key`.
    pub(super) fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key).copied()
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The known entries, in the order of the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().copied()
    }

    /// Whether `key` is neither there nor, as far as can be guessed, misspelt: a misspelt key is reported already.
    pub(super) fn lacks(&self, key: &str) -> bool {
        self.entry(key).is_none() && !self.misspelt.iter().any(|guess| guess == key)
    }

    /// Where the mapping starts.
    pub(super) fn position(&self) -> Position {
        self.position
    }
}

/// The only entry of a mapping that must have exactly one of the `known` keys. `None`, and a report, if it has not.
pub(super) fn one_of<'a>(node: &'a Node, place: &str, known: &[&str], reporter: &mut Reporter) -> Option<&'a Entry> {
    let fields = Fields::read(node, place, known, reporter)?;
    let given: Vec<_> = fields.iter().collect();
    if let [entry] = given[..] {
        return Some(entry);
    }
    // An unknown key was reported already, and it is what should have stood here.
    if given.len() > 1 || matches!(&node.data, Data::Mapping(entries) if entries.is_empty()) {
        let found = given.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>().join(", ");
        let shown = if found.is_empty() { "none" } else { &found };
        let message = format!("{place} needs exactly one of {}, found {shown}", known.join(", "));
        reporter.error(node.position, message, found.as_str(), None);
    }
    None
}

/// The entries of a mapping with free keys.
pub(super) fn mapping<'a>(node: &'a Node, place: &str, reporter: &mut Reporter) -> Option<&'a [Entry]> {
    match &node.data {
        Data::Mapping(entries) => Some(entries),
        _ => unexpected(node, place, "a mapping", None, reporter),
    }
}

/// The items of a list.
pub(super) fn list<'a>(node: &'a Node, place: &str, reporter: &mut Reporter) -> Option<&'a [Node]> {
    match &node.data {
        Data::Sequence(items) => Some(items),
        _ => unexpected(node, place, "a list", None, reporter),
    }
}

/// A name: text, or a number taken as written (keys are text in any case, so `target: 2` must find the version `2`).
pub(super) fn name<'a>(node: &'a Node, place: &str, reporter: &mut Reporter) -> Option<&'a str> {
    match &node.data {
        Data::String(text) | Data::Number(text) if !text.is_empty() => Some(text),
        Data::String(_) => {
            reporter.error(node.position, format!("{place} is empty"), "\"\"", None);
            None
        }
        _ => unexpected(node, place, "a name", None, reporter),
    }
}

/// Reports that `node` is not what `place` must be.
pub(super) fn unexpected<T>(
    node: &Node,
    place: &str,
    expected: &str,
    help: Option<String>,
    reporter: &mut Reporter,
) -> Option<T> {
    let found = node.found();
    reporter.error(node.position, format!("{place} must be {expected}, found {found}"), found, help);
    None
}
