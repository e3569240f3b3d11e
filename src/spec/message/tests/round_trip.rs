//! Any message that can be built is read back from its own JSON.

use proptest::prelude::*;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::*;
use crate::spec::message::well_known;
use crate::spec::{canonical, json};

const TYPES: [&str; 9] = [
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.listener.v3.Listener",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
    "envoy.service.runtime.v3.Runtime",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.network.dubbo_proxy.v3.MethodMatch",
    "validate.FieldRules",
];

/// What an `Any` in them holds.
const PAYLOADS: [&str; 5] = [
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    "envoy.extensions.filters.http.router.v3.Router",
    "xds.type.v3.TypedStruct",
    "google.protobuf.Struct",
    "google.protobuf.Duration",
];

/// Decisions that proptest can shrink: towards none left, when every message ends.
struct Choices<'a>(std::slice::Iter<'a, u32>);

impl Choices<'_> {
    fn below(&mut self, limit: usize) -> usize {
        self.0.next().map_or(0, |choice| *choice as usize % limit)
    }

    fn number(&mut self) -> i64 {
        let shift = self.below(64);
        let high = i64::try_from(self.below(1 << 32)).expect("32 bits");
        ((high << 32) | high) >> shift
    }

    fn text(&mut self) -> String {
        ["", "a", "true", "12", "1s", "null", "a: b # c", "\u{fc}\n\"\\", "~", "0x10"][self.below(10)].to_owned()
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        match well_known::short_name(descriptor) {
            Some("Any") => {
                let payload_type = PAYLOADS[self.below(PAYLOADS.len())];
                let payload = self.message(
                    &crate::spec::descriptor::message(payload_type).expect("payload"),
                    depth.saturating_sub(1),
                );
                message.set_field_by_number(1, Value::String(format!("type.googleapis.com/{payload_type}")));
                message.set_field_by_number(2, Value::Bytes(canonical::encode(&payload)));
            }
            Some("Duration") => {
                message.set_field_by_number(1, Value::I64(self.number() % 315_576_000_000));
                let nanos = i32::try_from(self.below(1_000_000_000)).expect("nanos");
                let negative = message.get_field_by_number(1).and_then(|s| s.as_i64()).is_some_and(|s| s < 0);
                message.set_field_by_number(2, Value::I32(if negative { -nanos } else { nanos }));
            }
            Some("Timestamp") => {
                message.set_field_by_number(1, Value::I64(self.number() % 60_000_000_000));
                message.set_field_by_number(2, Value::I32(i32::try_from(self.below(1_000_000_000)).expect("nanos")));
            }
            Some("Value") => {
                // A list or mapping only while there is depth left; every Value is of some kind.
                let field =
                    descriptor.get_field(1 + u32::try_from(self.below(if depth == 0 { 4 } else { 6 })).expect("few"));
                let field = field.expect("one of six kinds");
                let value = self.single(&field.kind(), depth.saturating_sub(1));
                message.set_field(&field, value);
            }
            _ => {
                for field in descriptor.fields() {
                    let ends = depth == 0 && (matches!(field.kind(), Kind::Message(_)) || field.is_map());
                    if !ends && self.below(5) == 1 {
                        let value = self.field(&field, depth.saturating_sub(1));
                        message.set_field(&field, value);
                    }
                }
            }
        }
        message
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let length = 1 + self.below(3);
        if field.is_map() {
            let Kind::Message(pair) = field.kind() else { unreachable!("a map is a message") };
            let entries = (0..length).map(|_| {
                let key = match pair.map_entry_key_field().kind() {
                    Kind::String => MapKey::String(self.text()),
                    Kind::Uint32 => MapKey::U32(u32::try_from(self.below(1 << 32)).expect("32 bits")),
                    kind => panic!("{kind:?} is a key that this test does not make"),
                };
                (key, self.single(&pair.map_entry_value_field().kind(), depth))
            });
            Value::Map(entries.collect())
        } else if field.is_list() {
            Value::List((0..length).map(|_| self.single(&field.kind(), depth)).collect())
        } else {
            self.single(&field.kind(), depth)
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "any bits do"
    )]
    fn single(&mut self, kind: &Kind, depth: usize) -> Value {
        match kind {
            Kind::Bool => Value::Bool(self.below(2) == 1),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.number() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.number()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.number() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.number() as u64),
            Kind::Float => Value::F32(self.number() as f32 / 1e3),
            Kind::Double => Value::F64(self.number() as f64 / 1e7),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes(self.number().to_be_bytes().to_vec().into()),
            Kind::Enum(descriptor) => {
                let values: Vec<_> = descriptor.values().collect();
                Value::EnumNumber(values[self.below(values.len())].number())
            }
            Kind::Message(descriptor) => Value::Message(self.message(descriptor, depth)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(ty in 0..TYPES.len(), choices in prop::collection::vec(any::<u32>(), 0..600)) {
        let descriptor = descriptor::message(TYPES[ty]).expect("type");
        let bytes = canonical::encode(&Choices(choices.iter()).message(&descriptor, 6));
        let message = DynamicMessage::decode(descriptor, bytes.clone()).expect("decode");
        let text = json::to_value(&message).expect("JSON").to_string();
        let back = good(TYPES[ty], &text);
        prop_assert!(back == message, "{text}\nread back as\n{}", json::to_value(&back).expect("JSON"));
        prop_assert_eq!(canonical::encode(&back), bytes);
    }
}

#[test]
fn the_messages_it_makes_are_not_empty() {
    let descriptor = descriptor::message(TYPES[0]).expect("type");
    let choices: Vec<u32> = (0..6000_u32).map(|i| i.wrapping_mul(2_654_435_761) >> 7).collect();
    let message = Choices(choices.iter()).message(&descriptor, 6);
    assert!(message.fields().count() > 5, "{}", json::to_value(&message).expect("JSON"));
}
