//! `canaryNodes` get each change first, the others once it has proved good there; on two Envoys under load.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asker::Client;
use crate::rig::{eventually, http};
use crate::rollouts::REFUSED;
use crate::site::{self, LIMIT, STEADY, Site, assert_none_failed, rollout, says};

/// How long the others wait at least.
const SETTLE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_follow_what_canary_nodes_took_and_kept() {
    let site = Site::new();
    let colours = site::colours().await;
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    let spec = format!(
        "{{canary: {{steps: [{{setWeight: 50}}, {{pause: {{}}}}, {REFUSED}]}}}}\n  convergence: {{canaryNodes: {{id: \
         \"edge-a*\"}}}}"
    );
    let edit = |target: &str| site.write("shop.yaml", &rollout("{}", &versions, target, &spec));
    edit("blue");
    let serin = site.serve().await;
    let first = site.proxy(&serin, "edge-a1", "sotw").await;
    let other = site.proxy(&serin, "edge-b1", "delta").await;
    serin.synced(2, LIMIT).await.unwrap();
    let loads = [first.load(STEADY), other.load(STEADY)];

    edit("green");
    let mut client = Client::connect(first.addr).await;
    let ahead = async || Ok((client.get("shop", &[]).await == "green").then_some(()));
    eventually("green on the canary node", LIMIT, ahead).await.unwrap();
    site::until(&serin, "shop", "the settling", |status| says(status, "1/1 canary nodes have it after")).await;
    let paused = async || {
        let green = loads[1].tally().of("green");
        let status = serin.rollout("shop").await?;
        let waits = says(&status, "canary node");
        assert!(!waits || green == 0, "{green} requests before their time: {status:#}");
        Ok(says(&status, "paused until promoted").then_some(()))
    };
    eventually("the pause", LIMIT, paused).await.unwrap();
    let mut client = Client::connect(other.addr).await;
    let green = client.on_green(400, "shop", &[]).await;
    assert!((130..270).contains(&green), "{green} of 400 at 50 %");
    let page = http::get(serin.admin(), "/api/v1/rollouts/shop/history").await.unwrap();
    let history: Value = serde_json::from_str(&page).unwrap();
    let entries = history["entries"].as_array().unwrap();
    let begun = entries.iter().position(|e| e["to"]["at"].as_str().unwrap().ends_with("canary nodes first")).unwrap();
    let at = |entry: &Value| humantime::parse_rfc3339(entry["at"].as_str().unwrap()).unwrap();
    let waited = at(&entries[begun + 1]).duration_since(at(&entries[begun])).unwrap();
    assert!(waited >= SETTLE, "{waited:?}: {history:#}");

    // What a canary node rejects reaches no other.
    let (status, answer) = serin.command("shop", "promote", json!({"actor": "test"})).await.unwrap();
    assert!(status.is_success(), "{answer}");
    let status = site::until(&serin, "shop", "the rejection", |status| status["phase"] == "Degraded").await;
    assert!(says(&status, "edge-a1 rejected RDS routes"), "{status:#}");
    site::until(&serin, "shop", "the way back", |status| says(status, "2/2 nodes have it after")).await;
    assert_eq!(first.stat("http.http.rds.routes.update_rejected").await, 1);
    assert_eq!(other.stat("http.http.rds.routes.update_rejected").await, 0);
    for (proxy, load) in [&first, &other].iter().zip(&loads) {
        let mut client = Client::connect(proxy.addr).await;
        assert_eq!(client.on_green(50, "shop", &[]).await, 0, "{}", proxy.id);
        assert_none_failed(&proxy.id, &load.tally());
    }
}
