//! Envoy's metrics service: one message for each flush of its statistics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status, Streaming};

use super::super::environment::Environment;
use super::super::limits;
use super::super::proto::envoy::service::metrics::v3::metrics_service_server as service;
use super::super::proto::envoy::service::metrics::v3::{StreamMetricsMessage, StreamMetricsResponse};
use super::super::proto::io::prometheus::client::{self, Metric, MetricFamily};
use super::super::stop::shutting_down;
use super::{log_refusal, node, tell};
use crate::telemetry::{Body, Flush, Histogram, Metrics as Measured};

/// Full name of the service.
pub(super) const NAME: &str = service::SERVICE_NAME;

/// What the counts and gauges of a cluster are called once Envoy has taken their tags out.
const CLUSTER: &[u8] = b"envoy.cluster_name";
const CODE_CLASS: &[u8] = b"envoy.response_code_class";

/// The service.
pub(super) struct Metrics(pub(super) Arc<Environment>);

impl Metrics {
    /// Adds the service to the routes.
    pub(super) fn register(self, routes: &mut tonic::service::RoutesBuilder) {
        routes
            .add_service(service::MetricsServiceServer::new(self).max_decoding_message_size(limits::MEASUREMENT_BYTES));
    }

    async fn read(
        &self,
        inbound: &mut Streaming<StreamMetricsMessage>,
        id: &mut Option<Arc<str>>,
    ) -> Result<(), Status> {
        let mut stop = self.0.stop.clone();
        let counted = self.0.config.counted.clone();
        loop {
            let message = tokio::select! {
                message = inbound.message() => message?,
                () = stop.wait() => return Err(shutting_down()),
            };
            let Some(StreamMetricsMessage { identifier, envoy_metrics }) = message else { return Ok(()) };
            let id = match id {
                Some(id) => id,
                None => id.insert(node(identifier.as_ref().map(|identifier| &identifier.node))?.id.into()),
            };
            let counted = Arc::clone(&counted.borrow());
            self.0.config.metrics.flushes.inc();
            tell(&self.0.config.reports, &mut stop, id, Body::Metrics(flush(counted, envoy_metrics))).await?;
        }
    }
}

#[tonic::async_trait]
impl service::MetricsService for Metrics {
    async fn stream_metrics(
        &self,
        request: Request<Streaming<StreamMetricsMessage>>,
    ) -> Result<Response<StreamMetricsResponse>, Status> {
        let peer = request.remote_addr().map_or_else(String::new, |address| address.to_string());
        let mut inbound = request.into_inner();
        let mut id = None;
        let end = self.read(&mut inbound, &mut id).await;
        if let Err(status) = &end {
            log_refusal(&peer, id.as_deref(), "metrics", status);
        }
        end.map(|()| Response::new(StreamMetricsResponse {}))
    }
}

/// What is wanted of a flush.
fn flush(counted: Arc<BTreeSet<Arc<str>>>, families: Vec<MetricFamily>) -> Flush {
    let mut flush = Flush { uptime: None, counted, clusters: BTreeMap::new() };
    for MetricFamily { name, metric } in families {
        let take: fn(&mut Measured, &Metric) = match &*name {
            b"cluster.upstream_rq_completed" | b"cluster.retry.upstream_rq_completed" => {
                |measured, metric| add(&mut measured.completed, counter(metric))
            }
            b"cluster.upstream_rq_xx" | b"cluster.retry.upstream_rq_xx" => |measured, metric| {
                if label(metric, CODE_CLASS) == Some(b"5") {
                    add(&mut measured.failed, counter(metric));
                }
            },
            b"cluster.upstream_cx_none_healthy" => |measured, metric| add(&mut measured.none_healthy, counter(metric)),
            b"cluster.upstream_rq_active" => |measured, metric| add(&mut measured.active, gauge(metric)),
            b"cluster.membership_healthy" => |measured, metric| add(&mut measured.healthy, gauge(metric)),
            b"cluster.upstream_rq_time" => |measured, metric| measured.latency = histogram(metric),
            b"server.uptime" => {
                flush.uptime = metric.first().and_then(gauge).map(Duration::from_secs);
                continue;
            }
            _ => continue,
        };
        for metric in metric {
            let cluster = label(&metric, CLUSTER).and_then(|name| std::str::from_utf8(name).ok());
            let Some(cluster) = cluster.and_then(|name| flush.counted.get(name)) else { continue };
            take(flush.clusters.entry(Arc::clone(cluster)).or_default(), &metric);
        }
    }
    flush
}

fn label<'a>(metric: &'a Metric, name: &[u8]) -> Option<&'a [u8]> {
    metric.label.iter().find(|label| label.name == name).map(|label| &*label.value)
}

fn counter(metric: &Metric) -> Option<u64> {
    metric.counter.as_ref().and_then(|counter| whole(counter.value))
}

fn gauge(metric: &Metric) -> Option<u64> {
    metric.gauge.as_ref().and_then(|gauge| whole(gauge.value))
}

fn histogram(metric: &Metric) -> Option<Histogram> {
    let client::Histogram { sample_count, bucket } = metric.histogram.as_ref()?;
    let buckets = bucket.iter().map(|bucket| (bucket.upper_bound, bucket.cumulative_count)).collect();
    (*sample_count > 0).then_some(Histogram { count: *sample_count, buckets })
}

fn add(sum: &mut Option<u64>, value: Option<u64>) {
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or_default().saturating_add(value));
    }
}

/// Counts come as floating-point numbers.
fn whole(value: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, not negative; `as` saturates")]
    let whole = value as u64;
    (value.is_finite() && value >= 0.0).then_some(whole)
}
