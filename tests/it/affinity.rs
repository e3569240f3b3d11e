//! What a real Envoy makes of a rollout's traffic: header routes, mirrors, and users that keep their version.
//!
//! No serin runs here: the routes are those that translation makes of a [`Traffic`], in a file that Envoy watches.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use serin::spec::{
    Affinity, FileSpec, HeaderMatch, HeaderRoute, MirrorRoute, Rollout, SpecSet, Split, StringMatch, TOTAL_WEIGHT,
    Traffic, parse_file,
};
use serin::translate::{World, version_of_user};
use serin::tree::Map;
use serin::xds::{Node, ResourceType};
use tempfile::TempDir;

use crate::asker::Client;
use crate::rig::envoy::Envoy;
use crate::rig::{eventually, http as admin};
use crate::site::{self, ENVOY, LIMIT};

const USERS: u32 = 2_000;

/// The rollout, a route to it, and a matcher whose action is a single route to it.
const FILE: &str = r#"
resources:
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: routes
  virtual_hosts:
  - name: all
    domains: ["*"]
    routes: [{match: {prefix: /}, route: {cluster: shop}}]
  - name: matched
    domains: ["matched"]
    matcher:
      on_no_match:
        action:
          name: route
          typed_config:
            "@type": type.googleapis.com/envoy.config.route.v3.Route
            match: {prefix: /}
            route: {cluster: shop}
---
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: shop}
spec:
  versions:
    blue: {existingCluster: blue}
    green: {existingCluster: green}
  strategy: {weights: {blue: 100, green: 0}}
"#;

/// An Envoy whose routes are a file.
struct Stage {
    dir: TempDir,
    file: Arc<FileSpec>,
    envoy: Envoy,
    client: Client,
    pushes: u32,
}

impl Stage {
    async fn new(blue: SocketAddr, green: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (file, mistakes) = parse_file(&"shop.yaml".into(), FILE);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let file = Arc::new(file);
        let path = dir.path().join("routes.json");
        std::fs::write(&path, discovery_response(&file, &split(0), 0)).unwrap();
        let bootstrap = dir.path().join("envoy.json");
        std::fs::write(&bootstrap, bootstrap_json(&path.to_string_lossy(), blue, green).to_string()).unwrap();
        let mut envoy = Envoy::start(&ENVOY, &bootstrap).await.unwrap();
        let client = Client::connect(envoy.listener("http").await.unwrap()).await;
        Self { dir, file, envoy, client, pushes: 0 }
    }

    fn rollout(&self) -> &Rollout {
        &self.file.rollouts[0]
    }

    /// Returns when Envoy has taken it.
    async fn push(&mut self, traffic: &Traffic) {
        self.pushes += 1;
        let beside = self.dir.path().join("half-written");
        std::fs::write(&beside, discovery_response(&self.file, traffic, self.pushes)).unwrap();
        std::fs::rename(beside, self.dir.path().join("routes.json")).unwrap();
        let wanted = format!("http.http.rds.routes.version_text: \"{}\"", self.pushes);
        let admin = self.envoy.admin;
        let taken = eventually("the routes", LIMIT, async || {
            let stats = admin::get(admin, "/stats?filter=rds.routes").await?;
            assert!(stats.contains("update_rejected: 0"), "{stats}");
            Ok(stats.lines().any(|line| line == wanted).then_some(()))
        });
        taken.await.unwrap();
    }

    async fn requests_of(&self, cluster: &str) -> u64 {
        let stats = admin::get(self.envoy.admin, &format!("/stats?filter=cluster.{cluster}.upstream_rq_total")).await;
        stats.unwrap().trim().rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Every user once; who is on green. What Envoy does is what was foretold.
    async fn ask(&mut self, traffic: &Traffic, header: impl Fn(u32) -> [(&'static str, String); 1]) -> Vec<bool> {
        let mut on_green = Vec::new();
        for user in 0..USERS {
            let colour = self.client.get("all", &header(user)).await;
            let foretold = version_of_user(self.rollout(), traffic, &format!("user-{user}")).unwrap();
            assert_eq!(colour, **foretold, "user {user} with {traffic:?}");
            on_green.push(colour == "green");
        }
        on_green
    }
}

fn split(green: u32) -> Traffic {
    Traffic::of(Split(vec![("blue".into(), TOTAL_WEIGHT - green), ("green".into(), green)]))
}

fn discovery_response(file: &Arc<FileSpec>, traffic: &Traffic, version: u32) -> String {
    let spec = SpecSet { files: Map::from([(Arc::clone(&file.path), Arc::clone(file))]) };
    let world = World::new(&spec, &Map::from([("shop".into(), traffic.clone().into())]));
    let mut rendered = world.render(&Node::default());
    rendered.retain(|resource| resource.ty == ResourceType::Route);
    let options = prost_reflect::SerializeOptions::new().use_proto_field_name(true);
    let mut routes = rendered[0].message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
    routes["@type"] = json!("type.googleapis.com/envoy.config.route.v3.RouteConfiguration");
    json!({"version_info": version.to_string(), "resources": [routes]}).to_string()
}

fn bootstrap_json(routes: &str, blue: SocketAddr, green: SocketAddr) -> serde_json::Value {
    let address =
        |addr: SocketAddr| json!({"socket_address": {"address": addr.ip().to_string(), "port_value": addr.port()}});
    let cluster = |name: &str, addr| {
        json!({"name": name, "connect_timeout": "5s", "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(addr)}}]}]}})
    };
    let terminal_filter = json!({"name": "router", "typed_config":
        {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
    let hcm = json!({"@type":
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http", "http_filters": [terminal_filter],
        "rds": {"route_config_name": "routes", "config_source": {"path_config_source": {"path": routes}}}});
    json!({"node": {"id": "stage", "cluster": "stage"}, "admin": {"address": address(site::ANY)},
        "static_resources": {"clusters": [cluster("blue", blue), cluster("green", green)], "listeners": [
            {"name": "http", "address": address(site::ANY), "filter_chains": [{"filters": [
                {"name": "hcm", "typed_config": hcm}]}]}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_keep_the_version_that_grows() {
    let [(_, blue), (_, green)] = site::colours().await;
    let mut stage = Stage::new(blue.addr, green.addr).await;
    let by_header = |user| [("x-user-id", format!("user-{user}"))];
    let by_cookie = |user| {
        // First, in the middle and last; beside cookies whose names begin or end alike.
        let cookies = [
            format!("u.id=user-{user}; consent=1"),
            format!("xu.id=0; u.id=user-{user}; u.id2=0"),
            format!("uxid=0; a=b;u.id=user-{user}"),
            format!("u.id=user-{user}; u.id=user-0"),
        ];
        [("cookie", cookies[user as usize % cookies.len()].clone())]
    };
    for cookie in [false, true] {
        let affinity = if cookie { Affinity::Cookie("u.id".into()) } else { Affinity::Header("x-user-id".into()) };
        let mut before = vec![false; USERS as usize];
        let mut last = 0;
        for percent in [1, 5, 25, 50, 100, 50, 5, 0] {
            let traffic = Traffic { affinity: Some(affinity.clone()), ..split(percent * 100) };
            stage.push(&traffic).await;
            let now = if cookie { stage.ask(&traffic, by_cookie).await } else { stage.ask(&traffic, by_header).await };
            let moved_back =
                before.iter().zip(&now).any(|(was, is)| if percent > last { *was && !is } else { !was && *is });
            assert!(!moved_back, "at {percent} % from {last} %, by {affinity:?}");
            (before, last) = (now, percent);
        }
    }
    // Without the cookie nobody is told apart: not by the other cookies either.
    stage.push(&Traffic { affinity: Some(Affinity::Cookie("u.id".into())), ..split(5_000) }).await;
    for cookies in ["consent=1", "u.id=", "xu.id=7"] {
        let green = stage.client.on_green(200, "all", &[("cookie", cookies.to_owned())]).await;
        assert!((50..150).contains(&green), "{cookies}: {green} of 200");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_routes_lead_and_mirrors_copy() {
    let [(_, blue), (_, green)] = site::colours().await;
    let mut stage = Stage::new(blue.addr, green.addr).await;
    let when = |header: &str, value| HeaderMatch { header: header.into(), value };
    let route = |name: &str, matches| (HeaderRoute { name: name.into(), matches }, Arc::<str>::from("green"));
    let led = Traffic {
        header_routes: vec![
            route(
                "qa",
                vec![when("x-qa", StringMatch::Exact("1".into())), when("x-env", StringMatch::Prefix("st".into()))],
            ),
            route("beta", vec![when("x-user", StringMatch::Regex("b[0-9]+".into()))]),
        ],
        ..split(0)
    };
    stage.push(&led).await;
    let header = |name: &'static str, value: &str| (name, value.to_owned());
    for host in ["all", "matched"] {
        for (headers, green) in [
            (vec![], false),
            (vec![header("x-qa", "1")], false),
            (vec![header("x-qa", "1"), header("x-env", "stage")], true),
            (vec![header("x-qa", "12"), header("x-env", "stage")], false),
            (vec![header("x-user", "b12")], true),
            (vec![header("x-user", "b12x")], false),
        ] {
            let seen = stage.client.on_green(5, host, &headers).await;
            assert_eq!(seen, if green { 5 } else { 0 }, "{host} {headers:?}");
        }
    }
    let before = stage.requests_of("green").await;
    let mirror = MirrorRoute { name: "shadow".into(), percentage: 100 };
    stage.push(&Traffic { mirrors: vec![(mirror, "green".into())], ..split(0) }).await;
    assert_eq!(stage.client.on_green(100, "all", &[header("x-user", "b12")]).await, 0, "the header routes are gone");
    let copied = eventually("the copies", LIMIT, async || {
        Ok(Some(stage.requests_of("green").await - before).filter(|copies| *copies >= 100))
    });
    assert_eq!(copied.await.unwrap(), 100);
}
