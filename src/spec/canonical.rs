//! One encoding per message: fields by number, map entries by key.
//!
//! Protobuf leaves the order of map entries open, and Rust's hash maps change it in every process. Versions are hashes
//! of encoded bytes, so equal messages must have equal bytes on every replica and after every restart. `Any` values
//! are canonical already, because their bytes were made here.

use bytes::{Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, Value};

/// The canonical bytes of `message`.
#[must_use]
pub fn encode(message: &DynamicMessage) -> Bytes {
    let mut out = BytesMut::new();
    encode_message(message, &mut out);
    out.freeze()
}

fn encode_message(message: &DynamicMessage, out: &mut BytesMut) {
    let mut fields: Vec<(FieldDescriptor, &Value)> = message.fields().collect();
    fields.sort_by_key(|(field, _)| field.number());
    for (field, value) in fields {
        encode_field(&field, value, out);
    }
}

fn encode_field(field: &FieldDescriptor, value: &Value, out: &mut BytesMut) {
    match value {
        Value::Map(entries) => encode_map(field, entries.iter().collect(), out),
        Value::List(items) if field.is_packed() => {
            let mut packed = BytesMut::new();
            for item in items {
                encode_scalar(&field.kind(), item, &mut packed);
            }
            length_delimited(field.number(), &packed, out);
        }
        Value::List(items) => items.iter().for_each(|item| encode_one(field.number(), &field.kind(), item, out)),
        value => encode_one(field.number(), &field.kind(), value, out),
    }
}

fn encode_map(field: &FieldDescriptor, mut entries: Vec<(&MapKey, &Value)>, out: &mut BytesMut) {
    let Kind::Message(entry) = field.kind() else { return };
    entries.sort_by_key(|(key, _)| *key);
    for (key, value) in entries {
        let mut pair = BytesMut::new();
        encode_one(1, &entry.map_entry_key_field().kind(), &Value::from(key.clone()), &mut pair);
        encode_one(2, &entry.map_entry_value_field().kind(), value, &mut pair);
        length_delimited(field.number(), &pair, out);
    }
}

fn encode_one(number: u32, kind: &Kind, value: &Value, out: &mut BytesMut) {
    match value {
        Value::Message(message) => {
            let mut body = BytesMut::new();
            encode_message(message, &mut body);
            length_delimited(number, &body, out);
        }
        Value::String(text) => length_delimited(number, text.as_bytes(), out),
        Value::Bytes(bytes) => length_delimited(number, bytes, out),
        value => {
            encode_key(number, wire_type(kind), out);
            encode_scalar(kind, value, out);
        }
    }
}

fn wire_type(kind: &Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        _ => WireType::Varint,
    }
}

/// The value alone, as it stands behind a key or in a packed list.
#[expect(clippy::cast_sign_loss, reason = "varints carry signed numbers in two's complement")]
fn encode_scalar(kind: &Kind, value: &Value, out: &mut BytesMut) {
    match (kind, value) {
        (_, Value::Bool(v)) => encode_varint(u64::from(*v), out),
        (Kind::Sint32, Value::I32(v)) => encode_varint(u64::from(((v << 1) ^ (v >> 31)) as u32), out),
        (Kind::Sint64, Value::I64(v)) => encode_varint(((v << 1) ^ (v >> 63)) as u64, out),
        (Kind::Sfixed32, Value::I32(v)) => out.extend_from_slice(&v.to_le_bytes()),
        (Kind::Sfixed64, Value::I64(v)) => out.extend_from_slice(&v.to_le_bytes()),
        (Kind::Fixed32, Value::U32(v)) => out.extend_from_slice(&v.to_le_bytes()),
        (Kind::Fixed64, Value::U64(v)) => out.extend_from_slice(&v.to_le_bytes()),
        (_, Value::I32(v) | Value::EnumNumber(v)) => encode_varint(i64::from(*v) as u64, out),
        (_, Value::I64(v)) => encode_varint(*v as u64, out),
        (_, Value::U32(v)) => encode_varint(u64::from(*v), out),
        (_, Value::U64(v)) => encode_varint(*v, out),
        (_, Value::F32(v)) => out.extend_from_slice(&v.to_le_bytes()),
        (_, Value::F64(v)) => out.extend_from_slice(&v.to_le_bytes()),
        // Strings, bytes, messages, lists and maps are length-delimited and never reach this.
        _ => {}
    }
}

fn length_delimited(number: u32, body: &[u8], out: &mut BytesMut) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use prost_reflect::ReflectMessage;
    use prost_reflect::prost::Message;

    use super::*;
    use crate::spec::descriptor;

    fn from_json(name: &str, json: &str) -> DynamicMessage {
        let desc = descriptor::message(name).expect(name);
        DynamicMessage::deserialize(desc, &mut serde_json::Deserializer::from_str(json)).expect("json")
    }

    #[test]
    fn decodes_to_the_same_message() {
        let message = from_json(
            "envoy.config.cluster.v3.Cluster",
            r#"{"name": "a", "connect_timeout": "1.5s", "type": "EDS", "lb_policy": "RING_HASH",
                "ring_hash_lb_config": {"minimum_ring_size": 7}, "dns_refresh_rate": "5s", "respect_dns_ttl": true,
                "common_lb_config": {"healthy_panic_threshold": {"value": 12.5}},
                "typed_extension_protocol_options": {"k": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}},
                "metadata": {"filter_metadata": {"z": {"n": -1.5}, "a": {"s": [true, null, "t"]}}},
                "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 3}},
                "load_assignment": {"cluster_name": "a", "endpoints": [{"priority": 1, "load_balancing_weight": 5}]}}"#,
        );
        let bytes = encode(&message);
        assert_eq!(DynamicMessage::decode(message.descriptor(), bytes).expect("decode"), message);
        assert_eq!(encode(&message).len(), message.encoded_len());
    }

    #[test]
    fn map_entries_are_in_order() {
        let json = |keys: &[&str]| {
            let entries: Vec<_> = keys.iter().map(|k| format!(r#""{k}": {{}}"#)).collect();
            format!(r#"{{"filter_metadata": {{{}}}}}"#, entries.join(","))
        };
        let a = from_json("envoy.config.core.v3.Metadata", &json(&["a", "b", "c", "d", "e"]));
        let b = from_json("envoy.config.core.v3.Metadata", &json(&["e", "d", "c", "b", "a"]));
        assert_eq!(encode(&a), encode(&b));
        let text = String::from_utf8_lossy(&encode(&a)).into_owned();
        let letters: String = text.chars().filter(char::is_ascii_lowercase).collect();
        assert_eq!(letters, "abcde");
    }
}
