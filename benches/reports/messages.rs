//! What an Envoy 1.40 with the bootstrap that `serin bootstrap` writes sends, field by field.
//!
//! Of a cluster without traffic Envoy says how many endpoints it has and nothing else; of one with traffic, all that the
//! bootstrap asks for. Counters count from its start, histograms are of one flush.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, BuildVersion, Extension, Locality, Node, SocketAddress};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterStats, UpstreamEndpointStats, UpstreamLocalityStats};
use envoy_types::pb::envoy::service::load_stats::v3::LoadStatsRequest;
use envoy_types::pb::envoy::service::metrics::v3::StreamMetricsMessage;
use envoy_types::pb::envoy::service::metrics::v3::stream_metrics_message::Identifier;
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use envoy_types::pb::google::protobuf::Duration;
use envoy_types::pb::io::prometheus::client::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prost::Message;

use super::case::Case;
use super::files;

/// Extensions of Envoy 1.40.
const EXTENSIONS: u32 = 516;

/// What a proxy sends to a version from one report to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requests {
    /// All of them.
    pub(crate) all: u64,
    /// Those that were answered with 500.
    pub(crate) failed: u64,
}

/// To the stable version.
pub(crate) const BLUE: Requests = Requests { all: 90, failed: 1 };

/// To the canary: one for nine, as its weight says.
pub(crate) const GREEN: Requests = Requests { all: 10, failed: 0 };

const VERSIONS: [(&str, Requests); 2] = [("blue", BLUE), ("green", GREEN)];

/// Upper edges of the latency histograms that `serin bootstrap` asks for, in milliseconds.
const EDGES: [f64; 32] = [
    1., 2., 3., 4., 5., 7., 10., 15., 20., 25., 30., 40., 50., 70., 100., 150., 200., 250., 300., 400., 500., 700.,
    1_000., 1_500., 2_000., 3_000., 5_000., 7_000., 10_000., 15_000., 30_000., 60_000.,
];

/// Mean latency in milliseconds, of both versions.
const MEAN: f64 = 20.0;

/// What does not depend on the rollouts: counters, then gauges.
const OTHERS: [&[&str]; 2] = [
    &[
        "cluster_manager.cds.update_success",
        "cluster_manager.cluster_added",
        "listener_manager.lds.update_success",
        "listener_manager.listener_added",
        "cluster_manager.cds.config_reload",
        "http.downstream_rq_total",
        "http.downstream_rq_xx",
        "http.rds.update_success",
        "http.rds.config_reload",
    ],
    &[
        "control_plane.connected_state",
        "control_plane.pending_requests",
        "cluster_manager.active_clusters",
        "cluster_manager.warming_clusters",
        "listener_manager.total_listeners_active",
        "listener_manager.total_listeners_draining",
        "listener_manager.total_listeners_warming",
        "http.downstream_rq_active",
        "server.live",
        "server.state",
    ],
];

/// A moment in milliseconds: as long as today's.
const THEN: i64 = 1_800_000_000_000;

/// A proxy as it names itself: 61 KB, of which nearly all is the list of its extensions.
pub(crate) fn node(id: &str) -> Node {
    let extension = |number: u32| Extension {
        name: format!("envoy.filters.http.extension_{number:04}"),
        category: "envoy.filters.http".to_owned(),
        type_urls: vec![format!("envoy.extensions.filters.http.extension.v3.Extension{number:04}")],
        ..Extension::default()
    };
    let version = SemanticVersion { major_number: 1, minor_number: 40, patch: 0 };
    Node {
        id: id.to_owned(),
        cluster: "edge".to_owned(),
        locality: Some(Locality { region: "r1".to_owned(), zone: "z1".to_owned(), ..Locality::default() }),
        user_agent_name: "envoy".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(BuildVersion {
            version: Some(version),
            metadata: None,
        })),
        extensions: (0..EXTENSIONS).map(extension).collect(),
        ..Node::default()
    }
}

/// The part of a load report that names the proxy; Envoy repeats it each time.
pub(crate) fn load_node(node: &Node) -> Bytes {
    LoadStatsRequest { node: Some(node.clone()), cluster_stats: Vec::new() }.encode_to_vec().into()
}

/// The part of the first flush that names the proxy.
pub(crate) fn flush_node(node: &Node) -> Bytes {
    let identifier = Some(Identifier { node: Some(node.clone()) });
    StreamMetricsMessage { identifier, envoy_metrics: Vec::new() }.encode_to_vec().into()
}

/// The rest of a load report of a group's proxies, over so many seconds.
pub(crate) fn load(case: Case, group: u32, seconds: u32) -> Bytes {
    let used = used(case, group);
    let mut cluster_stats = Vec::new();
    for rollout in 0..case.rollouts {
        for (version, requests) in VERSIONS {
            let locality = used[rollout as usize].then(|| locality(rollout, version, requests));
            cluster_stats.push(ClusterStats {
                cluster_name: files::cluster(rollout, version),
                upstream_locality_stats: locality.into_iter().collect(),
                load_report_interval: Some(Duration { seconds: seconds.into(), nanos: 123_456 }),
                ..ClusterStats::default()
            });
        }
    }
    LoadStatsRequest { node: None, cluster_stats }.encode_to_vec().into()
}

fn locality(rollout: u32, version: &str, Requests { all, failed }: Requests) -> UpstreamLocalityStats {
    let (address, port) = files::address(rollout, version);
    let socket =
        SocketAddress { address, port_specifier: Some(PortSpecifier::PortValue(port)), ..SocketAddress::default() };
    UpstreamLocalityStats {
        locality: Some(Locality::default()),
        total_successful_requests: all - failed,
        total_error_requests: failed,
        total_issued_requests: all,
        upstream_endpoint_stats: vec![UpstreamEndpointStats {
            address: Some(Address { address: Some(Kind::SocketAddress(socket)) }),
            total_successful_requests: all - failed,
            total_error_requests: failed,
            total_issued_requests: all,
            ..UpstreamEndpointStats::default()
        }],
        ..UpstreamLocalityStats::default()
    }
}

/// The rest of a flush of a group's proxies: their `round`th, from 1, one every so many seconds.
pub(crate) fn flush(case: Case, group: u32, round: u32, seconds: u32) -> Bytes {
    let (used, rounds) = (used(case, group), u64::from(round));
    let mut families = Vec::new();
    for name in OTHERS[0] {
        families.push(family(name, MetricType::Counter, counter(rounds, &[])));
    }
    for name in OTHERS[1] {
        families.push(family(name, MetricType::Gauge, gauge(1, &[])));
    }
    families.push(family("server.uptime", MetricType::Gauge, gauge(u64::from(seconds) * rounds, &[])));
    for rollout in 0..case.rollouts {
        for (version, Requests { all, failed }) in VERSIONS {
            let cluster = files::cluster(rollout, version);
            let of = ("envoy.cluster_name", &*cluster);
            families.push(family("cluster.membership_healthy", MetricType::Gauge, gauge(1, &[of])));
            if !used[rollout as usize] {
                continue;
            }
            families.push(family("cluster.upstream_rq_active", MetricType::Gauge, gauge(1, &[of])));
            families.push(family("cluster.upstream_rq_completed", MetricType::Counter, counter(rounds * all, &[of])));
            if failed > 0 {
                let class = ("envoy.response_code_class", "5");
                let metric = counter(rounds * failed, &[class, of]);
                families.push(family("cluster.upstream_rq_xx", MetricType::Counter, metric));
            }
            families.push(family("cluster.upstream_rq_time", MetricType::Histogram, latencies(all, of)));
        }
    }
    StreamMetricsMessage { identifier: None, envoy_metrics: families }.encode_to_vec().into()
}

/// For each rollout, whether the group uses it.
fn used(case: Case, group: u32) -> Vec<bool> {
    let mut used = vec![false; case.rollouts as usize];
    for rollout in case.used_by(group) {
        used[rollout as usize] = true;
    }
    used
}

/// Envoy puts each metric into a family of its own.
fn family(name: &str, ty: MetricType, metric: Metric) -> MetricFamily {
    let ty = Some(ty.into());
    MetricFamily { name: Some(name.to_owned()), r#type: ty, metric: vec![metric], ..MetricFamily::default() }
}

fn metric(labels: &[(&str, &str)]) -> Metric {
    let label =
        |(name, value): &(&str, &str)| LabelPair { name: Some((*name).to_owned()), value: Some((*value).to_owned()) };
    Metric { label: labels.iter().map(label).collect(), timestamp_ms: Some(THEN), ..Metric::default() }
}

fn counter(value: u64, labels: &[(&str, &str)]) -> Metric {
    Metric { counter: Some(Counter { value: Some(float(value)), ..Counter::default() }), ..metric(labels) }
}

fn gauge(value: u64, labels: &[(&str, &str)]) -> Metric {
    Metric { gauge: Some(Gauge { value: Some(float(value)) }), ..metric(labels) }
}

/// So many requests with exponential latencies; both versions are equally fast, but for rounding.
fn latencies(requests: u64, of: (&str, &str)) -> Metric {
    let all = float(requests);
    let bucket = |edge: &f64| Bucket {
        cumulative_count: Some(whole((all * (1.0 - (-edge / MEAN).exp())).ceil())),
        upper_bound: Some(*edge),
        ..Bucket::default()
    };
    let histogram = Histogram {
        sample_count: Some(requests),
        sample_sum: Some(all * MEAN),
        bucket: EDGES.iter().map(bucket).collect(),
        ..Histogram::default()
    };
    Metric { histogram: Some(histogram), ..metric(&[of]) }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
fn whole(count: f64) -> u64 {
    count as u64
}
