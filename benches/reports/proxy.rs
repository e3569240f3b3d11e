//! One simulated proxy: its connection, and the three streams on it.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::envoy::service::load_stats::v3::LoadStatsResponse;
use futures::{StreamExt, TryStreamExt, stream};
use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use super::files::ROUTES;
use super::messages;
use super::raw::{Message, Raw};

const DISCOVERY: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const LOADS: &str = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";
const FLUSHES: &str = "/envoy.service.metrics.v3.MetricsService/StreamMetrics";

const CLUSTERS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const ROUTE_TABLES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// Envoy lets so much come before it has read any of it.
const WINDOW: u32 = 16 << 20;

/// Messages that wait for room on the connection; with more than a few the server is too slow.
const WAITING: usize = 4;

/// Proxies that connect at a time.
const AT_ONCE: usize = 16;

/// A proxy that is connected and has what is served.
pub(crate) struct Proxy {
    /// The part of each load report that names it.
    pub(crate) load_node: Bytes,
    /// The part of its first flush that names it, until that is sent.
    pub(crate) flush_node: Bytes,
    /// To its stream of load reports.
    pub(crate) loads: mpsc::Sender<Message>,
    /// To its stream of flushes.
    pub(crate) flushes: mpsc::Sender<Message>,
    streams: Vec<JoinHandle<Result<()>>>,
}

impl Proxy {
    /// Connects, subscribes to everything, and asks which of so many clusters to report.
    pub(crate) async fn connect(server: SocketAddr, number: u32, clusters: usize) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{server}"))?
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let channel = endpoint.connect().await.with_context(|| format!("proxy {number} cannot connect"))?;
        let node = messages::node(&format!("edge-{number:05}"));
        let load_node = messages::load_node(&node);

        let (requests, to_send) = mpsc::channel(WAITING);
        let request = DeltaDiscoveryRequest {
            node: Some(node.clone()),
            type_url: CLUSTERS.to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(encoded(&request)).await?;
        let responses = open(channel.clone(), DISCOVERY, to_send).await?;
        let discovery = tokio::spawn(follow(requests, responses));

        let (loads, to_send) = mpsc::channel(WAITING);
        loads.send((load_node.clone(), Bytes::new())).await?;
        let mut asked = open(channel.clone(), LOADS, to_send).await?;
        let response = asked.next().await.context("the stream of load reports ended")??;
        let response = LoadStatsResponse::decode(response)?;
        ensure!(
            response.clusters.len() == clusters && response.report_endpoint_granularity,
            "asked to report {} clusters, and not {clusters}",
            response.clusters.len()
        );
        let listening = tokio::spawn(async move {
            while let Some(response) = asked.next().await {
                response?;
            }
            Ok(())
        });

        let (flushes, to_send) = mpsc::channel(WAITING);
        let flushing = tokio::spawn(async move {
            let mut client = Grpc::new(channel);
            client.ready().await?;
            let stream = Request::new(ReceiverStream::new(to_send));
            client.client_streaming(stream, PathAndQuery::from_static(FLUSHES), Raw).await?;
            Ok(())
        });
        let flush_node = messages::flush_node(&node);
        Ok(Self { load_node, flush_node, loads, flushes, streams: vec![discovery, listening, flushing] })
    }

    /// Whether a stream has ended, which none should.
    pub(crate) fn has_ended(&self) -> bool {
        self.streams.iter().any(JoinHandle::is_finished)
    }

    /// Why it has.
    pub(crate) async fn why(self) -> Result<()> {
        for stream in self.streams {
            if stream.is_finished() {
                stream.await??;
            }
        }
        anyhow::bail!("the server has ended a stream")
    }
}

/// Opens a stream that is answered.
async fn open(channel: Channel, path: &'static str, messages: mpsc::Receiver<Message>) -> Result<Streaming<Bytes>> {
    let mut client = Grpc::new(channel);
    client = client.max_decoding_message_size(usize::MAX);
    client.ready().await?;
    let stream = Request::new(ReceiverStream::new(messages));
    let response = client.streaming(stream, PathAndQuery::from_static(path), Raw).await;
    Ok(response.with_context(|| path.to_owned())?.into_inner())
}

/// Acknowledges all that comes; asks for the endpoints of all clusters, and then for the routes.
async fn follow(requests: mpsc::Sender<Message>, mut responses: Streaming<Bytes>) -> Result<()> {
    let mut begun = false;
    while let Some(response) = responses.next().await {
        let DeltaDiscoveryResponse { type_url, nonce, resources, .. } = DeltaDiscoveryResponse::decode(response?)?;
        if type_url == CLUSTERS && !begun {
            let names = resources.into_iter().map(|resource| resource.name).collect();
            requests.send(subscription(ENDPOINTS, names)).await?;
        }
        let first = type_url == ENDPOINTS && !std::mem::replace(&mut begun, true);
        let acknowledgement =
            DeltaDiscoveryRequest { type_url, response_nonce: nonce, ..DeltaDiscoveryRequest::default() };
        requests.send(encoded(&acknowledgement)).await?;
        if first {
            requests.send(subscription(ROUTE_TABLES, vec![ROUTES.to_owned()])).await?;
        }
    }
    Ok(())
}

fn subscription(type_url: &str, resource_names_subscribe: Vec<String>) -> Message {
    let type_url = type_url.to_owned();
    encoded(&DeltaDiscoveryRequest { type_url, resource_names_subscribe, ..DeltaDiscoveryRequest::default() })
}

fn encoded(message: &DeltaDiscoveryRequest) -> Message {
    (message.encode_to_vec().into(), Bytes::new())
}

/// Connects so many, some at a time; in order.
pub(crate) async fn fleet(server: SocketAddr, nodes: u32, clusters: usize) -> Result<Vec<Proxy>> {
    let connections = stream::iter(0..nodes).map(|number| Proxy::connect(server, number, clusters));
    connections.buffered(AT_ONCE).try_collect().await
}
