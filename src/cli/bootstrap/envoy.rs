//! The bootstrap of an Envoy: <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/bootstrap/v3/bootstrap.proto>.

use serde_json::{Value, json};

use super::super::address::Host;
use super::{BootstrapArgs, latency};

/// The static cluster that leads to the control plane.
const XDS_CLUSTER: &str = "xds";

/// How long Envoy waits for the first answer of a type before it goes on without; Envoy's own default, spelled out
/// because the deadlines of serin's sessions are set against it.
const INITIAL_FETCH_TIMEOUT: &str = "15s";

/// The statistics by which versions are compared, beside load reports, and those that say what a version can carry.
/// Answers that a retry hid count apart. Envoy ends a cluster's name at the first dot: a cluster with a dot in its name
/// needs `alt_stat_name` to be counted.
const VERDICT_STATS: [&str; 2] = [
    r"cluster\.[^.]+\.(retry\.)?upstream_rq_(5xx|completed)",
    r"cluster\.[^.]+\.(upstream_rq_(time|active)|upstream_cx_none_healthy|membership_healthy)",
];

/// What people ask Envoy's admin page when the control plane is in question. All of it goes to the metrics service too,
/// Envoy knows no difference: so no histograms, and of each cluster only what went wrong.
const SUBSCRIPTION_STATS: [&str; 6] = [
    r"control_plane\..*",
    r"cluster\.[^.]+\.(version_text|update_(rejected|failure)|init_fetch_timeout|http2\.keepalive_timeout)",
    concat!(
        r"cluster_manager\.(cds\.(version_text|update_(success|rejected|failure)|init_fetch_timeout|config_reload)|",
        "cluster_(added|modified|removed)|(active|warming)_clusters)",
    ),
    concat!(
        r"listener_manager\.(lds\.(version_text|update_(success|rejected|failure)|init_fetch_timeout)|",
        "listener_(added|modified|removed|create_failure)|total_listeners_.*)",
    ),
    concat!(
        r"http\.[^.]+\.(rds\..*\.(version_text|update_(success|rejected|failure)|init_fetch_timeout|config_reload)|",
        "downstream_rq_([1-5]xx|total|active)|no_cluster|no_route)",
    ),
    r"server\.(uptime|live|state|dynamic_unknown_fields)",
];

/// An Envoy of which everything but the way to the control plane is dynamic.
pub(super) fn bootstrap(args: &BootstrapArgs, api_type: &str) -> Value {
    let mut bootstrap = json!({
        "node": args.node(),
        "admin": {"address": socket_address("127.0.0.1", args.admin_port)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": api_type,
                "transport_api_version": "V3",
                // A node is 61 KB, of which nearly all is the list of its extensions.
                "set_node_on_first_message_only": true,
                "grpc_services": [control_plane()],
            },
            "cds_config": from_ads(),
            "lds_config": from_ads(),
        },
        "static_resources": {"clusters": [xds_cluster(args)]},
        "stats_config": stats_config(&args.slo),
    });
    if !args.no_telemetry {
        bootstrap["stats_flush_interval"] = json!(format!("{}s", args.telemetry_interval.as_secs_f64()));
        bootstrap["stats_sinks"] = json!([metrics_service()]);
        // Which clusters, and how often, the control plane says.
        bootstrap["cluster_manager"] = json!({"load_stats_config": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [control_plane()],
        }});
    }
    bootstrap
}

fn socket_address(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn from_ads() -> Value {
    json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": INITIAL_FETCH_TIMEOUT})
}

/// Envoy's default back-off grows to 30 s: a control plane that was away for a minute would wait 20 s more for its
/// fleet. With this one the fleet is back within a second; the attempts are jittered.
fn control_plane() -> Value {
    json!({"envoy_grpc": {
        "cluster_name": XDS_CLUSTER,
        "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}},
    }})
}

fn xds_cluster(args: &BootstrapArgs) -> Value {
    let mut cluster = json!({
        "name": XDS_CLUSTER,
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {
                    // Without it a stream over a connection that died silently looks alive for ever.
                    "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                }},
            },
        },
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 30, "keepalive_interval": 5},
        },
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": socket_address(&args.xds.host.to_string(), args.xds.port),
            }}]}],
        },
    });
    match args.xds.host {
        Host::Ip(_) => cluster["type"] = json!("STATIC"),
        Host::Name(_) => {
            cluster["type"] = json!("STRICT_DNS");
            // `localhost` resolves to ::1 first on many machines, where the control plane does not listen.
            cluster["dns_lookup_family"] = json!("V4_PREFERRED");
        }
    }
    cluster
}

/// Everything not listed is never allocated: with many clusters this is most of Envoy's statistics.
fn stats_config(slos: &[u64]) -> Value {
    let patterns: Vec<Value> = VERDICT_STATS.into_iter().chain(SUBSCRIPTION_STATS).map(safe_regex).collect();
    json!({
        "use_all_default_tags": true,
        "histogram_bucket_settings": [{
            "match": {"suffix": ".upstream_rq_time"},
            "buckets": latency::edges(slos),
        }],
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
    })
}

fn safe_regex(regex: &str) -> Value {
    json!({"safe_regex": {"regex": regex}})
}

/// Counters stay cumulative: what is missed while the control plane is away is in the next value.
fn metrics_service() -> Value {
    json!({
        "name": "envoy.stat_sinks.metrics_service",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig",
            "grpc_service": control_plane(),
            "transport_api_version": "V3",
            "emit_tags_as_labels": true,
            "histogram_emit_mode": "HISTOGRAM",
        },
    })
}
