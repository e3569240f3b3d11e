//! Takes the address, and serves on it until told to stop.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::pb::health_server::SERVICE_NAME as HEALTH;
use tonic_reflection::pb::v1::server_reflection_server::SERVICE_NAME as REFLECTION;
use tonic_reflection::pb::v1alpha::server_reflection_server::SERVICE_NAME as REFLECTION_ALPHA;

use super::connection::Connections;
use super::environment::Environment;
use super::status::ClientStatus;
use super::stop::Stop;
use super::{Config, discovery, health, limits, status, telemetry};

/// The whole Envoy API: whoever describes our services can also read the resources in their `Any`s.
static ENVOY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.bin"));

/// Why there is no gRPC server.
#[derive(Debug, Error)]
pub enum Error {
    /// The address cannot be listened on: in use, not of this machine, or not permitted.
    #[error("cannot listen for xDS on {address}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The descriptors built into this binary cannot be served.
    #[error("cannot set up gRPC reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A server that has its address and serves nobody yet; clients that connect wait.
pub struct Bound {
    /// Where it listens, with the port that was picked for port 0.
    pub addr: SocketAddr,
    listener: TcpListener,
    config: Config,
}

/// Takes the address.
pub async fn bind(config: Config) -> Result<Bound, Error> {
    let address = config.listen;
    let refused = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    Ok(Bound { addr, listener, config })
}

impl Bound {
    /// Serves until `shutdown`, then ends every stream with UNAVAILABLE and returns when the connections are closed,
    /// at the latest a few seconds later.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { listener, config, .. } = self;
        let max_connection_age = config.max_connection_age;
        let (stopper, stop) = Stop::new();
        let (reporter, health) = tonic_health::server::health_reporter();
        let world = config.world.clone();
        let loaded = world.borrow().is_some();
        health::announce(&reporter, loaded).await;

        let mut routes = Routes::builder();
        ClientStatus { fleet: config.fleet.clone(), stop: stop.clone() }.register(&mut routes);
        let environment = Arc::new(Environment::new(config, stop.clone()));
        telemetry::register(&environment, &mut routes);
        discovery::register(&environment, &mut routes);
        routes.add_service(health).add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);

        let connections = Connections::new(routes.routes().prepare(), max_connection_age, stop.clone());
        let stopping = async {
            shutdown.await;
            stopper.send_replace(true);
            pending::<Infallible>().await
        };
        tokio::select! {
            () = connections.serve(async move || listener.accept().await) => Ok(()),
            never = stopping => match never {},
            never = health::follow(reporter, world, stop.clone()) => match never {},
            () = grace(stop) => Ok(()),
        }
    }
}

async fn grace(mut stop: Stop) {
    stop.wait().await;
    tokio::time::sleep(limits::SHUTDOWN_GRACE).await;
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    let own = [status::NAME, HEALTH, REFLECTION, REFLECTION_ALPHA];
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(ENVOY)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET);
    discovery::NAMES
        .into_iter()
        .chain(telemetry::NAMES)
        .chain(own)
        .fold(builder, tonic_reflection::server::Builder::with_service_name)
}
