//! Envoy's load reporting service: a proxy asks which clusters it should report, and reports them at an interval.
//!
//! Clusters are named one by one, and before traffic goes to them: of one that is named later, or not at all, a proxy
//! loses what it had counted until then.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use super::super::environment::Environment;
use super::super::limits;
use super::super::proto::envoy::service::load_stats::v3::load_reporting_service_server as service;
use super::super::proto::envoy::service::load_stats::v3::{
    ClusterStats, LoadStatsRequest, LoadStatsResponse, UpstreamEndpointStats,
};
use super::super::stop::shutting_down;
use super::super::stream;
use super::super::wire;
use super::{log_refusal, node, tell};
use crate::telemetry::{Body, Counts, Load, Report};
use crate::xds::{Node, ResourceType, Version};

/// Full name of the service.
pub(super) const NAME: &str = service::SERVICE_NAME;

/// The service.
pub(super) struct LoadStats(pub(super) Arc<Environment>);

impl LoadStats {
    /// Adds the service to the routes.
    pub(super) fn register(self, routes: &mut tonic::service::RoutesBuilder) {
        routes.add_service(
            service::LoadReportingServiceServer::new(self).max_decoding_message_size(limits::MEASUREMENT_BYTES),
        );
    }
}

type Outbound = mpsc::Sender<Result<LoadStatsResponse, Status>>;

#[tonic::async_trait]
impl service::LoadReportingService for LoadStats {
    type StreamLoadStatsStream = ReceiverStream<Result<LoadStatsResponse, Status>>;

    async fn stream_load_stats(
        &self,
        request: Request<Streaming<LoadStatsRequest>>,
    ) -> Result<Response<Self::StreamLoadStatsStream>, Status> {
        if self.0.config.world.borrow().is_none() {
            return Err(stream::not_loaded());
        }
        let peer = request.remote_addr().map_or_else(String::new, |address| address.to_string());
        let (outbound, responses) = mpsc::channel(1);
        tokio::spawn(run(Arc::clone(&self.0), request.into_inner(), outbound, peer));
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

/// Serves one stream to its end.
async fn run(environment: Arc<Environment>, inbound: Streaming<LoadStatsRequest>, outbound: Outbound, peer: String) {
    let mut id = None;
    if let Err(status) = serve(&environment, inbound, &outbound, &mut id).await {
        log_refusal(&peer, id.as_deref(), "load reports", &status);
        drop(outbound.send(Err(status)).await);
    }
    debug!(peer, node = id.as_deref(), "stream of load reports closed");
}

async fn serve(
    environment: &Environment,
    mut inbound: Streaming<LoadStatsRequest>,
    outbound: &Outbound,
    id: &mut Option<Arc<str>>,
) -> Result<(), Status> {
    let mut stop = environment.stop.clone();
    let first = tokio::select! {
        message = inbound.message() => match message? {
            Some(message) => message,
            None => return Ok(()),
        },
        () = outbound.closed() => return Ok(()),
        () = stop.wait() => return Err(shutting_down()),
    };
    let node = wire::node(node(Some(&first.node))?);
    let reporter =
        Reporter { node: id.insert(node.id.as_str().into()).clone(), reports: environment.config.reports.clone() };
    reporter.tell(environment, first).await?;

    let mut world = environment.config.world.clone();
    let mut counted = environment.config.counted.clone();
    let mut list = List { node, names: BTreeSet::new(), made_of: None };
    let mut due = list.update(environment, &mut world, &mut counted);
    loop {
        tokio::select! {
            message = inbound.message() => match message {
                Ok(Some(message)) => reporter.tell(environment, message).await?,
                Ok(None) => return Ok(()),
                Err(_) if outbound.is_closed() => return Ok(()),
                Err(status) => return Err(status),
            },
            changed = world.changed() => {
                changed.map_err(|_| shutting_down())?;
                due |= list.update(environment, &mut world, &mut counted);
            }
            changed = counted.changed() => {
                changed.map_err(|_| shutting_down())?;
                due |= list.update(environment, &mut world, &mut counted);
            }
            room = outbound.reserve(), if due => {
                let Ok(room) = room else { return Ok(()) };
                room.send(Ok(list.response(environment)?));
                due = false;
            }
            () = outbound.closed() => return Ok(()),
            () = stop.wait() => return Err(shutting_down()),
        }
    }
}

/// One stream, of a node that is known. Whatever way its task ends, dropping this says so.
struct Reporter {
    node: Arc<str>,
    reports: mpsc::Sender<Report>,
}

impl Reporter {
    async fn tell(&self, environment: &Environment, message: LoadStatsRequest) -> Result<(), Status> {
        let loads = loads(&environment.config.counted.borrow(), message.cluster_stats);
        environment.config.metrics.load_reports.inc();
        tell(&self.reports, &mut environment.stop.clone(), &self.node, Body::Load(loads)).await
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let ended = Report { node: Arc::clone(&self.node), body: Body::LoadEnded };
        if let Err(mpsc::error::TrySendError::Full(ended)) = self.reports.try_send(ended)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Dropping cannot wait. Nothing else of this stream can come behind, so the order holds.
            let reports = self.reports.clone();
            runtime.spawn(async move { drop(reports.send(ended).await) });
        }
    }
}

/// The clusters that a node is to report: those that count, of those that it is served or that its bootstrap defines.
/// One that is in the list stays as long as it counts: its last requests may be under way.
struct List {
    node: Node,
    names: BTreeSet<Arc<str>>,
    /// The clusters that count and the version of the clusters that the node is served.
    made_of: Option<(Arc<BTreeSet<Arc<str>>>, Version)>,
}

impl List {
    /// Whether it is another list now that the proxy is to be told of.
    fn update(
        &mut self,
        environment: &Environment,
        world: &mut super::super::World,
        counted: &mut tokio::sync::watch::Receiver<Arc<BTreeSet<Arc<str>>>>,
    ) -> bool {
        let counted = Arc::clone(&counted.borrow_and_update());
        let Some(assign) = world.borrow_and_update().clone() else { return false };
        let snapshot = assign.assign(&self.node).snapshot;
        let served = snapshot.set(ResourceType::Cluster);
        let same = self
            .made_of
            .as_ref()
            .is_some_and(|(before, version)| Arc::ptr_eq(before, &counted) && *version == served.version());
        if same {
            return false;
        }
        let bootstrap = &environment.config.bootstrap_clusters;
        let names = counted
            .iter()
            .filter(|name| self.names.contains(*name) || served.get(name).is_some() || bootstrap.contains(&***name));
        let names: BTreeSet<_> = names.cloned().collect();
        self.made_of = Some((counted, served.version()));
        // Nobody has to report, at 61 KB each time, that there is nothing to report.
        let news = names != self.names;
        self.names = names;
        news
    }

    fn response(&self, environment: &Environment) -> Result<LoadStatsResponse, Status> {
        let interval = environment.config.load_report_interval;
        Ok(LoadStatsResponse {
            clusters: self.names.iter().map(ToString::to_string).collect(),
            load_reporting_interval: Some(
                prost_types::Duration::try_from(interval).map_err(|error| Status::internal(error.to_string()))?,
            ),
            report_endpoint_granularity: true,
        })
    }
}

/// What is wanted of a load report.
fn loads(counted: &BTreeSet<Arc<str>>, clusters: Vec<ClusterStats>) -> BTreeMap<Arc<str>, Load> {
    let mut loads: BTreeMap<Arc<str>, Load> = BTreeMap::new();
    for ClusterStats { cluster_name, upstream_locality_stats, total_dropped_requests } in clusters {
        let Some(name) = counted.get(&*cluster_name) else { continue };
        let load = loads.entry(Arc::clone(name)).or_default();
        load.dropped = load.dropped.saturating_add(total_dropped_requests);
        for locality in upstream_locality_stats {
            load.attempts.add(counts(locality.total_successful_requests, locality.total_error_requests));
            load.in_progress = load.in_progress.saturating_add(locality.total_requests_in_progress);
            for endpoint in locality.upstream_endpoint_stats {
                let counts = counts(endpoint.total_successful_requests, endpoint.total_error_requests);
                let Some(name) = name_of(endpoint).filter(|_| counts.requests > 0) else { continue };
                load.endpoints.entry(name.into()).or_default().add(counts);
            }
        }
    }
    loads
}

fn counts(successful: u64, errors: u64) -> Counts {
    Counts { requests: successful.saturating_add(errors), errors }
}

/// `IP:port`; pipes have none.
fn name_of(endpoint: UpstreamEndpointStats) -> Option<String> {
    let socket = endpoint.address?.socket_address?;
    let port = u16::try_from(socket.port_value).ok()?;
    let ip: Option<IpAddr> = socket.address.parse().ok();
    Some(ip.map_or_else(|| format!("{}:{port}", socket.address), |ip| SocketAddr::new(ip, port).to_string()))
}
