//! Booleans, numbers, text, bytes, enum values and map keys.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{EnumDescriptor, EnumValueDescriptor, Kind, MapKey, Value};

use super::{Reader, expected};
use crate::spec::suggest;
use crate::spec::yaml::{Data, Entry, Node};

/// As the JSON mapping asks: with or without padding.
const BASE64: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, BASE64);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, BASE64);

/// Digits that an integer can have before it is out of every range.
const MAX_DIGITS: usize = 30;

impl Reader<'_> {
    /// A value of any kind but messages and enums.
    pub(super) fn scalar(&mut self, node: &Node, kind: &Kind, place: &str) -> Option<Value> {
        match kind {
            Kind::Bool => self.boolean(node, place).map(Value::Bool),
            Kind::String => self.text(node, place).map(Value::String),
            Kind::Bytes => self.bytes(node, place).map(|bytes| Value::Bytes(bytes.into())),
            Kind::Double => self.float(node, kind, place).map(Value::F64),
            Kind::Float => self.single_float(node, kind, place).map(Value::F32),
            Kind::Message(_) | Kind::Enum(_) => None,
            kind => self.integer(node, kind, place),
        }
    }

    fn boolean(&mut self, node: &Node, place: &str) -> Option<bool> {
        let help = match node.boolean() {
            Ok(value) => return Some(value),
            Err(help) => help,
        };
        self.mismatch_with(node, &expected::one(&Kind::Bool), place, help)
    }

    pub(super) fn text(&mut self, node: &Node, place: &str) -> Option<String> {
        let help = match &node.data {
            Data::String(text) => return Some(text.clone()),
            Data::Bool(_) | Data::Number(_) => Some(format!("quote it: \"{}\"", node.found())),
            _ => None,
        };
        self.mismatch_with(node, "text", place, help)
    }

    /// The text itself is not repeated in the message: bytes are where private keys are.
    fn bytes(&mut self, node: &Node, place: &str) -> Option<Vec<u8>> {
        let Data::String(text) = &node.data else { return self.mismatch(node, "base64 text", place) };
        let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        let bytes = engine.decode(text).ok();
        if bytes.is_none() {
            let message = format!("{place}: expected base64 text, found other text");
            let help = (place == "inline_bytes").then(|| "text as it is goes into inline_string".to_owned());
            self.reporter.error(node.position, message, "", help);
        }
        bytes
    }

    pub(super) fn float(&mut self, node: &Node, kind: &Kind, place: &str) -> Option<f64> {
        let value = match &node.data {
            Data::Number(text) | Data::String(text) => match text.as_str() {
                "NaN" | ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
                "Infinity" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
                "-Infinity" | "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
                text if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) => {
                    hexadecimal(text).or_else(|| text.parse().ok())
                }
                _ => None,
            },
            _ => None,
        };
        match value {
            Some(value) if value.is_finite() => Some(value),
            Some(_) if node.found().contains(|c: char| c.is_ascii_digit()) => {
                self.mismatch(node, &format!("a number from {:e} to {:e}", f64::MIN, f64::MAX), place)
            }
            _ => self.mismatch(node, &expected::one(kind), place),
        }
    }

    fn single_float(&mut self, node: &Node, kind: &Kind, place: &str) -> Option<f32> {
        let value = self.float(node, kind, place)?;
        #[expect(clippy::cast_possible_truncation, reason = "the nearest float is what the field holds")]
        let nearest = value as f32;
        if nearest.is_infinite() && value.is_finite() {
            return self.mismatch(node, &format!("a number from {:e} to {:e}", f32::MIN, f32::MAX), place);
        }
        Some(nearest)
    }

    fn integer(&mut self, node: &Node, kind: &Kind, place: &str) -> Option<Value> {
        let text = match &node.data {
            Data::Number(text) | Data::String(text) => text.as_str(),
            _ => "",
        };
        let (Some(number), None) = (whole(text), octal(text)) else {
            let help = octal(text).map(|value| format!("write {value} if octal is meant, or drop the leading zero"));
            return self.mismatch_with(node, &expected::one(kind), place, help);
        };
        integer_of(kind, number).or_else(|| self.mismatch(node, &expected::one(kind), place))
    }

    /// By name, or by a number that has a name.
    pub(super) fn enumeration(&mut self, node: &Node, descriptor: &EnumDescriptor, place: &str) -> Option<i32> {
        let value = match &node.data {
            Data::Null if descriptor.full_name() == "google.protobuf.NullValue" => return Some(0),
            Data::String(name) => descriptor.get_value_by_name(name),
            Data::Number(text) => {
                whole(text).and_then(|number| i32::try_from(number).ok()).and_then(|n| descriptor.get_value(n))
            }
            _ => None,
        };
        if let Some(value) = value {
            return Some(value.number());
        }
        let values: Vec<_> = descriptor.values().collect();
        let word = if let Data::String(text) = &node.data { text } else { "" };
        let help = suggest::or_list(word, "its values are", values.iter().map(EnumValueDescriptor::name));
        self.mismatch_with(node, &format!("a value of {}", descriptor.full_name()), place, help)
    }

    pub(super) fn map_key(&mut self, entry: &Entry, kind: &Kind, place: &str) -> Option<MapKey> {
        let key = match kind {
            Kind::String => Some(MapKey::String(entry.key.clone())),
            Kind::Bool => entry.key.parse().ok().map(MapKey::Bool),
            kind => whole(&entry.key).and_then(|n| integer_of(kind, n)).and_then(Value::into_map_key),
        };
        if key.is_none() {
            let expected = expected::one(kind);
            let message = format!("{place}: expected {expected} as key, found {:?}", entry.key);
            self.reporter.error(entry.position, message, &entry.key, None);
        }
        key
    }
}

/// `number` as a value of an integer `kind`, if it is in its range.
fn integer_of(kind: &Kind, number: i128) -> Option<Value> {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => number.try_into().ok().map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => number.try_into().ok().map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => number.try_into().ok().map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => number.try_into().ok().map(Value::U64),
        _ => None,
    }
}

/// The whole number that `text` writes, exactly, be it as `12`, `0x0c`, `12.0` or `1.2e1`.
fn whole(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i128::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with(['-', '+']));
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut scale = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
    while scale < 0 && digits.ends_with('0') {
        digits.pop();
        scale += 1;
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let zeros = usize::try_from(scale).ok()?;
    if digits.len().saturating_add(zeros) > MAX_DIGITS {
        return None;
    }
    let number: i128 = format!("{digits}{}", "0".repeat(zeros)).parse().ok()?;
    Some(if negative { -number } else { number })
}

/// The value of `text` for readers to whom a leading zero means octal (YAML 1.1, and with it Envoy).
fn octal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('0').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    if digits.is_empty() { None } else { i128::from_str_radix(digits, 8).ok().or_else(|| digits.parse().ok()) }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest float is what the field holds")]
fn hexadecimal(text: &str) -> Option<f64> {
    text.strip_prefix("0x").and_then(|_| whole(text)).map(|number| number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_exactly() {
        for (text, number) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("12", Some(12)),
            ("+12", Some(12)),
            ("-12.00", Some(-12)),
            ("1.2e1", Some(12)),
            ("1200e-2", Some(12)),
            ("1e3", Some(1000)),
            ("0x1F", Some(31)),
            ("18446744073709551615", Some(18_446_744_073_709_551_615)),
            ("1.8446744073709551615e19", Some(18_446_744_073_709_551_615)),
            ("0e999999999", Some(0)),
            ("1e-1", None),
            ("1.5", None),
            ("1e999999999", None),
            ("1e99999999999", None),
            ("0x", None),
            ("0x-1", None),
            (".", None),
            ("", None),
            ("-", None),
            ("--1", None),
            (" 1", None),
            ("1_000", None),
            ("ten", None),
        ] {
            assert_eq!(whole(text), number, "{text}");
        }
    }

    #[test]
    fn a_leading_zero_may_be_octal() {
        assert_eq!([octal("0644"), octal("0"), octal("0.5"), octal("10")], [Some(420), None, None, None]);
    }
}
