//! What proxies measure, over loopback.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::limits;
use super::super::proto::envoy::service::load_stats::v3::load_reporting_service_client::LoadReportingServiceClient;
use super::super::proto::envoy::service::load_stats::v3::{
    Address, ClusterStats, LoadStatsRequest, LoadStatsResponse, SocketAddress, UpstreamEndpointStats,
    UpstreamLocalityStats,
};
use super::super::proto::envoy::service::metrics::v3::metrics_service_client::MetricsServiceClient;
use super::super::proto::envoy::service::metrics::v3::{StreamMetricsMessage, stream_metrics_message::Identifier};
use super::super::proto::io::prometheus::client::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily};
use super::*;
use crate::telemetry::{self, Body, Counts, Flush, Load, Metrics, Report};

struct Door {
    channel: Channel,
    world: watch::Sender<Option<Arc<dyn Assign>>>,
    counted: watch::Sender<Arc<BTreeSet<Arc<str>>>>,
    reports: mpsc::Receiver<Report>,
    fleet: mpsc::Receiver<Message>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), Error>>,
}

fn set(names: &[&str]) -> Arc<BTreeSet<Arc<str>>> {
    Arc::new(names.iter().map(|name| Arc::from(*name)).collect())
}

impl Door {
    /// Everybody is served `blue`; that and `green`, which is nobody's, and `old`, which is the bootstrap's, count.
    async fn open() -> Self {
        let (world, worlds) = watch::channel(None);
        world.send_replace(Some(Arc::new(Everybody("blue")) as Arc<dyn Assign>));
        let (fleet, events) = mpsc::channel(16);
        let (counted, to_count) = watch::channel(set(&["blue", "green", "old"]));
        // As small as can be, so that whoever does not wait loses something.
        let (sender, reports) = mpsc::channel(1);
        let config = Config {
            reports: sender,
            counted: to_count,
            load_report_interval: Duration::from_millis(1_500),
            bootstrap_clusters: Arc::new(["old".to_owned(), "other".to_owned()].into()),
            ..config(worlds, fleet)
        };
        let bound = bind(config).await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", bound.addr)).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(bound.serve(async move { drop(stopped.await) }));
        Self { channel: endpoint.connect().await.unwrap(), world, counted, reports, fleet: events, stop, server }
    }

    async fn load(&self) -> (mpsc::Sender<LoadStatsRequest>, Streaming<LoadStatsResponse>) {
        let (requests, stream) = mpsc::channel(16);
        let mut client = LoadReportingServiceClient::new(self.channel.clone());
        let responses = within(client.stream_load_stats(ReceiverStream::new(stream))).await.unwrap();
        (requests, responses.into_inner())
    }

    fn metrics(&self) -> (mpsc::Sender<StreamMetricsMessage>, JoinHandle<Result<(), Status>>) {
        let (requests, stream) = mpsc::channel(16);
        let mut client = MetricsServiceClient::new(self.channel.clone());
        let call = async move { client.stream_metrics(ReceiverStream::new(stream)).await.map(drop) };
        (requests, tokio::spawn(call))
    }

    async fn report(&mut self) -> Report {
        within(self.reports.recv()).await.unwrap()
    }
}

/// As Envoy sends it in each report: mostly extensions, which are skipped.
fn encoded_node(id: &str) -> Bytes {
    let mut node = Node { id: id.to_owned(), ..Default::default() }.encode_to_vec();
    let extension = [0x4a, 4, 0x0a, 2, b'h', b'i'];
    (0..1000).for_each(|_| node.extend(extension));
    node.into()
}

fn hello(id: &str) -> LoadStatsRequest {
    LoadStatsRequest { node: encoded_node(id), cluster_stats: Vec::new() }
}

fn stats(cluster: &str, successful: u64, errors: u64, dropped: u64) -> ClusterStats {
    let address = |ip: &str| Address { socket_address: Some(SocketAddress { address: ip.to_owned(), port_value: 80 }) };
    let endpoint = |ip, successful, errors| UpstreamEndpointStats {
        address: Some(address(ip)),
        total_successful_requests: successful,
        total_error_requests: errors,
    };
    let locality = UpstreamLocalityStats {
        total_successful_requests: successful,
        total_error_requests: errors,
        total_requests_in_progress: 2,
        upstream_endpoint_stats: vec![endpoint("::1", successful, errors), endpoint("10.0.0.9", 0, 0)],
    };
    ClusterStats {
        cluster_name: cluster.to_owned(),
        upstream_locality_stats: vec![locality.clone(), locality],
        total_dropped_requests: dropped,
    }
}

#[tokio::test]
async fn load_is_asked_for_and_reported() {
    let mut door = Door::open().await;
    let (requests, mut responses) = door.load().await;
    requests.send(hello("edge-1")).await.unwrap();
    let begun = Report { node: "edge-1".into(), body: Body::Load(BTreeMap::new()) };
    assert_eq!(door.report().await, begun, "from now on attempts come from load reports");
    let asked = within(responses.message()).await.unwrap().unwrap();
    let interval = prost_types::Duration { seconds: 1, nanos: 500_000_000 };
    let expected = |names: &[&str]| LoadStatsResponse {
        clusters: names.iter().map(|name| (*name).to_owned()).collect(),
        load_reporting_interval: Some(interval),
        report_endpoint_granularity: true,
    };
    assert_eq!(asked, expected(&["blue", "old"]));

    // The node is said once, by gRPC clients.
    let cluster_stats = vec![stats("blue", 5, 2, 3), stats("stranger", 1, 1, 1)];
    requests.send(LoadStatsRequest { node: Bytes::new(), cluster_stats }).await.unwrap();
    let counts = Counts { requests: 14, errors: 4 };
    let load = Load { attempts: counts, dropped: 3, in_progress: 4, endpoints: [("[::1]:80".into(), counts)].into() };
    assert_eq!(door.report().await.body, Body::Load([("blue".into(), load)].into()));

    // What is served next is asked for before it is in use; what was stays, while it counts.
    door.world.send_replace(Some(Arc::new(Everybody("green"))));
    assert_eq!(within(responses.message()).await.unwrap().unwrap(), expected(&["blue", "green", "old"]));
    door.counted.send_replace(set(&["green"]));
    assert_eq!(within(responses.message()).await.unwrap().unwrap(), expected(&["green"]));

    drop((requests, responses));
    assert_eq!(door.report().await, Report { node: "edge-1".into(), body: Body::LoadEnded });
    assert!(door.fleet.try_recv().is_err(), "to the fleet it was nobody");
}

#[tokio::test]
async fn nobody_reports_that_there_is_nothing_to_report() {
    let mut door = Door::open().await;
    door.counted.send_replace(set(&[]));
    let (requests, mut responses) = door.load().await;
    requests.send(hello("edge-1")).await.unwrap();
    door.report().await;
    door.counted.send_replace(set(&["blue"]));
    assert_eq!(within(responses.message()).await.unwrap().unwrap().clusters, ["blue"]);
}

fn metric(labels: &[(&str, &str)]) -> Metric {
    let label = |(name, value): &(&str, &str)| LabelPair {
        name: Bytes::copy_from_slice(name.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    Metric { label: labels.iter().map(label).collect(), ..Metric::default() }
}

fn family(name: &'static str, metric: Vec<Metric>) -> MetricFamily {
    MetricFamily { name: Bytes::from_static(name.as_bytes()), metric }
}

fn of(cluster: &'static str) -> Metric {
    metric(&[("envoy.cluster_name", cluster)])
}

fn counter(value: f64, metric: Metric) -> Metric {
    Metric { counter: Some(Counter { value }), ..metric }
}

fn gauge(value: f64, metric: Metric) -> Metric {
    Metric { gauge: Some(Gauge { value }), ..metric }
}

fn class(class: &'static str, value: f64) -> Metric {
    counter(value, metric(&[("envoy.response_code_class", class), ("envoy.cluster_name", "blue")]))
}

#[tokio::test]
async fn metrics_are_picked_from_a_flush() {
    let mut door = Door::open().await;
    let (requests, _call) = door.metrics();
    let buckets =
        vec![Bucket { cumulative_count: 2, upper_bound: 5.0 }, Bucket { cumulative_count: 7, upper_bound: 10.0 }];
    let histogram = Histogram { sample_count: 8, bucket: buckets };
    let envoy_metrics = vec![
        family("cluster.upstream_rq_completed", vec![counter(10.0, of("blue")), counter(9.0, of("stranger"))]),
        family("cluster.retry.upstream_rq_completed", vec![counter(4.0, of("blue"))]),
        family("cluster.upstream_rq_xx", vec![class("2", 7.0), class("5", 3.0)]),
        family("cluster.retry.upstream_rq_xx", vec![class("5", 4.0)]),
        family("cluster.upstream_cx_none_healthy", vec![counter(2.0, of("blue"))]),
        family("cluster.upstream_rq_active", vec![gauge(6.0, of("blue")), gauge(f64::NAN, of("green"))]),
        family("cluster.membership_healthy", vec![gauge(1.0, of("blue")), gauge(-1.0, of("green"))]),
        family("cluster.upstream_rq_time", vec![Metric { histogram: Some(histogram), ..of("blue") }]),
        family("server.uptime", vec![gauge(77.0, metric(&[]))]),
        family("server.live", vec![gauge(1.0, metric(&[]))]),
    ];
    let identifier = Some(Identifier { node: encoded_node("edge-1") });
    requests.send(StreamMetricsMessage { identifier, envoy_metrics }).await.unwrap();
    let blue = Metrics {
        completed: Some(14),
        failed: Some(7),
        none_healthy: Some(2),
        active: Some(6),
        healthy: Some(1),
        latency: Some(telemetry::Histogram { count: 8, buckets: vec![(5.0, 2), (10.0, 7)] }),
    };
    let flush = Flush {
        uptime: Some(Duration::from_secs(77)),
        counted: set(&["blue", "green", "old"]),
        clusters: [("blue".into(), blue), ("green".into(), Metrics::default())].into(),
    };
    assert_eq!(door.report().await, Report { node: "edge-1".into(), body: Body::Metrics(flush) });
    // Only the first message names the node.
    requests.send(StreamMetricsMessage::default()).await.unwrap();
    let Report { node, body: Body::Metrics(flush) } = door.report().await else { panic!("no flush") };
    assert_eq!((&*node, flush.clusters.len()), ("edge-1", 0));
    assert!(door.fleet.try_recv().is_err(), "to the fleet it was nobody");
}

#[tokio::test]
async fn a_stream_that_does_not_say_whose_it_is_is_refused() {
    let door = Door::open().await;
    for (node, words) in [
        (Bytes::new(), "the first message of a stream needs a node"),
        (encoded_node(""), "the first message of a stream needs a node with an id"),
        (Bytes::from_static(&[0x0a, 9]), "the first message of a stream needs a node that can be read: "),
    ] {
        let (requests, mut responses) = door.load().await;
        requests.send(LoadStatsRequest { node: node.clone(), cluster_stats: Vec::new() }).await.unwrap();
        let (metrics, call) = door.metrics();
        let identifier = Some(Identifier { node });
        metrics.send(StreamMetricsMessage { identifier, envoy_metrics: Vec::new() }).await.unwrap();
        for status in [within(responses.message()).await.unwrap_err(), within(call).await.unwrap().unwrap_err()] {
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().starts_with(words), "{status}");
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_its_stream_alone() {
    let mut door = Door::open().await;
    let (requests, mut responses) = door.load().await;
    requests.send(hello("edge-1")).await.unwrap();
    door.report().await;
    within(responses.message()).await.unwrap().unwrap();
    let (metrics, call) = door.metrics();
    let identifier = Some(Identifier { node: Bytes::from(vec![0; limits::MEASUREMENT_BYTES]) });
    metrics.send(StreamMetricsMessage { identifier, envoy_metrics: Vec::new() }).await.unwrap();
    assert_eq!(within(call).await.unwrap().unwrap_err().code(), Code::OutOfRange);
    requests.send(LoadStatsRequest::default()).await.unwrap();
    assert_eq!(door.report().await.body, Body::Load(BTreeMap::new()));
}

#[tokio::test]
async fn streams_end_with_the_server_though_nobody_takes_reports() {
    let door = Door::open().await;
    let (requests, mut responses) = door.load().await;
    requests.send(hello("edge-1")).await.unwrap();
    within(responses.message()).await.unwrap().unwrap();
    let (metrics, call) = door.metrics();
    for _ in 0..4 {
        let identifier = Some(Identifier { node: encoded_node("edge-1") });
        metrics.send(StreamMetricsMessage { identifier, envoy_metrics: Vec::new() }).await.unwrap();
        requests.send(LoadStatsRequest::default()).await.unwrap();
    }
    door.stop.send(()).unwrap();
    let (of_load, of_metrics) =
        (within(responses.message()).await.unwrap_err(), within(call).await.unwrap().unwrap_err());
    assert_eq!((of_load.code(), of_metrics.code()), (Code::Unavailable, Code::Unavailable));
    drop(door.channel);
    within(door.server).await.unwrap().unwrap();
}
