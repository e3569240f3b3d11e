//! What definitions with mistakes would define, as far as their names can be read.
//!
//! So that one mistake hides no other and makes up none: a name that stands twice is told although one of the two has a
//! typo, and a name defined by what has a typo is not called undefined.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::model::{Broken, BrokenKind, NodeSelector, Origin, Resource, ResourceKind};
use super::yaml::{Data, Node, Position};

/// The keys under which a resource of unknown type may have its name.
const NAME_FIELDS: [&str; 3] = ["name", "cluster_name", "clusterName"];

/// The items of a `resources:` list that are not among those `read`, for the proxies `nodes`, if these are known.
pub(super) fn resources(
    list: &Node,
    read: &[Resource],
    nodes: Option<&Arc<NodeSelector>>,
    file: &Arc<str>,
) -> Vec<Broken> {
    let Data::Sequence(items) = &list.data else { return Vec::new() };
    let read: BTreeSet<_> = read.iter().map(|resource| (resource.origin.line, resource.origin.column)).collect();
    let others = items.iter().filter(|item| !read.contains(&(item.position.line, item.position.column)));
    others.filter_map(|item| resource(item, nodes, file)).collect()
}

fn resource(item: &Node, nodes: Option<&Arc<NodeSelector>>, file: &Arc<str>) -> Option<Broken> {
    let url = item.get("@type").and_then(text);
    let kind = url.and_then(|url| ResourceKind::from_message_name(url.rsplit('/').next().unwrap_or(url)));
    let fields = NAME_FIELDS.iter().filter(|field| match kind {
        Some(ResourceKind::ClusterLoadAssignment) => **field != "name",
        Some(_) => **field == "name",
        None => true,
    });
    let name = fields.filter_map(|field| item.get(field)).find_map(text)?;
    let kind = kind.zip(nodes.cloned()).map(|(kind, nodes)| BrokenKind::Resource(kind, nodes));
    Some(broken(name, kind, item.position, file))
}

/// A document with `metadata.name`: a rollout, or something that could not be told.
pub(super) fn named(document: &Node, kind: Option<BrokenKind>, file: &Arc<str>) -> Option<Broken> {
    let node = document.get("metadata")?.get("name")?;
    Some(broken(text(node)?, kind, node.position, file))
}

/// A document that is none we know: whatever has a name in it.
pub(super) fn unknown(document: &Node, file: &Arc<str>) -> Vec<Broken> {
    let Data::Mapping(entries) = &document.data else { return Vec::new() };
    let items = entries.iter().flat_map(|entry| resources(&entry.value, &[], None, file));
    items.chain(named(document, None, file)).collect()
}

fn broken(name: &str, kind: Option<BrokenKind>, Position { line, column }: Position, file: &Arc<str>) -> Broken {
    Broken { name: name.into(), kind, origin: Origin { file: file.clone(), line, column } }
}

fn text(node: &Node) -> Option<&str> {
    match &node.data {
        Data::String(text) | Data::Number(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// The part of `text` that is lost where a mistake of syntax at `line` (from 1) ends the reading: from the start of the
/// document that the mistake is in. A mistake found where the next document starts is in the one before.
pub(super) fn unread(text: &str, line: u32) -> &str {
    let (mut start, mut offset) = (0, 0);
    for (_, before) in (1..line).zip(text.split_inclusive('\n')) {
        if before.starts_with("---") {
            start = offset;
        }
        offset += before.len();
    }
    &text[start..]
}
