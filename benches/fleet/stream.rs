//! One proxy: asks as an Envoy does that starts, takes everything, and notes on the board what has come.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Result, bail};
use bytes::Buf;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
use envoy_types::pb::google::protobuf::Any;
use prost::Message;
use tokio::net::TcpSocket;
use tokio::sync::OwnedSemaphorePermit;

use crate::board::Board;
use crate::call::{Call, connect, over};
use crate::message::{Response, Subscription, Type, Variant};

/// Whom the streams ask, and for what.
pub(crate) struct Plan {
    pub(crate) server: SocketAddr,
    pub(crate) variant: Variant,
    subscriptions: [Subscription; 4],
}

fn node(id: String) -> Node {
    Node { id, cluster: "bench".into(), user_agent_name: "envoy".into(), ..Default::default() }
}

impl Plan {
    /// Learns the names of endpoints and routes from clusters and listeners, with one stream of its own. The plan, and
    /// the version of the routes that this stream was given.
    pub(crate) async fn scout(server: SocketAddr, variant: Variant) -> Result<(Self, String)> {
        let (wire, mut call) = Call::begin(connect(server).await?, server, variant).await?;
        let scouting = async {
            let mut names: [Vec<String>; 4] = std::array::from_fn(|_| Vec::new());
            let mut version = String::new();
            for (place, ty) in Type::ALL.into_iter().enumerate() {
                let subscription = Subscription::new(variant, ty, names[place].clone());
                call.send(&subscription.subscribe((place == 0).then(|| node("scout".into()))))?;
                let mut found = 0;
                while found < subscription.expected {
                    let mut message = call.receive().await?;
                    let message = message.copy_to_bytes(message.remaining());
                    let response = Response::read(&mut message.clone())?;
                    call.send(&subscription.acknowledge(&response))?;
                    if response.ty() != Some(ty) {
                        bail!("asked for {ty:?} and got {}", response.type_url);
                    }
                    found += response.resources;
                    version = response.version;
                    for resource in resources(variant, &message)? {
                        match ty {
                            Type::Cluster => names[1].extend(endpoints(&Cluster::decode(&*resource.value)?)),
                            Type::Listener => names[3].extend(routes(&Listener::decode(&*resource.value)?)?),
                            Type::Endpoint | Type::Route => {}
                        }
                    }
                }
            }
            Ok((names, version))
        };
        let (mut names, version) = over(wire, scouting).await?;
        let subscriptions = Type::ALL.map(|ty| Subscription::new(variant, ty, std::mem::take(&mut names[ty as usize])));
        Ok((Self { server, variant, subscriptions }, version))
    }

    /// Runs stream `index` until it fails. The `start` of it is over when it has all it asked for.
    pub(crate) async fn follow(
        self: Rc<Self>,
        index: usize,
        board: Rc<Board>,
        start: OwnedSemaphorePermit,
    ) -> Result<()> {
        let (wire, mut call) = Call::begin(connect(self.server).await?, self.server, self.variant).await?;
        let mut start = Some(start);
        let following = async {
            let mut stage = 0;
            let mut missing = self.subscriptions[0].expected;
            call.send(&self.subscriptions[0].subscribe(Some(node(format!("proxy-{index}")))))?;
            loop {
                let before = call.received;
                let response = Response::read(&mut call.receive().await?)?;
                let Some(ty) = response.ty() else { bail!("got {}, which nobody asked for", response.type_url) };
                call.send(&self.subscriptions[ty as usize].acknowledge(&response))?;
                board.received(call.received - before);
                if ty == Type::Route && response.resources > 0 {
                    board.routes(index, response.version);
                }
                if stage < Type::ALL.len() && ty == Type::ALL[stage] {
                    missing = missing.saturating_sub(response.resources);
                }
                while missing == 0 && start.is_some() {
                    stage += 1;
                    if let Some(next) = self.subscriptions.get(stage) {
                        call.send(&next.subscribe(None))?;
                        missing = next.expected;
                    } else {
                        start = None;
                        board.ready();
                    }
                }
            }
        };
        over(wire, following).await
    }

    /// Asks for everything at once and then never reads again; holds the connection.
    pub(crate) async fn stall(self: Rc<Self>, index: usize) -> Result<()> {
        /// What is on its way soon fills what the kernel holds for a reader that does not come.
        const KERNEL_BUFFER: u32 = 4096;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(KERNEL_BUFFER)?;
        let socket = socket.connect(self.server).await?;
        let (mut wire, mut call) = Call::begin(socket, self.server, self.variant).await?;
        for (place, subscription) in self.subscriptions.iter().enumerate() {
            call.send(&subscription.subscribe((place == 0).then(|| node(format!("stalled-{index}")))))?;
        }
        // Enough to write the requests, and to read a little.
        for _ in 0..2 {
            if let Some(end) = futures::FutureExt::now_or_never(&mut wire) {
                end?;
                bail!("the server closed the connection");
            }
            tokio::task::yield_now().await;
        }
        std::future::pending().await
    }
}

fn resources(variant: Variant, message: &[u8]) -> Result<Vec<Any>> {
    Ok(match variant {
        Variant::Sotw => DiscoveryResponse::decode(message)?.resources,
        Variant::Delta => {
            let resources = DeltaDiscoveryResponse::decode(message)?.resources;
            resources.into_iter().filter_map(|resource| resource.resource).collect()
        }
    })
}

/// The assignment a cluster asks for, if it takes its endpoints from EDS.
fn endpoints(cluster: &Cluster) -> Option<String> {
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    let own = || cluster.name.clone();
    let named = cluster.eds_cluster_config.as_ref().map(|config| config.service_name.clone());
    (cluster.cluster_discovery_type == Some(eds)).then(|| named.filter(|name| !name.is_empty()).unwrap_or_else(own))
}

/// The route configurations a listener asks for.
fn routes(listener: &Listener) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for filter in listener.filter_chains.iter().flat_map(|chain| &chain.filters) {
        let Some(filter::ConfigType::TypedConfig(config)) = &filter.config_type else { continue };
        if let Some(RouteSpecifier::Rds(rds)) = HttpConnectionManager::decode(&*config.value)?.route_specifier {
            names.push(rds.route_config_name);
        }
    }
    Ok(names)
}
