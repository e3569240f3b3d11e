//! The discovery services: each method only says which variant and which type its stream is for.
//!
//! tonic's codec reads and writes nothing here: it would keep a buffer for each stream and copy each response into it
//! ([`super::requests`], [`super::frame`]). The REST flavour (`Fetch*`) is not served: a poll cannot be acknowledged.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};

use super::connection::Ending;
use super::environment::Environment;
use super::frame::Frames;
use super::outlet::outlet;
use super::proto::envoy::service::cluster::v3::cluster_discovery_service_server as cds;
use super::proto::envoy::service::discovery::v3::aggregated_discovery_service_server as ads;
use super::proto::envoy::service::endpoint::v3::endpoint_discovery_service_server as eds;
use super::proto::envoy::service::listener::v3::listener_discovery_service_server as lds;
use super::proto::envoy::service::route::v3::route_discovery_service_server as rds;
use super::requests::Requests;
use super::stream::{self, Call, Caller};
use crate::xds::{ResourceType, Variant};

/// Full name of the aggregated service, whose health is reported by itself.
pub(super) const AGGREGATED: &str = ads::SERVICE_NAME;

/// Full names of all discovery services.
pub(super) const NAMES: [&str; 5] =
    [AGGREGATED, cds::SERVICE_NAME, eds::SERVICE_NAME, lds::SERVICE_NAME, rds::SERVICE_NAME];

/// Adds all discovery services to the routes.
pub(super) fn register(environment: &Arc<Environment>, routes: &mut tonic::service::RoutesBuilder) {
    routes
        .add_service(Door::<ads::AggregatedDiscoveryServiceServer<()>>::new(environment, None, "AggregatedResources"))
        .add_service(Door::<cds::ClusterDiscoveryServiceServer<()>>::new(
            environment,
            Some(ResourceType::Cluster),
            "Clusters",
        ))
        .add_service(Door::<eds::EndpointDiscoveryServiceServer<()>>::new(
            environment,
            Some(ResourceType::Endpoint),
            "Endpoints",
        ))
        .add_service(Door::<lds::ListenerDiscoveryServiceServer<()>>::new(
            environment,
            Some(ResourceType::Listener),
            "Listeners",
        ))
        .add_service(Door::<rds::RouteDiscoveryServiceServer<()>>::new(
            environment,
            Some(ResourceType::Route),
            "Routes",
        ));
}

/// One service, named like `S`.
struct Door<S> {
    environment: Arc<Environment>,
    /// The one type of a service that is not aggregated.
    only: Option<ResourceType>,
    /// What its two methods bring: `Stream...` and `Delta...`.
    what: &'static str,
    name: PhantomData<fn() -> S>,
}

impl<S> Door<S> {
    fn new(environment: &Arc<Environment>, only: Option<ResourceType>, what: &'static str) -> Self {
        Self { environment: Arc::clone(environment), only, what, name: PhantomData }
    }

    /// The variant that the method of this path speaks.
    fn variant(&self, path: &str) -> Option<Variant> {
        let method = path.rsplit('/').next()?;
        match method.strip_suffix(self.what)? {
            "Stream" => Some(Variant::Sotw),
            "Delta" => Some(Variant::Delta),
            _ => None,
        }
    }

    fn answer(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let Some(variant) = self.variant(request.uri().path()) else {
            return Err(Status::new(Code::Unimplemented, "only the streaming methods are served"));
        };
        let encoding = request.headers().get("grpc-encoding").filter(|encoding| *encoding != "identity");
        if let Some(encoding) = encoding {
            return Err(Status::unimplemented(format!("requests compressed as {encoding:?} are not read")));
        }
        if self.environment.config.world.borrow().is_none() {
            return Err(stream::not_loaded());
        }
        let wait = self.environment.admission.enter((self.environment.config.clock)())?;
        Ok(self.open(request, variant, wait))
    }

    /// Answers at once and leaves the call to a task of its own: some clients send nothing before they are answered.
    fn open(&self, request: http::Request<Body>, variant: Variant, wait: Duration) -> http::Response<Body> {
        let connection = request.extensions().get::<TcpConnectInfo>();
        let address = connection.and_then(TcpConnectInfo::remote_addr);
        let peer = address.map_or_else(String::new, |address| address.to_string());
        let ending = request.extensions().get::<Ending>().cloned();
        let (outlet, responses) = outlet(&self.environment.config.clock);
        let inbound = Requests::new(request.into_body(), variant, self.only);
        let caller = Caller { variant, only: self.only, peer };
        let call = Call { inbound, outlet, caller, wait, ending };
        tokio::spawn(stream::run(Arc::clone(&self.environment), call));
        let mut response = http::Response::new(Body::new(Frames::new(responses)));
        response.headers_mut().insert(http::header::CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE);
        response
    }
}

impl<S> Clone for Door<S> {
    fn clone(&self) -> Self {
        Self::new(&self.environment, self.only, self.what)
    }
}

impl<S: NamedService> NamedService for Door<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Door<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        ready(Ok(self.answer(request).unwrap_or_else(Status::into_http)))
    }
}
