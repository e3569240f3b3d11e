//! The discovery services: each method only says which variant and which type its stream is for.
//!
//! The REST flavour (`Fetch*`) is not served: a poll cannot be acknowledged.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::limits;
use super::proto::envoy::service::cluster::v3::cluster_discovery_service_server as cds;
use super::proto::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_server as ads,
};
use super::proto::envoy::service::endpoint::v3::endpoint_discovery_service_server as eds;
use super::proto::envoy::service::listener::v3::listener_discovery_service_server as lds;
use super::proto::envoy::service::route::v3::route_discovery_service_server as rds;
use super::stream::{self, Call, Environment, ROOM};
use super::wire::{Inbound, Outbound};
use crate::xds::{ResourceType, Variant};

/// Full name of the aggregated service, whose health is reported by itself.
pub(super) const AGGREGATED: &str = ads::SERVICE_NAME;

/// Full names of all discovery services.
pub(super) const NAMES: [&str; 5] =
    [AGGREGATED, cds::SERVICE_NAME, eds::SERVICE_NAME, lds::SERVICE_NAME, rds::SERVICE_NAME];

/// All discovery services.
pub(super) struct Discovery(pub(super) Arc<Environment>);

impl Discovery {
    /// Adds the services to the routes.
    pub(super) fn register(self, routes: &mut tonic::service::RoutesBuilder) {
        let it = Arc::new(self);
        let limit = limits::REQUEST_BYTES;
        routes
            .add_service(
                ads::AggregatedDiscoveryServiceServer::from_arc(Arc::clone(&it)).max_decoding_message_size(limit),
            )
            .add_service(cds::ClusterDiscoveryServiceServer::from_arc(Arc::clone(&it)).max_decoding_message_size(limit))
            .add_service(
                eds::EndpointDiscoveryServiceServer::from_arc(Arc::clone(&it)).max_decoding_message_size(limit),
            )
            .add_service(
                lds::ListenerDiscoveryServiceServer::from_arc(Arc::clone(&it)).max_decoding_message_size(limit),
            )
            .add_service(rds::RouteDiscoveryServiceServer::from_arc(it).max_decoding_message_size(limit));
    }

    /// Answers at once and leaves the call to a task of its own: some clients send nothing before they are answered.
    fn open<Q, P>(
        &self,
        request: Request<Streaming<Q>>,
        variant: Variant,
        only: Option<ResourceType>,
    ) -> Result<Response<ReceiverStream<Result<P, Status>>>, Status>
    where
        Q: Into<Inbound> + Send + 'static,
        P: Outbound,
    {
        if self.0.config.world.borrow().is_none() {
            return Err(stream::not_loaded());
        }
        let peer = request.remote_addr().map_or_else(String::new, |address| address.to_string());
        let (outbound, responses) = mpsc::channel(ROOM);
        let call = Call { inbound: request.into_inner(), outbound, variant, only, peer };
        tokio::spawn(stream::run(Arc::clone(&self.0), call));
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

/// Implements one service: the types of its streams and its two methods.
macro_rules! serve {
    ($service:path, $only:expr, $sotw:ident -> $sotw_stream:ident, $delta:ident -> $delta_stream:ident) => {
        #[tonic::async_trait]
        impl $service for Discovery {
            type $sotw_stream = ReceiverStream<Result<DiscoveryResponse, Status>>;
            type $delta_stream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

            async fn $sotw(
                &self,
                request: Request<Streaming<DiscoveryRequest>>,
            ) -> Result<Response<Self::$sotw_stream>, Status> {
                self.open(request, Variant::Sotw, $only)
            }

            async fn $delta(
                &self,
                request: Request<Streaming<DeltaDiscoveryRequest>>,
            ) -> Result<Response<Self::$delta_stream>, Status> {
                self.open(request, Variant::Delta, $only)
            }
        }
    };
}

serve!(ads::AggregatedDiscoveryService, None,
    stream_aggregated_resources -> StreamAggregatedResourcesStream,
    delta_aggregated_resources -> DeltaAggregatedResourcesStream);
serve!(cds::ClusterDiscoveryService, Some(ResourceType::Cluster),
    stream_clusters -> StreamClustersStream, delta_clusters -> DeltaClustersStream);
serve!(eds::EndpointDiscoveryService, Some(ResourceType::Endpoint),
    stream_endpoints -> StreamEndpointsStream, delta_endpoints -> DeltaEndpointsStream);
serve!(lds::ListenerDiscoveryService, Some(ResourceType::Listener),
    stream_listeners -> StreamListenersStream, delta_listeners -> DeltaListenersStream);
serve!(rds::RouteDiscoveryService, Some(ResourceType::Route),
    stream_routes -> StreamRoutesStream, delta_routes -> DeltaRoutesStream);
