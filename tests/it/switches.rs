//! Edits under steady load, on an Envoy that speaks SotW and one that speaks delta at once: no request fails.

use crate::rig::eventually;
use crate::rig::load::Load;
use crate::rig::serin::{Options, Serin};
use crate::site::{self, LIMIT, Proxy, STEADY, Site, assert_none_failed, rollout};

/// Cluster fields of the versions, without and with an active health check.
const PLAIN: &str = "{connect_timeout: 1s}";
const CHECKED: &str = "{connect_timeout: 1s, health_checks: [{timeout: 1s, interval: 0.5s, unhealthy_threshold: 2, \
                       healthy_threshold: 1, http_health_check: {path: /}}]}";

/// Two Envoys under load, and the rollout that is edited.
struct Stage {
    site: Site,
    serin: Serin,
    colours: [(&'static str, crate::rig::upstream::Upstream); 2],
    cluster: &'static str,
    proxies: Vec<Proxy>,
    loads: Vec<Load>,
}

impl Stage {
    /// With the first colour in service.
    async fn new(cluster: &'static str, more: impl FnOnce(Options) -> Options) -> Self {
        let site = Site::new();
        let colours = site::colours().await;
        site.write("shop.yaml", &colour(cluster, &colours, 0));
        let serin = Serin::start(more(site.options())).await.unwrap();
        let proxies = site.proxies(&serin, &["sotw", "delta"]).await;
        let loads = proxies.iter().map(|proxy| proxy.load(STEADY)).collect();
        Self { site, serin, colours, cluster, proxies, loads }
    }

    /// Edits the file and waits until both Envoys have followed.
    async fn edit(&self, text: &str) {
        let mark = self.serin.mark().await.unwrap();
        self.site.write("shop.yaml", text);
        self.serin.converged(&mark, LIMIT).await.unwrap();
    }

    /// One edit that adds version `n`, sends all traffic to it, and drops version `n - 1`, which carried it.
    async fn switch(&self, n: usize) {
        let new = self.colours[n % 2].0;
        let before: Vec<u64> = self.loads.iter().map(|load| load.tally().of(new)).collect();
        self.edit(&colour(self.cluster, &self.colours, n)).await;
        for (load, before) in self.loads.iter().zip(before) {
            let follows = async || Ok((load.tally().of(new) > before).then_some(()));
            eventually(&format!("answers from {new}"), LIMIT, follows).await.unwrap();
        }
    }

    fn assert_none_failed(&self) {
        for (proxy, load) in self.proxies.iter().zip(&self.loads) {
            assert_none_failed(&proxy.id, &load.tally());
        }
    }
}

/// The file whose only version with traffic is the `n`th; `idle` is there because a rollout has two versions or more.
fn colour(cluster: &str, colours: &[(&str, crate::rig::upstream::Upstream); 2], n: usize) -> String {
    let (version, addr) = (format!("v{n}"), colours[n % 2].1.addr);
    rollout(cluster, &[("idle", addr), (&version, addr)], &version, "{blueGreen: {}}")
}

async fn colour_switches_fail_no_request(cluster: &'static str) {
    let stage = Stage::new(cluster, |options| options).await;
    for n in 1..=site::edits() {
        stage.switch(n).await;
    }
    stage.assert_none_failed();
    for proxy in &stage.proxies {
        let added = proxy.stat("cluster_manager.cluster_added").await;
        let removed = proxy.stat("cluster_manager.cluster_removed").await;
        let edits = u64::try_from(site::edits()).unwrap();
        assert!(added > edits && removed >= edits, "{}: {added} added, {removed} removed", proxy.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colour_switches() {
    colour_switches_fail_no_request(PLAIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colour_switches_with_a_health_check() {
    colour_switches_fail_no_request(CHECKED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weight_changes() {
    let stage = Stage::new(PLAIN, |options| options).await;
    let versions = [("blue", stage.colours[0].1.addr), ("green", stage.colours[1].1.addr)];
    for n in 1..=site::edits() {
        let green = (n * 37) % 101;
        let weights = format!("{{weights: {{blue: {}, green: {green}}}}}", 100 - green);
        stage.edit(&rollout(stage.cluster, &versions, "blue", &weights)).await;
    }
    stage.assert_none_failed();
}

/// The tests above can fail: the same loop does when serin does not wait for what a response depends on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_order_requests_fail() {
    let stage = Stage::new(CHECKED, |mut options| {
        options.extra.push("--unordered".to_owned());
        options
    })
    .await;
    for n in 1..=200 {
        if stage.loads.iter().all(|load| load.tally().failed > 0) {
            return;
        }
        stage.switch(n).await;
    }
    let tallies: Vec<_> = stage.loads.iter().map(Load::tally).collect();
    panic!("no request failed in 200 switches: {tallies:?}");
}
