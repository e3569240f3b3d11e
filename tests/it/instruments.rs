//! The instruments of the other tests, on an Envoy that no control plane steers: what they say is so, and they can say
//! that something is wrong.

use serde_json::{Value, json};

use crate::binomial::p_value;
use crate::rig::envoy::Envoy;
use crate::rig::load::{Load, Rate, Tally};
use crate::site::{self, ENVOY, assert_none_failed};

const BURST: Rate = Rate { connections: 8, every: std::time::Duration::ZERO, requests: 500 };

/// What comes of a burst on an Envoy with fixed routes: the weights of `blue`, `green`, and a cluster that does not exist.
async fn ask(dir: &std::path::Path, weights: [u32; 3]) -> Tally {
    let colours = site::colours().await;
    let cluster = |name: &str, addr: std::net::SocketAddr| {
        json!({"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": {"address": addr.ip(), "port_value": addr.port()}}}}]}]}})
    };
    let clusters: Vec<Value> = colours.iter().map(|(name, upstream)| cluster(name, upstream.addr)).collect();
    let weighted: Vec<Value> = ["blue", "green", "nobody"]
        .iter()
        .zip(weights)
        .map(|(name, weight)| json!({"name": name, "weight": weight}))
        .collect();
    let any = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    let bootstrap = json!({
        "admin": {"address": any},
        "static_resources": {"clusters": clusters, "listeners": [{"name": "http", "address": any, "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "http",
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": weighted}}}]}],
                    "validate_clusters": false},
                "http_filters": [{"name": "router", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}]},
    });
    let path = dir.join("static.json");
    std::fs::write(&path, bootstrap.to_string()).unwrap();
    let mut envoy = Envoy::start(&ENVOY, &path).await.unwrap();
    let addr = envoy.listener("http").await.unwrap();
    Load::start(addr, BURST).finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_is_seen_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let tally = ask(dir.path(), [90, 10, 0]).await;
    assert_none_failed("static", &tally);
    assert_eq!(tally.requests, 4_000);
    assert!(p_value(tally.of("green"), tally.requests, 0.1) > 1e-6, "{tally:?}");
    assert!(p_value(tally.of("green"), tally.requests, 0.15) < 1e-6, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let tally = ask(dir.path(), [99, 0, 1]).await;
    assert!(p_value(tally.failed, tally.requests, 0.01) > 1e-6, "{tally:?}");
    assert!(tally.failures[0].1.starts_with("503"), "{tally:?}");
}
