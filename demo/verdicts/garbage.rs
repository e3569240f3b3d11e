//! A proxy whose telemetry is nonsense. It says nothing that a proxy could have measured: a lie that could be true
//! nobody can tell from the truth.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::{Buf, BufMut, Bytes};
use envoy_types::pb::envoy::config::core::v3::{Address, Locality, Node, SocketAddress, address, socket_address};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterStats, UpstreamEndpointStats, UpstreamLocalityStats, cluster_stats::DroppedRequests,
};
use envoy_types::pb::envoy::service::load_stats::v3::LoadStatsRequest;
use envoy_types::pb::envoy::service::metrics::v3::{StreamMetricsMessage, stream_metrics_message::Identifier};
use envoy_types::pb::google::protobuf::Duration as ProtoDuration;
use envoy_types::pb::io::prometheus::client::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use futures::{Stream, StreamExt, stream};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::task::{JoinHandle, JoinSet};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Between two messages of a stream.
const EVERY: Duration = Duration::from_millis(50);

/// What cannot be right, as a number.
const ODD: [f64; 7] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e308, 0.5, f64::MIN_POSITIVE];

const METRICS: &str = "/envoy.service.metrics.v3.MetricsService/StreamMetrics";
const LOADS: &str = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";

/// Who sends it, until dropped.
pub(crate) struct Liar {
    sent: Arc<AtomicU64>,
    streams: JoinHandle<()>,
}

impl Liar {
    /// Speaks as the node `id` of these clusters to the control plane at `xds`; opens a stream again when it is ended.
    pub(crate) fn start(xds: SocketAddr, id: &str, clusters: &[String]) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{xds}"))?.connect_lazy();
        let (id, clusters): (Arc<str>, Arc<[String]>) = (id.into(), clusters.into());
        let sent = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&sent);
        let streams = tokio::spawn(async move {
            let mut all = JoinSet::new();
            for kind in 0..4 {
                let (channel, id, clusters) = (channel.clone(), Arc::clone(&id), Arc::clone(&clusters));
                all.spawn(speak(channel, id, clusters, kind, Arc::clone(&count)));
            }
            while all.join_next().await.is_some() {}
        });
        Ok(Self { sent, streams })
    }

    /// Messages so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.streams.abort();
    }
}

/// One of the streams: metrics, load reports, and random bytes to either.
async fn speak(channel: Channel, id: Arc<str>, clusters: Arc<[String]>, kind: u64, sent: Arc<AtomicU64>) {
    let mut turn = 0;
    loop {
        let from = turn;
        let (id, clusters, sent) = (Arc::clone(&id), Arc::clone(&clusters), Arc::clone(&sent));
        let messages = paced().map(move |nth| {
            sent.fetch_add(1, Ordering::Relaxed);
            let nth = from + nth;
            match kind {
                0 => metrics(&id, &clusters, nth).encode_to_vec().into(),
                1 => loads(&id, &clusters, nth).encode_to_vec().into(),
                _ => noise(nth),
            }
        });
        let path = PathAndQuery::from_static(if kind.is_multiple_of(2) { METRICS } else { LOADS });
        // The control plane may end the stream, which is all it can do.
        let _ = exchange(channel.clone(), path, messages).await;
        turn += 1;
        tokio::time::sleep(EVERY).await;
    }
}

fn paced() -> impl Stream<Item = u64> + Send + 'static {
    stream::unfold((tokio::time::interval(EVERY), 0), |(mut pace, nth)| async move {
        pace.tick().await;
        Some((nth, (pace, nth + 1)))
    })
}

/// Sends all, and reads what comes back until the stream ends.
async fn exchange(
    channel: Channel,
    path: PathAndQuery,
    messages: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut answers = client.streaming(Request::new(messages), path, Raw).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

fn node(id: &str) -> Node {
    Node { id: id.to_owned(), cluster: "demo".to_owned(), ..Node::default() }
}

/// A number that is not the same twice in a row, from the list of odd ones.
fn odd(nth: u64) -> f64 {
    ODD[usize::try_from(nth % 7).unwrap_or(0)]
}

/// Counters that fall and are no numbers, gauges below zero, histograms that shrink, clusters that are none.
fn metrics(id: &str, clusters: &[String], nth: u64) -> StreamMetricsMessage {
    let identifier = (nth.is_multiple_of(3)).then(|| Identifier { node: Some(node(id)) });
    let mut families = Vec::new();
    let strange = [String::new(), "x".repeat(100_000), "shop".into(), "shop/".into(), "shop/green/green".into()];
    for cluster in clusters.iter().chain(&strange) {
        let falling = 1e6 - f64::from(u32::try_from(nth % 1000).unwrap_or(0));
        for (name, value) in [
            ("upstream_rq_completed", falling),
            ("upstream_rq_xx", falling * 2.0),
            ("retry.upstream_rq_completed", odd(nth)),
            ("upstream_cx_none_healthy", odd(nth)),
        ] {
            families.push(family(name, MetricType::Counter, cluster, |metric| {
                metric.counter = Some(Counter { value: Some(value), ..Counter::default() });
            }));
        }
        for name in ["upstream_rq_active", "membership_healthy"] {
            families.push(family(name, MetricType::Gauge, cluster, |metric| {
                metric.gauge = Some(Gauge { value: Some(odd(nth + 1)) });
            }));
        }
        families.push(family("upstream_rq_time", MetricType::Histogram, cluster, |metric| {
            metric.histogram = Some(histogram(nth));
        }));
        // A counter that is a gauge, and one without a value.
        families.push(family("upstream_rq_completed", MetricType::Gauge, cluster, |metric| {
            metric.gauge = Some(Gauge { value: None });
        }));
    }
    StreamMetricsMessage { identifier, envoy_metrics: families }
}

/// Counts that fall from edge to edge, edges that are no numbers, ten thousand of them, and more requests than ever were.
fn histogram(nth: u64) -> Histogram {
    let edges = if nth % 10 == 9 { 10_000 } else { 10 };
    let bucket = (0..edges).map(|at| Bucket {
        cumulative_count: Some(u64::MAX - at * nth),
        upper_bound: Some(odd(nth + at)),
        ..Bucket::default()
    });
    Histogram {
        sample_count: Some(if nth.is_multiple_of(2) { u64::MAX } else { 0 }),
        sample_sum: Some(odd(nth)),
        bucket: bucket.collect(),
        ..Histogram::default()
    }
}

fn family(name: &str, ty: MetricType, cluster: &str, fill: impl FnOnce(&mut Metric)) -> MetricFamily {
    let label = |name: &str, value: &str| LabelPair { name: Some(name.to_owned()), value: Some(value.to_owned()) };
    let mut metric = Metric {
        label: vec![label("envoy.cluster_name", cluster), label("envoy.response_code_class", "5")],
        timestamp_ms: Some(i64::MIN),
        ..Metric::default()
    };
    fill(&mut metric);
    MetricFamily {
        name: Some(format!("cluster.{name}")),
        r#type: Some(ty.into()),
        metric: vec![metric],
        ..MetricFamily::default()
    }
}

/// More requests than ever were, time that runs backwards, endpoints that are nobody's.
fn loads(id: &str, clusters: &[String], nth: u64) -> LoadStatsRequest {
    let strange = [String::new(), "shop".into(), "shop/green/green".into()];
    let stats = clusters.iter().chain(&strange).map(|cluster| {
        let endpoint = UpstreamEndpointStats {
            address: Some(Address {
                address: Some(address::Address::SocketAddress(SocketAddress {
                    address: "nowhere".to_owned(),
                    port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::MAX)),
                    ..SocketAddress::default()
                })),
            }),
            total_successful_requests: u64::MAX,
            total_error_requests: u64::MAX,
            ..UpstreamEndpointStats::default()
        };
        ClusterStats {
            cluster_name: cluster.clone(),
            upstream_locality_stats: vec![UpstreamLocalityStats {
                locality: Some(Locality::default()),
                total_successful_requests: if nth.is_multiple_of(2) { u64::MAX } else { 0 },
                total_error_requests: u64::MAX,
                total_requests_in_progress: u64::MAX,
                total_issued_requests: 0,
                upstream_endpoint_stats: vec![endpoint],
                ..UpstreamLocalityStats::default()
            }],
            total_dropped_requests: u64::MAX,
            dropped_requests: vec![DroppedRequests { category: String::new(), dropped_count: u64::MAX }],
            load_report_interval: Some(ProtoDuration { seconds: i64::MIN, nanos: i32::MAX }),
            ..ClusterStats::default()
        }
    });
    LoadStatsRequest { node: (nth.is_multiple_of(3)).then(|| node(id)), cluster_stats: stats.collect() }
}

/// Bytes that are no message.
fn noise(nth: u64) -> Bytes {
    let mut state = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bytes = (0..1000).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    bytes.collect()
}

/// Messages as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
