//! A resource that protobuf takes and Envoy does not: everybody is told, nothing else stops, and the mended file heals.

use crate::rig::eventually;
use crate::rig::serin::{Node, Serin};
use crate::site::{self, LIMIT, STEADY, Site, assert_none_failed, rollout};

/// A cluster that Envoy refuses when its largest ring is smaller than its smallest.
pub(crate) fn ring(maximum: u32) -> String {
    format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: ring\n  \
         connect_timeout: 1s\n  lb_policy: RING_HASH\n  \
         ring_hash_lb_config: {{minimum_ring_size: 1024, maximum_ring_size: {maximum}}}\n"
    )
}

/// Waits until `holds` of every node.
async fn all(serin: &Serin, what: &str, holds: impl Fn(&Node) -> bool) -> Vec<Node> {
    let mut last = Vec::new();
    let waited = eventually(what, LIMIT, async || {
        last = serin.fleet().await?;
        Ok(last.iter().all(&holds).then_some(()))
    });
    waited.await.unwrap_or_else(|error| panic!("{error:#}: {last:#?}"));
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_cluster_stops_nothing_else_and_is_healed() {
    let site = Site::new();
    let colours = site::colours().await;
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    site.write("shop.yaml", &rollout("{}", &versions, "blue", "{weights: {blue: 100, green: 0}}"));
    let serin = site.serve().await;
    let proxies = site.proxies(&serin, &["sotw", "delta"]).await;
    let loads: Vec<_> = proxies.iter().map(|proxy| proxy.load(STEADY)).collect();

    // The fleet view names the node, the resource and Envoy's reason.
    site.write("ring.yaml", &ring(8));
    let fleet = all(&serin, "both Envoys to refuse the cluster", |node| {
        node.ty("CDS").is_some_and(|clusters| clusters.status == "NACK")
    });
    for node in fleet.await {
        let clusters = node.ty("CDS").unwrap();
        let words = clusters.error.as_deref().unwrap();
        assert!(words.contains("minimum_ring_size"), "{}: {words}", node.id);
        assert!(clusters.resources.iter().any(|name| name == "ring"), "{}: {:?}", node.id, clusters.resources);
    }

    // The other types go on.
    let routes = |node: &Node| node.ty("RDS").and_then(|routes| routes.version.clone());
    let before = serin.fleet().await.unwrap();
    site.write("shop.yaml", &rollout("{}", &versions, "blue", "{weights: {blue: 0, green: 100}}"));
    all(&serin, "both Envoys to have the new routes", |node| {
        let old = before.iter().find(|old| old.id == node.id).and_then(routes);
        routes(node) != old && node.ty("RDS").is_some_and(|routes| routes.status == "SYNCED")
    })
    .await;
    for load in &loads {
        let green = async || Ok((load.tally().of("green") > 0).then_some(()));
        eventually("answers from green", LIMIT, green).await.unwrap();
    }

    // What was refused was sent once.
    for proxy in &proxies {
        assert_eq!(proxy.stat("cluster_manager.cds.update_rejected").await, 1, "{}", proxy.id);
    }

    // The mended file heals.
    site.write("ring.yaml", &ring(4096));
    serin.synced(proxies.len(), LIMIT).await.unwrap();
    for (proxy, load) in proxies.iter().zip(&loads) {
        let clusters = proxy.clusters().await;
        assert!(clusters.iter().any(|name| name == "ring"), "{}: {clusters:?}", proxy.id);
        assert_none_failed(&proxy.id, &load.tally());
    }

    // And so does taking it away.
    site.write("ring.yaml", &ring(16));
    all(&serin, "both Envoys to refuse it again", |node| node.ty("CDS").is_some_and(|c| c.status == "NACK")).await;
    site.remove("ring.yaml");
    serin.synced(proxies.len(), LIMIT).await.unwrap();
    for (proxy, load) in proxies.iter().zip(&loads) {
        let clusters = proxy.clusters().await;
        assert!(!clusters.iter().any(|name| name == "ring"), "{}: {clusters:?}", proxy.id);
        assert_none_failed(&proxy.id, &load.tally());
    }
}
