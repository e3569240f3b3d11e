//! A message to JSON, for people: field names as Envoy's users write them, `Any` opened up, keys sorted.

use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::Value;

/// `message` in the proto3 JSON mapping with proto field names. Equal messages give equal text.
///
/// # Errors
/// When an `Any` in it holds a message that is not known here, or bytes that are not that message. What
/// [`super::message::read`] returned holds neither.
pub fn to_value(message: &DynamicMessage) -> Result<Value, serde_json::Error> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::diagnostic::Reporter;
    use crate::spec::{descriptor, message, yaml};

    #[test]
    fn fields_have_their_proto_names_and_any_is_opened_up() {
        let text = r#"{
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": "r",
            "typed_per_filter_config": {
                "b": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"},
                "a": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute", "disabled": true}
            },
            "validate_clusters": false
        }"#;
        let any = descriptor::message("google.protobuf.Any").expect("Any");
        let mut reporter = Reporter::new("f".into());
        let message = message::read(&yaml::parse(text).0[0], &any, &mut reporter).expect("a message");
        let json = to_value(&message).expect("JSON");
        assert_eq!(json, serde_json::from_str::<Value>(text).expect("JSON"));
        // Keys come sorted, for whatever order the maps of this process have.
        let text = json.to_string();
        assert!(text.find(r#""a":"#) < text.find(r#""b":"#), "{text}");
    }
}
