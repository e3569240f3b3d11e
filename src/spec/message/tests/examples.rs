//! Configurations as Envoy's users write them: read without a mistake, and as an independent reader of the same JSON
//! (prost-reflect's own) reads them.

use super::*;
use crate::spec::json;
use crate::spec::yaml::{Data, Node};

/// The tree as JSON, numbers as written.
fn to_json(node: &Node) -> serde_json::Value {
    match &node.data {
        Data::Null => serde_json::Value::Null,
        Data::Bool(value) => (*value).into(),
        Data::Number(text) => serde_json::from_str(text).expect("a number"),
        Data::String(text) => text.as_str().into(),
        Data::Sequence(items) => items.iter().map(to_json).collect(),
        Data::Mapping(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), to_json(&entry.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn agrees(name: &str, text: &str) {
    let ours = good(name, text);
    let json = to_json(&yaml::parse(text).0[0]);
    let theirs = DynamicMessage::deserialize(descriptor::message(name).expect(name), json).expect("prost-reflect");
    // As JSON, since the bytes of an Any of theirs are in random order.
    assert_eq!(json::to_value(&ours).expect("ours"), json::to_value(&theirs).expect("theirs"));
    assert!(ours.fields().count() > 1, "an example that says nothing proves nothing");
}

#[test]
fn a_listener_with_http_routes() {
    agrees(
        "envoy.config.listener.v3.Listener",
        r#"
name: ingress
address: {socket_address: {address: 0.0.0.0, port_value: 10000}}
per_connection_buffer_limit_bytes: 32768
listener_filters:
- name: envoy.filters.listener.tls_inspector
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}
filter_chains:
- filter_chain_match: {server_names: [example.com, "*.example.com"], transport_protocol: tls}
  filters:
  - name: envoy.filters.network.http_connection_manager
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: ingress_http
      codec_type: AUTO
      use_remote_address: true
      access_log:
      - name: envoy.access_loggers.stdout
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
          log_format:
            json_format: {status: "%RESPONSE_CODE%", nested: {path: "%PATH%", n: 1.5, list: [1, true, null]}}
      route_config:
        name: local
        virtual_hosts:
        - name: all
          domains: ["*"]
          routes:
          - match: {prefix: "/", headers: [{name: x-canary, string_match: {exact: "true"}}]}
            route:
              cluster: checkout
              timeout: 0s
              hash_policy:
              - cookie: {name: serin, ttl: 3600s, path: /}
              - {header: {header_name: x-user-id}, terminal: true}
              retry_policy:
                retry_on: 5xx,reset
                num_retries: 3
                per_try_timeout: 1.250s
                retry_back_off: {base_interval: 0.025s, max_interval: 0.25s}
                retriable_status_codes: [503, 504]
                retry_host_predicate:
                - name: envoy.retry_host_predicates.previous_hosts
                  typed_config:
                    "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
              request_mirror_policies:
              - {cluster: shadow, runtime_fraction: {default_value: {numerator: 35, denominator: HUNDRED}}}
            typed_per_filter_config:
              envoy.filters.http.buffer:
                "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute
                buffer: {max_request_bytes: 1024}
              envoy.filters.http.lua:
                "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute
                disabled: true
            metadata: {filter_metadata: {envoy.lb: {stage: canary, weight: 10}}}
            response_headers_to_add:
            - {header: {key: x-served-by, value: "%UPSTREAM_HOST%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
      http_filters:
      - name: envoy.filters.http.wasm
        typed_config:
          "@type": type.googleapis.com/xds.type.v3.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
          value: {config: {name: filter, vm_config: {runtime: envoy.wasm.runtime.v8}}}
      - name: envoy.filters.http.router
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  transport_socket:
    name: envoy.transport_sockets.tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
      require_client_certificate: true
      common_tls_context:
        tls_params: {tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: 4}
        alpn_protocols: [h2, http/1.1]
        tls_certificate_sds_secret_configs:
        - {name: server, sds_config: {ads: {}, resource_api_version: V3}}
        tls_certificates:
        - certificate_chain: {filename: /etc/tls/cert.pem}
          private_key: {inline_bytes: aGVsbG8=}
"#,
    );
}

#[test]
fn a_cluster_with_health_checks() {
    agrees(
        "envoy.config.cluster.v3.Cluster",
        r#"
name: checkout
type: STRICT_DNS
connect_timeout: 0.25s
lb_policy: RING_HASH
ring_hash_lb_config: {minimum_ring_size: "1024", maximum_ring_size: 8388608}
perConnectionBufferLimitBytes: 1e6
health_checks:
- timeout: 1s
  interval: 5s
  interval_jitter_percent: 10
  unhealthy_threshold: 3
  healthy_threshold: 1
  http_health_check:
    path: /healthz
    expected_statuses: [{start: 200, end: 300}]
    request_headers_to_add: [{header: {key: x-probe, value: "1"}, append_action: 2}]
- timeout: 1s
  interval: 5s
  unhealthy_threshold: 3
  healthy_threshold: 1
  tcp_health_check: {send: {text: "000000FF"}, receive: [{text: "00"}]}
circuit_breakers:
  thresholds: [{priority: HIGH, max_connections: 1024, retry_budget: {budget_percent: {value: 25.5}}}]
outlier_detection: {consecutive_5xx: 5, base_ejection_time: 30s, max_ejection_percent: 50}
common_lb_config:
  healthy_panic_threshold: {value: 0}
  zone_aware_lb_config: {routing_enabled: {value: 100}, min_cluster_size: 3}
load_assignment:
  cluster_name: checkout
  endpoints:
  - locality: {region: eu, zone: eu-1}
    load_balancing_weight: 3
    lb_endpoints:
    - endpoint: {address: {socket_address: {address: a.example.com, port_value: 8080}}}
      health_status: HEALTHY
      load_balancing_weight: 2
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    common_http_protocol_options: {idle_timeout: 300s}
    explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 100}}
transport_socket_matches:
- name: tls
  match: {tls: true}
  transport_socket:
    name: envoy.transport_sockets.tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
      sni: a.example.com
      max_session_keys: 0
"#,
    );
}

#[test]
fn a_runtime_layer_and_an_extension() {
    agrees("envoy.service.runtime.v3.Runtime", "{name: r, layer: {a.b: 10, c: {numerator: 1}, d: x, e: null}}");
    agrees(
        "envoy.config.core.v3.TypedExtensionConfig",
        "{name: x, typed_config: {'@type': type.googleapis.com/google.protobuf.Duration, value: 3s}}",
    );
}

#[test]
fn lenient_where_the_mapping_is() {
    let name = "envoy.config.cluster.v3.Cluster";
    let strict = good(name, "{name: a, per_connection_buffer_limit_bytes: 1000, lb_policy: MAGLEV}");
    for text in [
        "{name: a, perConnectionBufferLimitBytes: '1000', lbPolicy: 5}",
        "{name: a, per_connection_buffer_limit_bytes: 1e3, lb_policy: MAGLEV, alt_stat_name: null, type: ~}",
        "{name: a, per_connection_buffer_limit_bytes: 0x3e8, lb_policy: MAGLEV, health_checks: null}",
    ] {
        assert_eq!(good(name, text), strict, "{text}");
    }
    let bytes = |text: &str| good("google.protobuf.BytesValue", text);
    assert_eq!(bytes("'+/8='"), bytes("'-_8'"));
    for (text, value) in [("NaN", f64::NAN), ("-Infinity", f64::NEG_INFINITY), (".inf", f64::INFINITY), ("'1.5'", 1.5)]
    {
        let message = good("google.protobuf.DoubleValue", text);
        let read = message.get_field_by_name("value").and_then(|v| v.as_f64()).expect("value");
        assert_eq!(read.to_bits(), value.to_bits(), "{text}");
    }
    let empty = "{name: x, typed_config: {'@type': type.googleapis.com/google.protobuf.Empty}}";
    good("envoy.config.core.v3.TypedExtensionConfig", empty);
}
