//! The list under `resources:`, ordinary Envoy resources as in Envoy's own file-based xDS, to [`Resource`]s.
//!
//! It reads one resource at a time and does not compare them: two of one name, or a name that nobody defines, are found
//! where all files are known.

use std::sync::Arc;

use super::diagnostic::Reporter;
use super::yaml::{Data, Node};
use super::{NodeSelector, Origin, Resource, ResourceKind, message};

/// The resources of `document`, a mapping with the key `resources`, for the proxies that `nodes` selects. One with a
/// mistake is left out; all mistakes are with the reporter.
pub fn read(document: &Node, nodes: &Arc<NodeSelector>, reporter: &mut Reporter) -> Vec<Resource> {
    let items = match document.get("resources") {
        Some(Node { data: Data::Sequence(items), .. }) => items.as_slice(),
        None | Some(Node { data: Data::Null, .. }) => &[],
        Some(node) => {
            let found = node.found();
            let help = Some("each resource begins with - \"@type\": type.googleapis.com/...".to_owned());
            reporter.error(node.position, format!("resources: expected a list, found {found}"), found, help);
            &[]
        }
    };
    items.iter().filter_map(|node| resource(node, nodes, reporter)).collect()
}

fn resource(node: &Node, nodes: &Arc<NodeSelector>, reporter: &mut Reporter) -> Option<Resource> {
    let (type_url, descriptor) = message::type_of(node, reporter)?;
    let Some(kind) = ResourceKind::from_message_name(descriptor.full_name()) else {
        refuse(type_url, descriptor.full_name(), reporter);
        return None;
    };
    let message = message::read_typed(node, &descriptor, reporter);
    let name = name(node, kind, reporter)?;
    let origin = Origin { file: reporter.file().clone(), line: node.position.line, column: node.position.column };
    Some(Resource { kind, name, message: message?, nodes: nodes.clone(), origin })
}

/// Proxies ask for resources by name: one without can never be asked for.
fn name(node: &Node, kind: ResourceKind, reporter: &mut Reporter) -> Option<Arc<str>> {
    let field = kind.name_field();
    let entry = node.entry(field).or_else(|| node.entry("clusterName").filter(|_| field == "cluster_name"));
    match entry.map(|entry| &entry.value.data) {
        Some(Data::String(name)) if !name.is_empty() => Some(name.as_str().into()),
        None | Some(Data::Null | Data::String(_)) => {
            let position = entry.map_or(node.position, |entry| entry.value.position);
            let found = entry.map_or_else(String::new, |entry| entry.value.found());
            let help = Some("proxies ask for it by this name".to_owned());
            let kind = kind.message_name();
            reporter.error(position, format!("{field}: expected the name of this {kind}, found nothing"), found, help);
            None
        }
        // Not text: reported when the message was read.
        Some(_) => None,
    }
}

fn refuse(type_url: &Node, found: &str, reporter: &mut Reporter) {
    let names = || ResourceKind::ALL.into_iter().map(ResourceKind::message_name);
    let message = format!("{found} is no resource: resources are {}", names().collect::<Vec<_>>().join(", "));
    let word = last_word(found);
    let meant = names().find(|name| last_word(name).contains(word));
    let help = meant.map(|name| format!("did you mean type.googleapis.com/{name}?"));
    reporter.error(type_url.position, message, type_url.found(), help);
}

fn last_word(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
