//! A YAML tree to a protobuf message, by its descriptor and the proto3 JSON mapping
//! (<https://protobuf.dev/programming-guides/json/>), with every mistake at its line and column.
//!
//! What it lets through, Envoy's own JSON loader lets through, with two exceptions that the tree makes possible: `.inf`
//! and `.nan` for floats, and text such as `yes` where text is asked for. It is stricter in two points: an enum number
//! must exist, and a number with a leading zero is refused, because YAML versions disagree on its meaning. It knows
//! types, not the validation rules of Envoy's fields: those are the proxy's to say.

mod any;
mod expected;
mod scalar;
#[cfg(test)]
mod tests;
pub(super) mod time;
mod well_known;

use std::collections::BTreeMap;
use std::collections::btree_map;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::diagnostic::Reporter;
use super::suggest;
use super::yaml::{Data, Entry, Node};

/// Messages within messages, as protobuf decoders count them (a map entry is one): beyond 100 the C++ decoder in Envoy
/// gives up, and so does ours. The bytes of an `Any` are a message of their own and start anew.
const MAX_DEPTH: usize = 100;

/// The message at `node`. `None` when there is any mistake in it; all of them are with the reporter.
pub fn read(node: &Node, descriptor: &MessageDescriptor, reporter: &mut Reporter) -> Option<DynamicMessage> {
    let before = reporter.errors();
    let message = Reader { reporter, depth: 0 }.message(node, descriptor, descriptor.name());
    message.filter(|_| reporter.errors() == before)
}

/// What the `"@type"` of a mapping says: the node that says it, which is text, and the message it names.
pub(super) fn type_of<'n>(node: &'n Node, reporter: &mut Reporter) -> Option<(&'n Node, MessageDescriptor)> {
    Reader { reporter, depth: 0 }.payload_type(node, "resource")
}

/// As [`read`], from a mapping that has `"@type"` beside the fields; [`type_of`] has read that.
pub(super) fn read_typed(
    node: &Node,
    descriptor: &MessageDescriptor,
    reporter: &mut Reporter,
) -> Option<DynamicMessage> {
    let before = reporter.errors();
    let message = Reader { reporter, depth: 0 }.payload(node, descriptor, descriptor.name());
    message.filter(|_| reporter.errors() == before)
}

/// Sets a field, unless that says no more than its absence (`name: ""`): equal messages compare as equal.
fn set(message: &mut DynamicMessage, field: &FieldDescriptor, value: Value) {
    if field.supports_presence() || !value.is_default_for_field(field) {
        message.set_field(field, value);
    }
}

/// Reads on after a mistake: what it returns may then lack fields, and is for finding further mistakes only.
struct Reader<'a> {
    reporter: &'a mut Reporter,
    depth: usize,
}

impl Reader<'_> {
    /// `place` names what is read, for the message of a mistake: the field, or at the root the message.
    fn message(&mut self, node: &Node, descriptor: &MessageDescriptor, place: &str) -> Option<DynamicMessage> {
        self.nested(node, |reader| {
            if let Some(name) = well_known::short_name(descriptor) {
                return reader.well_known(name, node, descriptor, place);
            }
            let Data::Mapping(entries) = &node.data else {
                return reader.mismatch(node, &expected::message(descriptor), place);
            };
            Some(reader.fields(entries.iter(), descriptor))
        })
    }

    fn nested<T>(&mut self, node: &Node, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            let message = format!("nested deeper than the {MAX_DEPTH} messages that a protobuf decoder accepts");
            self.reporter.error(node.position, message, node.found(), None);
            return None;
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn fields<'n>(
        &mut self,
        entries: impl Iterator<Item = &'n Entry>,
        descriptor: &MessageDescriptor,
    ) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut seen: Vec<(FieldDescriptor, &Entry)> = Vec::new();
        for entry in entries {
            let by_name = descriptor.get_field_by_name(&entry.key);
            let Some(field) = by_name.or_else(|| descriptor.get_field_by_json_name(&entry.key)) else {
                self.unknown_field(entry, descriptor);
                continue;
            };
            if self.is_absent(entry, &field) || self.clashes(entry, &field, &seen) {
                continue;
            }
            seen.push((field.clone(), entry));
            if let Some(value) = self.field(&entry.value, &field, field.name()) {
                set(&mut message, &field, value);
            }
        }
        message
    }

    fn unknown_field(&mut self, entry: &Entry, descriptor: &MessageDescriptor) {
        let (key, name) = (&entry.key, descriptor.full_name());
        if descriptor.reserved_names().any(|reserved| reserved == key) {
            let message = format!("the field {key:?} has been removed from {name}");
            return self.reporter.error(entry.position, message, key, None);
        }
        let fields: Vec<_> = descriptor.fields().collect();
        let help = suggest::or_list(key, "its fields are", fields.iter().map(FieldDescriptor::name));
        self.reporter.error(entry.position, format!("unknown field {key:?} in {name}"), key, help);
    }

    /// Whether something before `entry` rules it out: the same field, or another of its oneof.
    fn clashes(&mut self, entry: &Entry, field: &FieldDescriptor, seen: &[(FieldDescriptor, &Entry)]) -> bool {
        let oneof = field.containing_oneof();
        let Some((_, first)) =
            seen.iter().find(|(other, _)| other == field || (oneof.is_some() && other.containing_oneof() == oneof))
        else {
            return false;
        };
        let (key, other, line) = (&entry.key, &first.key, first.position.line);
        let known = seen.iter().any(|(other, _)| other == field);
        let message = if known {
            format!("{key:?} stands here a second time, first as {other:?} at line {line}")
        } else {
            format!("{key:?} and {other:?} (line {line}) exclude each other: only one of them can be set")
        };
        self.reporter.error(entry.position, message, key, None);
        true
    }

    /// In JSON `null` is an absent field, unless null is a value of its type.
    fn is_absent(&mut self, entry: &Entry, field: &FieldDescriptor) -> bool {
        if entry.value.data != Data::Null {
            return false;
        }
        match field.kind() {
            _ if field.is_list() || field.is_map() => true,
            Kind::Enum(descriptor) => descriptor.full_name() != "google.protobuf.NullValue",
            Kind::Message(descriptor) => {
                let name = well_known::short_name(&descriptor);
                if name.is_none() {
                    let message = format!("{}: nothing stands here, so the field counts as absent", entry.key);
                    let help = "write {} for a message without fields, or leave the field out".to_owned();
                    self.reporter.warning(entry.position, message, &entry.key, Some(help));
                }
                name != Some("Value")
            }
            _ => true,
        }
    }

    fn field(&mut self, node: &Node, field: &FieldDescriptor, place: &str) -> Option<Value> {
        if field.is_map() {
            self.map(node, field, place).map(|entries| Value::Map(entries.into_iter().collect()))
        } else if field.is_list() {
            self.list(node, field, place).map(Value::List)
        } else {
            self.single(node, &field.kind(), place)
        }
    }

    fn list(&mut self, node: &Node, field: &FieldDescriptor, place: &str) -> Option<Vec<Value>> {
        let Data::Sequence(items) = &node.data else {
            let expected = format!("a list of {}", expected::many(&field.kind()));
            let help = Some("a list of one is written [x], or with a \"- \" before it".to_owned());
            return self.mismatch_with(node, &expected, place, help);
        };
        let kind = field.kind();
        Some(items.iter().filter_map(|item| self.single(item, &kind, place)).collect())
    }

    fn map(&mut self, node: &Node, field: &FieldDescriptor, place: &str) -> Option<BTreeMap<MapKey, Value>> {
        let Kind::Message(pair) = field.kind() else { return None };
        let (key_kind, value_kind) = (pair.map_entry_key_field().kind(), pair.map_entry_value_field().kind());
        let Data::Mapping(entries) = &node.data else {
            let expected = format!("a mapping to {}", expected::many(&value_kind));
            return self.mismatch(node, &expected, place);
        };
        let mut values = BTreeMap::new();
        for entry in entries {
            let value = self.nested(&entry.value, |reader| reader.single(&entry.value, &value_kind, place));
            let Some(key) = self.map_key(entry, &key_kind, place) else { continue };
            match values.entry(key) {
                btree_map::Entry::Vacant(slot) => {
                    if let Some(value) = value {
                        slot.insert(value);
                    }
                }
                btree_map::Entry::Occupied(_) => {
                    let message = format!("{place}: the key {:?} stands here a second time", entry.key);
                    self.reporter.error(entry.position, message, &entry.key, None);
                }
            }
        }
        Some(values)
    }

    fn single(&mut self, node: &Node, kind: &Kind, place: &str) -> Option<Value> {
        match kind {
            Kind::Message(descriptor) => self.message(node, descriptor, place).map(Value::Message),
            Kind::Enum(descriptor) => self.enumeration(node, descriptor, place).map(Value::EnumNumber),
            kind => self.scalar(node, kind, place),
        }
    }

    fn mismatch<T>(&mut self, node: &Node, expected: &str, place: &str) -> Option<T> {
        self.mismatch_with(node, expected, place, None)
    }

    fn mismatch_with<T>(&mut self, node: &Node, expected: &str, place: &str, help: Option<String>) -> Option<T> {
        let found = node.found();
        let message = format!("{place}: expected {expected}, found {found}");
        let written = if let Data::String(text) = &node.data { text } else { &found };
        self.reporter.error(node.position, message, written, help);
        None
    }
}
