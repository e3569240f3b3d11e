//! Every kind of mistake: its place, its words, and that the whole message is refused.

use super::*;
use crate::spec::Severity;

/// Reads `text` as `name` and compares all that is said about it, without the file.
fn says(name: &str, text: &str, expected: &[&str]) {
    let (message, diagnostics) = read_text(name, text);
    let said: Vec<_> = diagnostics
        .iter()
        .map(|d| d.to_string().strip_prefix("f:").expect("the file").replace(" error:", ""))
        .collect();
    assert_eq!(said, expected, "{text}");
    assert_eq!(message.is_none(), diagnostics.iter().any(|d| d.severity == Severity::Error), "{text}");
}

fn cluster(text: &str, expected: &[&str]) {
    says("envoy.config.cluster.v3.Cluster", text, expected);
}

#[test]
fn unknown_fields_name_the_nearest() {
    cluster(
        "name: a\nconect_timeout: 1s\nedsClusterConfg: {}\nzzzzzz: 1\n",
        &[
            r#"2:1: unknown field "conect_timeout" in envoy.config.cluster.v3.Cluster (did you mean "connect_timeout"?)"#,
            r#"3:1: unknown field "edsClusterConfg" in envoy.config.cluster.v3.Cluster (did you mean "eds_cluster_config"?)"#,
            r#"4:1: unknown field "zzzzzz" in envoy.config.cluster.v3.Cluster"#,
        ],
    );
    says(
        "envoy.config.core.v3.Pipe",
        "{path: /x, colour: 0}",
        &[r#"1:12: unknown field "colour" in envoy.config.core.v3.Pipe (its fields are path, mode)"#],
    );
    cluster("hosts: []", &[r#"1:1: the field "hosts" has been removed from envoy.config.cluster.v3.Cluster"#]);
    cluster(
        "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster",
        &[r#"1:1: unknown field "@type" in envoy.config.cluster.v3.Cluster (did you mean "type"?)"#],
    );
}

#[test]
fn a_field_or_oneof_is_set_once() {
    cluster(
        "connect_timeout: 1s\nconnectTimeout: 2s\n",
        &[r#"2:1: "connectTimeout" stands here a second time, first as "connect_timeout" at line 1"#],
    );
    cluster(
        "type: EDS\n\ncluster_type: {name: x}\n",
        &[r#"3:1: "cluster_type" and "type" (line 1) exclude each other: only one of them can be set"#],
    );
    cluster(
        "type: EDS\ncluster_type: null\n",
        &["2:1: warning: cluster_type: nothing stands here, so the field \
        counts as absent (write {} for a message without fields, or leave the field out)"],
    );
}

#[test]
fn lists_mappings_and_single_values_are_told_apart() {
    cluster(
        "health_checks: {timeout: 1s}\neds_cluster_config: [a]\nmetadata: x\ntyped_extension_protocol_options: []\n\
         name: [a]\nlb_subset_config:\n  subset_selectors: [~, {keys: k}]\n",
        &[
            "1:16: health_checks: expected a list of envoy.config.core.v3.HealthCheck, found a mapping \
             (a list of one is written [x], or with a \"- \" before it)",
            "2:21: eds_cluster_config: expected a mapping (envoy.config.cluster.v3.Cluster.EdsClusterConfig), found a list",
            "3:11: metadata: expected a mapping (envoy.config.core.v3.Metadata), found \"x\"",
            "4:35: typed_extension_protocol_options: expected a mapping to google.protobuf.Any, found a list",
            "5:7: name: expected text, found a list",
            "7:22: subset_selectors: expected a mapping \
             (envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector), found nothing",
            "7:32: keys: expected a list of texts, found \"k\" (a list of one is written [x], or with a \"- \" before it)",
        ],
    );
    cluster("[]", &["1:1: Cluster: expected a mapping (envoy.config.cluster.v3.Cluster), found a list"]);
}

#[test]
fn scalars_are_of_their_type() {
    cluster(
        "respect_dns_ttl: yes\nname: 5\nalt_stat_name: true\nuse_tcp_for_dns_lookups: 1\n\
         close_connections_on_host_health_failure: 'false'\n",
        &[
            "1:18: respect_dns_ttl: expected true or false, found \"yes\" (write true, without quotes)",
            "2:7: name: expected text, found 5 (quote it: \"5\")",
            "3:16: alt_stat_name: expected text, found true (quote it: \"true\")",
            "4:26: use_tcp_for_dns_lookups: expected true or false, found 1",
            "5:43: close_connections_on_host_health_failure: expected true or false, found \"false\" \
             (write false, without quotes)",
        ],
    );
    says(
        "envoy.config.core.v3.DataSource",
        "inline_bytes: not*base64",
        &["1:15: inline_bytes: expected base64 text, found other text (text as it is goes into inline_string)"],
    );
}

#[test]
fn numbers_are_whole_and_in_range_where_they_must_be() {
    let range = "expected a whole number from 0 to 4294967295, found";
    for (value, found) in [
        ("-1", "-1"),
        ("4294967296", "4294967296"),
        ("1.5", "1.5"),
        ("1e40", "1e40"),
        ("many", "\"many\""),
        ("\"1 000\"", "\"1 000\""),
        ("[]", "a list"),
        ("true", "true"),
    ] {
        cluster(
            &format!("per_connection_buffer_limit_bytes: {value}"),
            &[&format!("1:36: per_connection_buffer_limit_bytes: {range} {found}")],
        );
    }
    cluster(
        "per_connection_buffer_limit_bytes: {value: 5}",
        &[&format!(
            "1:36: per_connection_buffer_limit_bytes: {range} a mapping \
             (the value is written by itself, without a mapping around it)"
        )],
    );
    says(
        "envoy.config.core.v3.Pipe",
        "{path: /x, mode: 0644}",
        &[&format!("1:18: mode: {range} 0644 (write 420 if octal is meant, or drop the leading zero)")],
    );
    for (name, value, expected) in [
        ("Int32Value", "2147483648", "a whole number from -2147483648 to 2147483647"),
        ("Int64Value", "9223372036854775808", "a whole number from -9223372036854775808 to 9223372036854775807"),
        ("UInt64Value", "18446744073709551616", "a whole number from 0 to 18446744073709551615"),
        ("FloatValue", "1e39", "a number from -3.4028235e38 to 3.4028235e38"),
        ("DoubleValue", "1e999", "a number from -1.7976931348623157e308 to 1.7976931348623157e308"),
    ] {
        says(&format!("google.protobuf.{name}"), value, &[&format!("1:1: {name}: expected {expected}, found {value}")]);
    }
    says("google.protobuf.DoubleValue", "infinity", &["1:1: DoubleValue: expected a number, found \"infinity\""]);
}

#[test]
fn enum_values_exist() {
    cluster(
        "type: STRICT_DSN\nlb_policy: round-robin\ndns_lookup_family: 77\nprotocol_selection: {}\n",
        &[
            "1:7: type: expected a value of envoy.config.cluster.v3.Cluster.DiscoveryType, found \"STRICT_DSN\" \
             (did you mean \"STRICT_DNS\"?)",
            "2:12: lb_policy: expected a value of envoy.config.cluster.v3.Cluster.LbPolicy, found \"round-robin\" \
             (did you mean \"ROUND_ROBIN\"?)",
            "3:20: dns_lookup_family: expected a value of envoy.config.cluster.v3.Cluster.DnsLookupFamily, found 77 \
             (its values are AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED, ALL)",
            "4:21: protocol_selection: expected a value of envoy.config.cluster.v3.Cluster.ClusterProtocolSelection, \
             found a mapping (its values are USE_CONFIGURED_PROTOCOL, USE_DOWNSTREAM_PROTOCOL)",
        ],
    );
}

#[test]
fn durations_and_times_are_text() {
    let duration = "expected a duration in seconds such as \"1.5s\", found";
    cluster(
        "connect_timeout: 5\ndns_refresh_rate: 5m\ncleanup_interval: soon\n",
        &[
            &format!("1:18: connect_timeout: {duration} 5 (write 5s if seconds are meant)"),
            &format!("2:19: dns_refresh_rate: {duration} \"5m\" (write 300s)"),
            &format!("3:19: cleanup_interval: {duration} \"soon\""),
        ],
    );
    cluster("connect_timeout: {seconds: 5}", &[&format!("1:18: connect_timeout: {duration} a mapping")]);
    says(
        "google.protobuf.Timestamp",
        "2026-12-01",
        &["1:1: Timestamp: expected a time such as \"2026-12-01T02:00:00Z\", found \"2026-12-01\""],
    );
}

#[test]
fn an_any_says_its_type() {
    let tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls";
    let socket = |config: &str| format!("transport_socket:\n  name: tls\n  typed_config: {config}\n");
    cluster(
        &socket("{sni: x}"),
        &["3:17: typed_config: expected a mapping with \"@type\", found one without it \
           (say what it is, as in \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster)"],
    );
    cluster(
        &socket(&format!("{{type: {tls}.v3.UpstreamTlsContext}}")),
        &[
            "3:17: typed_config: expected a mapping with \"@type\", found one without it (did you write \"type\" for \"@type\"?)",
        ],
    );
    cluster(
        &socket(&format!("{{'@type': {tls}.v2.UpstreamTlsContext}}")),
        &[&format!(
            "3:27: @type: unknown message type \"envoy.extensions.transport_sockets.tls.v2.UpstreamTlsContext\" \
             (did you mean {tls}.v3.UpstreamTlsContext?)"
        )],
    );
    cluster(
        &socket(&format!("{{'@type': {tls}.v3.UpstreamTlsContxt}}")),
        &[&format!(
            "3:27: @type: unknown message type \"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContxt\" \
             (did you mean {tls}.v3.UpstreamTlsContext?)"
        )],
    );
    cluster(
        &socket("{'@type': envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}"),
        &[&format!(
            "3:27: @type: expected type.googleapis.com/ and the name of a message, found \
             \"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\" (did you mean {tls}.v3.UpstreamTlsContext?)"
        )],
    );
    cluster(&socket("{'@type': 5}"), &["3:27: @type: expected text, found 5"]);
    cluster(
        &socket(&format!("{{'@type': {tls}.v3.UpstreamTlsContext, snii: x}}")),
        &["3:109: unknown field \"snii\" in envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext \
           (did you mean \"sni\"?)"],
    );
    cluster(
        &socket("{'@type': type.googleapis.com/google.protobuf.Struct, a: x}"),
        &[
            "3:17: typed_config: expected \"value\" with a mapping",
            "3:71: unknown field \"a\" beside \"@type\" of Struct (what it holds is written as \"value\")",
        ],
    );
}

#[test]
fn free_form_values_are_json() {
    cluster(
        "metadata: {filter_metadata: {a: 5, b: [1], c: {d: .inf}}}",
        &[
            "1:33: filter_metadata: expected a mapping, found 5",
            "1:39: filter_metadata: expected a mapping, found a list",
            "1:51: filter_metadata: expected a finite number, found .inf",
        ],
    );
}

#[test]
fn map_keys_are_of_their_type_and_unique() {
    let params = "envoy.extensions.filters.network.dubbo_proxy.v3.MethodMatch";
    says(
        params,
        "params_match: {1: {}, 0x1: {}, x: {}, -1: {exact_mach: a}}",
        &[
            "1:23: params_match: the key \"0x1\" stands here a second time",
            "1:32: params_match: expected a whole number from 0 to 4294967295 as key, found \"x\"",
            "1:39: params_match: expected a whole number from 0 to 4294967295 as key, found \"-1\"",
            "1:44: unknown field \"exact_mach\" in \
             envoy.extensions.filters.network.dubbo_proxy.v3.MethodMatch.ParameterMatchSpecifier \
             (did you mean \"exact_match\"?)",
        ],
    );
}

#[test]
fn no_deeper_than_decoders_go() {
    use prost_reflect::ReflectMessage;
    // A Value in a list is two messages: itself and the list it stands in.
    let nested = |lists: usize| format!("{}1{}", "[".repeat(lists), "]".repeat(lists));
    let deepest = good("google.protobuf.Value", &nested(49));
    let bytes = crate::spec::canonical::encode(&deepest);
    assert_eq!(DynamicMessage::decode(deepest.descriptor(), bytes).expect("decode"), deepest);
    says(
        "google.protobuf.Value",
        &nested(50),
        &["1:51: nested deeper than the 100 messages that a protobuf decoder accepts"],
    );
}
