//! Rollouts of one group, in lockstep on one Envoy under load.

use serde_json::{Value, json};

use crate::asker::Client;
use crate::site::{self, STEADY, Site, assert_none_failed, rollout, says};

/// A second rollout `cart` beside `shop`: its requests are those to the host `cart`.
pub(crate) fn two_services(site: &Site) {
    let routes = std::fs::read_to_string(crate::rig::repository().join("demo/config/local/envoy.yaml")).unwrap();
    let cart = "  - {name: cart, domains: [cart], routes: [{match: {prefix: /}, route: {cluster: cart}}]}";
    site.write("envoy.yaml", &routes.replace("  virtual_hosts:\n", &format!("  virtual_hosts:\n{cart}\n")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rollouts_take_their_steps_together_and_fail_together() {
    let site = Site::new();
    two_services(&site);
    let colours = site::colours().await;
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    let steps =
        "{canary: {steps: [{setWeight: 30}, {pause: {}}, {setWeight: 60}, {pause: {}}]}}\n  group: {name: mall}";
    let edit = |target: &str| {
        let shop = rollout("{}", &versions, target, steps);
        site.write("both.yaml", &format!("{shop}---\n{}", shop.replace("name: shop", "name: cart")));
    };
    edit("blue");
    let serin = site.serve().await;
    let proxy = site.proxies(&serin, &["delta"]).await.remove(0);
    let load = proxy.load(STEADY);
    let until =
        async |name: &str, what: &str, holds: &dyn Fn(&Value) -> bool| site::until(&serin, name, what, holds).await;
    let order = async |name: &str, verb: &str| {
        let (status, answer) = serin.command(name, verb, json!({"actor": "test"})).await.unwrap();
        assert!(status.is_success(), "{verb} {name}: {answer}");
    };
    let paused_at = async |step: u64| {
        for name in ["shop", "cart"] {
            until(name, "the pause", &|s| s["step"]["index"] == step && says(s, "paused until promoted")).await;
        }
    };

    edit("green");
    paused_at(2).await;
    order("shop", "promote").await;
    let status = until("shop", "the other", &|status| says(status, "waiting for cart of group mall")).await;
    assert_eq!((&status["phase"], &status["weights"][1]["weight"]), (&json!("Paused"), &json!(30.0)));
    order("cart", "promote").await;
    paused_at(4).await;
    let mut client = Client::connect(proxy.addr).await;
    for host in ["shop", "cart"] {
        let green = client.on_green(400, host, &[]).await;
        assert!((180..300).contains(&green), "{host}: {green} of 400 at 60 %");
    }

    order("cart", "abort").await;
    let status = until("shop", "the abort", &|status| status["phase"] == "Degraded").await;
    assert!(says(&status, "group mall: cart was aborted: by command"), "{status:#}");
    for name in ["shop", "cart"] {
        until(name, "the way back", &|status| says(status, "1/1 nodes have it after")).await;
    }
    for host in ["shop", "cart"] {
        assert_eq!(client.on_green(50, host, &[]).await, 0, "{host}");
    }
    assert_none_failed(&proxy.id, &load.tally());
}
