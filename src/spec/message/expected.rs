//! What a field wants, in the words of an error message.

use prost_reflect::{Kind, MessageDescriptor};

use super::well_known;

/// One value of `kind`.
pub(super) fn one(kind: &Kind) -> String {
    match kind {
        Kind::Double | Kind::Float => "a number".into(),
        Kind::Bool => "true or false".into(),
        Kind::String => "text".into(),
        Kind::Bytes => "base64 text".into(),
        Kind::Enum(descriptor) => format!("a value of {}", descriptor.full_name()),
        Kind::Message(descriptor) => message(descriptor),
        kind => {
            let (min, max) = range(kind);
            format!("a whole number from {min} to {max}")
        }
    }
}

/// One `descriptor`.
pub(super) fn message(descriptor: &MessageDescriptor) -> String {
    match well_known::short_name(descriptor) {
        Some("Duration") => "a duration in seconds such as \"1.5s\"".into(),
        Some("Timestamp") => "a time such as \"2026-12-01T02:00:00Z\"".into(),
        Some("ListValue") => "a list".into(),
        Some("Struct") => "a mapping".into(),
        Some("Any") => "a mapping with \"@type\"".into(),
        Some("Empty") => "an empty mapping {}".into(),
        Some("Value") => "any value".into(),
        Some(_) => descriptor.get_field(1).map_or_else(String::new, |value| one(&value.kind())),
        None => format!("a mapping ({})", descriptor.full_name()),
    }
}

/// Several values of `kind`, behind "a list of".
pub(super) fn many(kind: &Kind) -> String {
    match kind {
        Kind::Double | Kind::Float => "numbers".into(),
        Kind::Bool => "booleans".into(),
        Kind::String => "texts".into(),
        Kind::Bytes => "base64 texts".into(),
        Kind::Enum(descriptor) => descriptor.full_name().into(),
        Kind::Message(descriptor) => descriptor.full_name().into(),
        _ => "whole numbers".into(),
    }
}

/// The smallest and the largest value of an integer `kind`.
pub(super) fn range(kind: &Kind) -> (i128, i128) {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX.into()),
        Kind::Uint64 | Kind::Fixed64 => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}
