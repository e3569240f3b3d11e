//! gRPC health: serving once there is something to serve, and no longer when the process ends.

use std::convert::Infallible;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::stop::Stop;
use super::{World, discovery};

/// The whole server, and the service that proxies use.
const SERVICES: [&str; 2] = ["", discovery::AGGREGATED];

/// Says how it stands now, then again after each change of the world. At shutdown says so and ends all watches, which
/// would otherwise keep their connections open; then never returns.
pub(super) async fn follow(mut reporter: HealthReporter, mut world: World, mut stop: Stop) -> Infallible {
    loop {
        let loaded = world.borrow_and_update().is_some();
        announce(&reporter, loaded).await;
        tokio::select! {
            changed = world.changed() => if changed.is_err() { break },
            () = stop.wait() => break,
        }
    }
    announce(&reporter, false).await;
    for service in SERVICES {
        reporter.clear_service_status(service).await;
    }
    std::future::pending().await
}

/// Says how it stands.
pub(super) async fn announce(reporter: &HealthReporter, loaded: bool) {
    let status = if loaded { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}
