//! The messages of `google.protobuf` that JSON writes in a form of their own, as far as the Envoy API knows them
//! (`FieldMask` it does not).

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};

use super::{Reader, expected, set, time};
use crate::spec::yaml::{Data, Node};

const NAMES: [&str; 16] = [
    "Any",
    "BoolValue",
    "BytesValue",
    "DoubleValue",
    "Duration",
    "Empty",
    "FloatValue",
    "Int32Value",
    "Int64Value",
    "ListValue",
    "StringValue",
    "Struct",
    "Timestamp",
    "UInt32Value",
    "UInt64Value",
    "Value",
];

/// The name within `google.protobuf`, of a message that has a form of its own.
pub(super) fn short_name(descriptor: &MessageDescriptor) -> Option<&'static str> {
    let name = descriptor.full_name().strip_prefix("google.protobuf.")?;
    NAMES.into_iter().find(|known| *known == name)
}

impl Reader<'_> {
    /// The message whose [`short_name`] is `name`.
    pub(super) fn well_known(
        &mut self,
        name: &str,
        node: &Node,
        descriptor: &MessageDescriptor,
        place: &str,
    ) -> Option<DynamicMessage> {
        match name {
            "Any" => self.any(node, descriptor, place),
            "Duration" => self.duration(node, descriptor, place),
            "Timestamp" => self.timestamp(node, descriptor, place),
            "Value" => self.dynamic_value(node, descriptor, place),
            "Empty" => match &node.data {
                Data::Mapping(entries) if entries.is_empty() => Some(DynamicMessage::new(descriptor.clone())),
                _ => self.mismatch(node, &expected::message(descriptor), place),
            },
            // The wrappers, Struct and ListValue stand for their one field.
            _ => self.only_field(node, descriptor, place),
        }
    }

    fn only_field(&mut self, node: &Node, descriptor: &MessageDescriptor, place: &str) -> Option<DynamicMessage> {
        let field = descriptor.get_field(1)?;
        let value = match (&field.kind(), &node.data) {
            (Kind::Message(_), Data::Mapping(_) | Data::Sequence(_)) if field.is_map() == is_mapping(node) => {
                self.field(node, &field, place)
            }
            (Kind::Message(_), _) => self.mismatch(node, &expected::message(descriptor), place),
            (kind, Data::Mapping(_)) => {
                let help = Some("the value is written by itself, without a mapping around it".to_owned());
                self.mismatch_with(node, &expected::one(kind), place, help)
            }
            (kind, _) => self.scalar(node, kind, place),
        }?;
        with(descriptor, [(1, value)])
    }

    fn dynamic_value(&mut self, node: &Node, descriptor: &MessageDescriptor, place: &str) -> Option<DynamicMessage> {
        let (name, value) = match &node.data {
            Data::Null => ("null_value", Value::EnumNumber(0)),
            Data::Bool(value) => ("bool_value", Value::Bool(*value)),
            Data::String(text) => ("string_value", Value::String(text.clone())),
            Data::Number(_) => {
                let number = self.float(node, &Kind::Double, place)?;
                if !number.is_finite() {
                    return self.mismatch(node, "a finite number", place);
                }
                ("number_value", Value::F64(number))
            }
            Data::Sequence(_) => ("list_value", Value::Bool(false)),
            Data::Mapping(_) => ("struct_value", Value::Bool(false)),
        };
        let field = descriptor.get_field_by_name(name)?;
        let value = match field.kind() {
            Kind::Message(inner) => Value::Message(self.message(node, &inner, place)?),
            _ => value,
        };
        with(descriptor, [(field.number(), value)])
    }

    fn duration(&mut self, node: &Node, descriptor: &MessageDescriptor, place: &str) -> Option<DynamicMessage> {
        let text = match &node.data {
            Data::String(text) | Data::Number(text) => text.as_str(),
            _ => "",
        };
        let Some((seconds, nanos)) = time::duration(text) else {
            let help = time::duration_help(text);
            return self.mismatch_with(node, &expected::message(descriptor), place, help);
        };
        with(descriptor, [(1, Value::I64(seconds)), (2, Value::I32(nanos))])
    }

    fn timestamp(&mut self, node: &Node, descriptor: &MessageDescriptor, place: &str) -> Option<DynamicMessage> {
        let Data::String(text) = &node.data else {
            return self.mismatch(node, &expected::message(descriptor), place);
        };
        match time::timestamp(text) {
            Some((seconds, nanos)) => with(descriptor, [(1, Value::I64(seconds)), (2, Value::I32(nanos))]),
            None => self.mismatch(node, &expected::message(descriptor), place),
        }
    }
}

fn is_mapping(node: &Node) -> bool {
    matches!(node.data, Data::Mapping(_))
}

/// A message with these fields, by number; `None` if it has no such fields.
fn with<const N: usize>(descriptor: &MessageDescriptor, fields: [(u32, Value); N]) -> Option<DynamicMessage> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (number, value) in fields {
        set(&mut message, &descriptor.get_field(number)?, value);
    }
    Some(message)
}
