//! The control plane is killed and comes back in the same place.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::Node as EnvoyNode;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::rig::eventually;
use crate::rig::serin::{Node, Serin};
use crate::site::{self, LIMIT, STEADY, Site, assert_none_failed, rollout};

/// The counters of an Envoy that show that it took something new into service.
const CHANGES: [&str; 6] = [
    "cluster_manager.cds.config_reload",
    "cluster_manager.cluster_added",
    "cluster_manager.cluster_modified",
    "cluster_manager.cluster_removed",
    "listener_manager.listener_modified",
    "http.http.rds.routes.config_reload",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_control_plane_fails_no_request_and_changes_nothing() {
    let site = Site::new();
    let colours = site::colours().await;
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    site.write("shop.yaml", &rollout("{}", &versions, "blue", "{weights: {blue: 80, green: 20}}"));
    let mut serin = site.serve().await;
    let proxies = site.proxies(&serin, &["sotw", "delta"]).await;
    let loads: Vec<_> = proxies.iter().map(|proxy| proxy.load(STEADY)).collect();
    let mut before = Vec::new();
    for proxy in &proxies {
        for name in CHANGES {
            before.push((proxy.id.clone(), name, proxy.stat(name).await));
        }
    }

    for _ in 0..3 {
        serin = Serin::start(serin.kill().unwrap()).await.unwrap();
        serin.synced(proxies.len(), LIMIT).await.unwrap();
    }
    let mut after = Vec::new();
    for proxy in &proxies {
        for name in CHANGES {
            after.push((proxy.id.clone(), name, proxy.stat(name).await));
        }
    }
    assert_eq!(before, after);

    let mark = serin.mark().await.unwrap();
    site.write("shop.yaml", &rollout("{}", &versions, "blue", "{weights: {blue: 0, green: 100}}"));
    serin.converged(&mark, LIMIT).await.unwrap();
    for (proxy, load) in proxies.iter().zip(&loads) {
        assert_none_failed(&proxy.id, &load.tally());
    }
}

/// While it is down, the version that carries the traffic is dropped for a new one: the proxies that come back still
/// send traffic to what they have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_while_the_control_plane_is_down_fails_no_request() {
    let site = Site::new();
    let colours = site::colours().await;
    let colour = |n: usize| {
        let (version, addr) = (format!("v{n}"), colours[n % 2].1.addr);
        rollout("{}", &[("idle", addr), (&version, addr)], &version, "{blueGreen: {}}")
    };
    site.write("shop.yaml", &colour(0));
    let mut serin = site.serve().await;
    let proxies = site.proxies(&serin, &["sotw", "delta"]).await;
    let loads: Vec<_> = proxies.iter().map(|proxy| proxy.load(STEADY)).collect();
    for n in 1..=5 {
        let options = serin.kill().unwrap();
        site.write("shop.yaml", &colour(n));
        serin = Serin::start(options).await.unwrap();
        serin.synced(proxies.len(), LIMIT).await.unwrap();
        for proxy in &proxies {
            let clusters = async || Ok((!proxy.clusters().await.contains(&format!("shop/v{}", n - 1))).then_some(()));
            eventually("the version that was dropped is gone", LIMIT, clusters).await.unwrap();
            assert!(proxy.clusters().await.contains(&format!("shop/v{n}")), "{}", proxy.id);
        }
    }
    for (proxy, load) in proxies.iter().zip(&loads) {
        assert_none_failed(&proxy.id, &load.tally());
    }
}

/// A restart beside a rejected cluster: Envoy would acknowledge the same content the second time, and serin would send
/// it traffic, if it did not remember.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_does_not_forget_what_was_rejected() {
    let site = Site::new();
    let colours = site::colours().await;
    let (blue, green) = (colours[0].1.addr, colours[1].1.addr);
    let rollout = |cluster: &str, new: &str| rollout(cluster, &[("idle", blue), (new, green)], new, "{blueGreen: {}}");
    site.write("shop.yaml", &rollout("{}", "good"));
    let mut serin = site.serve().await;
    // A delta client says what it has when it comes back. Of a state-of-the-world Envoy that has a cluster it cannot warm
    // and asks for none, a process that has just started cannot know what it uses.
    let proxies = site.proxies(&serin, &["delta"]).await;
    let loads: Vec<_> = proxies.iter().map(|proxy| proxy.load(STEADY)).collect();
    // Refused by Envoy: the minimum is above the maximum.
    let refused = "{lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 2048, maximum_ring_size: 1024}}";
    site.write("shop.yaml", &rollout(refused, "bad"));
    rejected(&serin, proxies.len()).await;
    for _ in 0..2 {
        serin = Serin::start(serin.kill().unwrap()).await.unwrap();
        rejected(&serin, proxies.len()).await;
    }
    let mark = serin.mark().await.unwrap();
    site.write("shop.yaml", &rollout("{}", "mended"));
    serin.converged(&mark, LIMIT).await.unwrap();
    for (proxy, load) in proxies.iter().zip(&loads) {
        assert_none_failed(&proxy.id, &load.tally());
    }
}

/// Waits until so many nodes show a rejected cluster.
async fn rejected(serin: &Serin, nodes: usize) {
    let all = async || {
        let fleet = serin.fleet().await?;
        let refuses = |node: &Node| node.ty("CDS").is_some_and(|clusters| clusters.status == "NACK");
        Ok((fleet.iter().filter(|node| refuses(node)).count() == nodes).then_some(()))
    };
    eventually("the rejected cluster is named", LIMIT, all).await.unwrap();
}

/// The types that an Envoy asks for, in its order, and the names it asks for (none for the wildcard).
const TYPES: [(&str, &[&str]); 4] = [
    ("type.googleapis.com/envoy.config.cluster.v3.Cluster", &[]),
    ("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", &["shop/blue", "shop/green"]),
    ("type.googleapis.com/envoy.config.listener.v3.Listener", &[]),
    ("type.googleapis.com/envoy.config.route.v3.RouteConfiguration", &["routes"]),
];

/// Versions by name, by type.
type Held = BTreeMap<String, BTreeMap<String, String>>;

/// A delta client that does what it is told.
struct DeltaClient {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl DeltaClient {
    /// Opens a stream and asks for everything, saying what it holds already.
    async fn open(serin: &Serin, held: &Held) -> Self {
        // All requests of a test.
        let (requests, outgoing) = mpsc::channel(64);
        let endpoint = format!("http://{}", serin.xds());
        let mut client = AggregatedDiscoveryServiceClient::connect(endpoint).await.unwrap();
        for (ty, names) in TYPES {
            let request = DeltaDiscoveryRequest {
                node: Some(EnvoyNode {
                    id: "scripted".into(),
                    user_agent_name: "envoy".into(),
                    ..EnvoyNode::default()
                }),
                type_url: ty.into(),
                resource_names_subscribe: names.iter().map(|&name| name.into()).collect(),
                initial_resource_versions: held
                    .get(ty)
                    .into_iter()
                    .flatten()
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect(),
                ..DeltaDiscoveryRequest::default()
            };
            requests.send(request).await.unwrap();
        }
        let responses = client.delta_aggregated_resources(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
        Self { requests, responses }
    }

    /// Takes and acknowledges one response.
    async fn take(&mut self) -> DeltaDiscoveryResponse {
        let response = tokio::time::timeout(LIMIT, self.responses.message()).await.expect("a response in time");
        let response = response.unwrap().expect("an open stream");
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(ack).await.unwrap();
        response
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_client_is_sent_nothing_it_has() {
    let site = Site::new();
    let versions = [("blue", "127.0.0.1:1".parse().unwrap()), ("green", "127.0.0.1:2".parse().unwrap())];
    site.write("shop.yaml", &rollout("{}", &versions, "blue", "{weights: {blue: 80, green: 20}}"));
    let serin = site.serve().await;

    let mut held = Held::new();
    let mut client = DeltaClient::open(&serin, &held).await;
    while held.values().map(BTreeMap::len).sum::<usize>() < 6 {
        let response = client.take().await;
        let versions = response.resources.into_iter().map(|resource| (resource.name, resource.version));
        held.entry(response.type_url).or_default().extend(versions);
    }

    let serin = Serin::start(serin.kill().unwrap()).await.unwrap();
    let mut client = DeltaClient::open(&serin, &held).await;
    serin.synced(1, LIMIT).await.unwrap();
    // The edit makes the end of what is waited for: all that came before it was about nothing.
    site.write("shop.yaml", &rollout("{}", &versions, "blue", "{weights: {blue: 10, green: 90}}"));
    loop {
        let response = client.take().await;
        assert!(response.removed_resources.is_empty(), "{response:?}");
        if let [routes] = &response.resources[..] {
            assert_eq!((response.type_url.as_str(), routes.name.as_str()), (TYPES[3].0, "routes"));
            assert_ne!(held[TYPES[3].0]["routes"], routes.version);
            return;
        }
        assert!(response.resources.is_empty(), "sent again: {response:?}");
    }
}
