//! Which proxies see a document: the `nodes:` key, and whether a node answers to it.
//!
//! ```yaml
//! nodes:
//!   id: "edge-*"
//!   cluster: edge
//!   metadata: {team: shop, rack.row: "?7"}
//!   locality: {region: eu-*, zone: eu-1, sub_zone: a}
//! ```

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use serde_json::Value;

use super::Reporter;
use super::fields::{Fields, mapping};
use super::model::{NodeIdentity, NodeSelector};
use super::yaml::{Data, Node};

/// A pattern over a whole text: `*` any run (slashes too), `?` one character, `[abc]` one of these, `{a,b}` either.
/// Compiled once; equal and ordered by its source.
#[derive(Clone)]
pub struct Glob {
    matcher: GlobMatcher,
}

impl Glob {
    /// Compiles `pattern`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words: a bracket or brace without its other half, a range that runs backwards.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(pattern).literal_separator(false).build().map_err(|e| e.kind().to_string())?;
        Ok(Self { matcher: glob.compile_matcher() })
    }

    /// Whether the whole of `text` fits.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }

    /// Whether all that `other` matches is matched here, as far as it shows without comparing patterns.
    fn covers(&self, other: &Self) -> bool {
        let pattern = other.as_str();
        self == other || !pattern.contains(['*', '?', '[', '{', '\\']) && self.matches(pattern)
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.matcher.glob().glob()
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Glob {}

impl PartialOrd for Glob {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Glob {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl NodeSelector {
    /// Whether every condition holds for `node`.
    #[must_use]
    pub fn matches(&self, node: &NodeIdentity) -> bool {
        let Self { id, cluster, metadata, region, zone, sub_zone } = self;
        let holds = |glob: &Option<Glob>, text: &str| glob.as_ref().is_none_or(|glob| glob.matches(text));
        holds(id, &node.id)
            && holds(cluster, &node.cluster)
            && holds(region, &node.region)
            && holds(zone, &node.zone)
            && holds(sub_zone, &node.sub_zone)
            && metadata.iter().all(|(path, glob)| {
                lookup(&|key| node.metadata.get(key), path).is_some_and(|value| glob.matches(&as_text(value)))
            })
    }

    /// Whether it takes every node that `other` takes, as far as their conditions show it: those here are there too, or
    /// a text there fits the glob here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let Self { id, cluster, metadata, region, zone, sub_zone } = self;
        let holds = |wide: &Option<Glob>, narrow: &Option<Glob>| {
            wide.as_ref().is_none_or(|wide| narrow.as_ref().is_some_and(|narrow| wide.covers(narrow)))
        };
        holds(id, &other.id)
            && holds(cluster, &other.cluster)
            && holds(region, &other.region)
            && holds(zone, &other.zone)
            && holds(sub_zone, &other.sub_zone)
            && metadata.iter().all(|(path, wide)| other.metadata.get(path).is_some_and(|narrow| wide.covers(narrow)))
    }

    /// Whether it takes every node.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// Follows `path` down the metadata. A key that has dots itself is found too, before they are taken as steps.
fn lookup<'a>(get: &dyn Fn(&str) -> Option<&'a Value>, path: &str) -> Option<&'a Value> {
    get(path).or_else(|| {
        path.match_indices('.').find_map(|(dot, _)| {
            let inner = get(&path[..dot])?;
            lookup(&|key| inner.get(key), &path[dot + 1..])
        })
    })
}

/// Numbers come from protobuf as doubles: `7.0` is what its writer called `7`.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            let text = number.to_string();
            text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
        }
        value => value.to_string(),
    }
}

/// Reads the value of a `nodes:` key. Conditions with mistakes are reported and left out.
#[must_use]
pub fn read(node: &Node, reporter: &mut Reporter) -> NodeSelector {
    let mut selector = NodeSelector::default();
    let known = ["id", "cluster", "metadata", "locality"];
    let Some(fields) = Fields::read(node, "nodes", &known, reporter) else { return selector };
    selector.id = fields.get("id").and_then(|node| glob(node, "nodes.id", reporter));
    selector.cluster = fields.get("cluster").and_then(|node| glob(node, "nodes.cluster", reporter));
    if let Some(node) = fields.get("metadata") {
        selector.metadata = metadata(node, reporter);
    }
    if let Some(node) = fields.get("locality") {
        let known = ["region", "zone", "sub_zone"];
        if let Some(locality) = Fields::read(node, "nodes.locality", &known, reporter) {
            let mut part = |key: &str| locality.get(key).and_then(|node| glob(node, "a locality", reporter));
            selector.region = part("region");
            selector.zone = part("zone");
            selector.sub_zone = part("sub_zone");
        }
    }
    selector
}

/// [`read`], where there is such a key, and every node where there is none. `None` if it has mistakes: what is left of
/// it would mean other nodes than its writer did.
pub(super) fn all_or_some(node: Option<&Node>, reporter: &mut Reporter) -> Option<Arc<NodeSelector>> {
    let errors = reporter.errors();
    let selector = node.map_or_else(NodeSelector::default, |node| read(node, reporter));
    (reporter.errors() == errors).then(|| Arc::new(selector))
}

fn metadata(node: &Node, reporter: &mut Reporter) -> BTreeMap<String, Glob> {
    let entries = mapping(node, "nodes.metadata", reporter).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), glob(&entry.value, "a metadata value", reporter)?)))
        .collect()
}

fn glob(node: &Node, place: &str, reporter: &mut Reporter) -> Option<Glob> {
    let pattern = match &node.data {
        Data::String(text) | Data::Number(text) => text.clone(),
        Data::Bool(value) => value.to_string(),
        Data::Mapping(_) if place == "a metadata value" => {
            let help = Some("descend with dots: rack.row: \"7\"".to_owned());
            reporter.error(node.position, format!("{place} must be a glob, found a mapping"), "a mapping", help);
            return None;
        }
        _ => {
            let found = node.found();
            reporter.error(node.position, format!("{place} must be a glob, found {found}"), found, None);
            return None;
        }
    };
    match Glob::new(&pattern) {
        Ok(glob) => Some(glob),
        Err(reason) => {
            let help = Some("* is any run of characters, ? is one".to_owned());
            reporter.error(node.position, format!("{pattern:?} is no glob: {reason}"), pattern, help);
            None
        }
    }
}

#[cfg(test)]
mod tests;
