//! Walks the YAML tree of Envoy resources beside the descriptors, through `Any` too.
//!
//! For what is asked of a resource as its writer laid it out: messages have lost their places, the tree has not. Keys
//! that are no fields are skipped, and so is what is not of its field's type: reading the message reports them.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::descriptor;
use super::yaml::{Data, Node};

/// Shows `visit` every message in the items of a `resources:` list, the outer before the inner.
pub(super) fn messages(resources: &Node, visit: &mut dyn FnMut(&Node, &MessageDescriptor)) {
    if let Data::Sequence(items) = &resources.data {
        for item in items {
            any(item, visit);
        }
    }
}

/// The field that `key` means in a message, in either spelling.
pub(super) fn field(message: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(key).or_else(|| message.get_field_by_json_name(key))
}

/// A message that says its own type.
fn any(node: &Node, visit: &mut dyn FnMut(&Node, &MessageDescriptor)) {
    let Some(Data::String(url)) = node.get("@type").map(|node| &node.data) else { return };
    let name = url.rsplit('/').next().unwrap_or(url);
    if let Some(desc) = descriptor::message(name) {
        message(node, &desc, visit);
    }
}

fn message(node: &Node, desc: &MessageDescriptor, visit: &mut dyn FnMut(&Node, &MessageDescriptor)) {
    let Data::Mapping(entries) = &node.data else { return };
    if desc.full_name() == "google.protobuf.Any" {
        return any(node, visit);
    }
    visit(node, desc);
    for entry in entries {
        if let Some(field) = field(desc, &entry.key) {
            value(&entry.value, &field, visit);
        }
    }
}

fn value(node: &Node, field: &FieldDescriptor, visit: &mut dyn FnMut(&Node, &MessageDescriptor)) {
    let Kind::Message(desc) = field.kind() else { return };
    match &node.data {
        Data::Mapping(entries) if field.is_map() => {
            let Kind::Message(desc) = desc.map_entry_value_field().kind() else { return };
            for entry in entries {
                message(&entry.value, &desc, visit);
            }
        }
        Data::Sequence(items) if field.is_list() => {
            for item in items {
                message(item, &desc, visit);
            }
        }
        _ => message(node, &desc, visit),
    }
}
