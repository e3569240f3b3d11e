//! Whole rollouts on an Envoy that speaks SotW and one that speaks delta, under load: no request fails.

use http::StatusCode;
use serde_json::{Value, json};

use crate::asker::Client;
use crate::rig::load::Load;
use crate::rig::serin::Serin;
use crate::rig::upstream::Upstream;
use crate::site::{self, LIMIT, Proxy, STEADY, Site, assert_none_failed, rollout};

struct Stage {
    site: Site,
    serin: Option<Serin>,
    colours: Vec<(&'static str, Upstream)>,
    strategy: String,
    proxies: Vec<Proxy>,
    loads: Vec<Load>,
}

impl Stage {
    /// With blue stable.
    async fn new(strategy: &str) -> Self {
        let site = Site::new();
        let mut colours = Vec::from(site::colours().await);
        colours.push(("purple", Upstream::start(site::ANY, "purple").await.unwrap()));
        let mut stage =
            Self { site, serin: None, colours, strategy: strategy.into(), proxies: Vec::new(), loads: Vec::new() };
        stage.edit("blue");
        let serin = stage.site.serve().await;
        stage.proxies = stage.site.proxies(&serin, &["sotw", "delta"]).await;
        stage.loads = stage.proxies.iter().map(|proxy| proxy.load(STEADY)).collect();
        stage.serin = Some(serin);
        stage
    }

    fn serin(&self) -> &Serin {
        self.serin.as_ref().unwrap()
    }

    fn edit(&self, target: &str) {
        let versions: Vec<_> = self.colours.iter().map(|(name, upstream)| (*name, upstream.addr)).collect();
        self.site.write("shop.yaml", &rollout("{connect_timeout: 1s}", &versions, target, &self.strategy));
    }

    async fn status(&self) -> Value {
        self.serin().rollout("shop").await.unwrap()
    }

    /// Waits until `holds` of the rollout's status, and returns that.
    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        site::until(self.serin(), "shop", what, holds).await
    }

    /// Waits until it is stable on `version`.
    async fn healthy(&self, version: &str) -> Value {
        self.until(&format!("healthy on {version}"), |status| {
            status["phase"] == "Healthy" && status["stable"] == version
        })
        .await
    }

    /// Waits at an open pause of that step.
    async fn paused_at(&self, step: u64) {
        self.until(&format!("a pause at step {step}"), |status| {
            status["step"]["index"] == step && status["message"].as_str().unwrap().contains("paused until promoted")
        })
        .await;
    }

    async fn command(&self, verb: &str) -> Value {
        let (status, answer) = self.serin().command("shop", verb, json!({"actor": "test"})).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{verb}: {answer}");
        answer
    }

    /// Waits until every proxy's next answers come from `colour` alone.
    async fn all_from(&self, colour: &str) {
        for proxy in &self.proxies {
            let mut client = Client::connect(proxy.addr).await;
            for _ in 0..50 {
                assert_eq!(client.get("shop", &[]).await, colour, "{}", proxy.id);
            }
        }
    }

    fn assert_none_failed(&self) {
        for (proxy, load) in self.proxies.iter().zip(&self.loads) {
            assert_none_failed(&proxy.id, &load.tally());
        }
    }
}

const CANARY: &str = "{canary: {steps: [{setHeaderRoute: {name: qa, match: [{headerName: x-qa, headerValue: {exact: \
                      \"1\"}}]}}, {pause: {}}, {setWeight: 5}, {pause: {duration: 1s}}, {setWeight: 50}, {pause: {}}]}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_through_all_its_steps() {
    let stage = Stage::new(CANARY).await;
    stage.edit("green");
    stage.paused_at(2).await;
    for proxy in &stage.proxies {
        let mut client = Client::connect(proxy.addr).await;
        assert_eq!(client.on_green(20, "shop", &[("x-qa", "1".to_owned())]).await, 20, "{}", proxy.id);
        assert_eq!(client.on_green(20, "shop", &[]).await, 0, "{}", proxy.id);
    }
    stage.command("promote").await;
    stage.paused_at(6).await;
    let status = stage.status().await;
    assert_eq!(status["convergence"]["converged"], 2, "{status:#}");
    for proxy in &stage.proxies {
        let mut client = Client::connect(proxy.addr).await;
        let green = client.on_green(400, "shop", &[]).await;
        assert!((130..270).contains(&green), "{}: {green} of 400 at 50 %", proxy.id);
    }
    stage.command("promote").await;
    stage.healthy("green").await;
    stage.all_from("green").await;
    for proxy in &stage.proxies {
        let mut client = Client::connect(proxy.addr).await;
        assert_eq!(client.on_green(5, "shop", &[("x-qa", "1".to_owned())]).await, 5, "{}", proxy.id);
    }
    stage.assert_none_failed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_half() {
    let stage = Stage::new("{canary: {steps: [{setWeight: 50}, {pause: {}}]}}").await;
    stage.edit("green");
    stage.paused_at(2).await;
    stage.command("abort").await;
    let status = stage
        .until("all back on blue", |status| status["message"].as_str().unwrap().contains("2/2 nodes have it after"))
        .await;
    assert_eq!(status["phase"], "Degraded");
    stage.all_from("blue").await;
    let took = status["convergence"]["waitedMs"].as_u64().unwrap();
    assert!(took < 5_000, "from abort to the last ACK: {took} ms");

    stage.command("retry").await;
    stage.paused_at(2).await;
    stage.edit("blue");
    stage.healthy("blue").await;
    stage.all_from("blue").await;
    stage.assert_none_failed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_colour_switch_and_back() {
    let strategy = "{blueGreen: {preview: {match: [{headerName: x-preview, headerValue: {exact: \"1\"}}]}, \
                    autoPromotionEnabled: false, scaleDownDelaySeconds: 600}}";
    let stage = Stage::new(strategy).await;
    stage.edit("green");
    stage.until("the preview", |status| status["message"].as_str().unwrap().contains("preview of green, paused")).await;
    for proxy in &stage.proxies {
        let mut client = Client::connect(proxy.addr).await;
        assert_eq!(client.on_green(5, "shop", &[("x-preview", "1".to_owned())]).await, 5, "{}", proxy.id);
        assert_eq!(client.on_green(20, "shop", &[]).await, 0, "{}", proxy.id);
    }
    stage.command("promote").await;
    stage.healthy("green").await;
    stage.all_from("green").await;
    // The colour before is still warm: no preview, no gate.
    stage.edit("blue");
    stage.healthy("blue").await;
    stage.all_from("blue").await;
    stage.assert_none_failed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_that_is_superseded() {
    let stage = Stage::new("{canary: {steps: [{setWeight: 50}, {pause: {}}]}}").await;
    stage.edit("green");
    stage.paused_at(2).await;
    stage.edit("purple");
    stage
        .until("purple under way", |status| {
            status["target"] == "purple" && status["message"].as_str().unwrap().contains("paused until promoted")
        })
        .await;
    for proxy in &stage.proxies {
        let mut client = Client::connect(proxy.addr).await;
        assert_eq!(client.on_green(50, "shop", &[]).await, 0, "{}", proxy.id);
    }
    stage.command("promote").await;
    stage.healthy("purple").await;
    stage.all_from("purple").await;
    stage.assert_none_failed();
}

/// RE2, which Envoy uses, takes no more than 1,000 repetitions.
pub(crate) const REFUSED: &str =
    "{setHeaderRoute: {name: odd, match: [{headerName: x-odd, headerValue: {regex: \"a{1001}\"}}]}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_in_the_middle() {
    for (on_nack, phase) in [("abort", "Degraded"), ("pause", "Paused")] {
        let steps = format!("{{canary: {{steps: [{{setWeight: 20}}, {{pause: {{}}}}, {REFUSED}]}}}}");
        let mut stage = Stage::new(&format!("{steps}\n  convergence: {{onNack: {on_nack}}}")).await;
        stage.edit("green");
        stage.paused_at(2).await;
        stage.command("promote").await;
        let status = stage.until("the rejection", |status| status["phase"] == phase).await;
        let message = status["message"].as_str().unwrap();
        for words in ["rejected RDS routes", "repetition"] {
            assert!(message.contains(words), "{words}: {message}");
        }
        // What is left in force is the last good state, also for a proxy that boots later.
        let late = stage.site.proxy(stage.serin(), "late", "delta").await;
        let mut client = Client::connect(late.addr).await;
        let green = client.on_green(400, "shop", &[]).await;
        let expected = if on_nack == "abort" { 0..1 } else { 40..130 };
        assert!(expected.contains(&green), "{on_nack}: {green} of 400");
        if on_nack == "pause" {
            stage.command("abort").await;
        }
        stage.until("back on blue", |status| status["message"].as_str().unwrap().contains("nodes have it after")).await;
        stage.all_from("blue").await;
        stage.assert_none_failed();
        stage.loads.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_is_killed_goes_on_where_it_was() {
    let mut stage =
        Stage::new("{canary: {steps: [{setWeight: 20}, {pause: {duration: 2s}}, {setWeight: 60}, {pause: {}}]}}").await;
    stage.edit("green");
    stage.until("the first weight", |status| status["step"]["index"].as_u64() >= Some(1)).await;
    let mut weights = Vec::new();
    for _ in 0..3 {
        let options = stage.serin.take().unwrap().kill().unwrap();
        stage.serin = Some(Serin::start(options).await.unwrap());
        stage.serin().synced(2, LIMIT).await.unwrap();
        let status = stage.status().await;
        weights.push(status["step"]["index"].as_u64().unwrap());
    }
    assert!(weights.is_sorted(), "{weights:?}");
    stage.paused_at(4).await;
    let options = stage.serin.take().unwrap().kill().unwrap();
    stage.serin = Some(Serin::start(options).await.unwrap());
    stage.serin().synced(2, LIMIT).await.unwrap();
    stage.paused_at(4).await;
    stage.command("promote").await;
    stage.healthy("green").await;
    stage.all_from("green").await;
    stage.assert_none_failed();
}

const USERS: usize = 10_000;

/// Who is on green, by the number of the user.
async fn on_green(stage: &Stage) -> Vec<bool> {
    let addr = stage.proxies[1].addr;
    // A few connections, so that it does not take long.
    let parts = (0..8).map(|part| async move {
        let mut client = Client::connect(addr).await;
        let mut users = Vec::new();
        for user in (part..USERS).step_by(8) {
            users.push((user, client.get("shop", &[("x-user-id", format!("user-{user}"))]).await == "green"));
        }
        users
    });
    let mut users: Vec<_> = futures::future::join_all(parts).await.concat();
    users.sort_unstable();
    users.into_iter().map(|(_, green)| green).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_users_keep_the_version_that_grows() {
    let strategy = "{canary: {sessionAffinity: {header: x-user-id}, steps: [{setWeight: 1}, {pause: {}}, {setWeight: 5}, \
                    {pause: {}}, {setWeight: 25}, {pause: {}}, {setWeight: 50}, {pause: {}}]}}";
    let stage = Stage::new(strategy).await;
    stage.edit("green");
    let mut before = vec![false; USERS];
    for (step, share) in [(2, 0.01), (4, 0.05), (6, 0.25), (8, 0.5), (0, 1.0)] {
        if step == 0 {
            stage.healthy("green").await;
        } else {
            stage.paused_at(step).await;
        }
        let now = on_green(&stage).await;
        let lost = before.iter().zip(&now).filter(|(was, is)| **was && !**is).count();
        assert_eq!(lost, 0, "users went back at {share}");
        let green = crate::rig::load::real(now.iter().filter(|green| **green).count() as u64);
        let users = crate::rig::load::real(USERS as u64);
        let error = 4.5 * (users * share * (1.0 - share)).sqrt();
        assert!((green - users * share).abs() <= error, "{green} of {users} at {share}");
        for user in (0..USERS).step_by(USERS / 5) {
            let path = format!("/api/v1/rollouts/shop?user=user-{user}");
            let foretold = crate::rig::http::get(stage.serin().admin(), &path).await.unwrap();
            let version = serde_json::from_str::<Value>(&foretold).unwrap()["version"].clone();
            assert_eq!(version, if now[user] { "green" } else { "blue" }, "{foretold}");
        }
        before = now;
        if step > 0 {
            stage.command("promote").await;
        }
    }
    // And on the way back.
    stage.edit("blue");
    for step in [2, 4, 6, 8] {
        stage.paused_at(step).await;
        let now = on_green(&stage).await;
        assert!(before.iter().zip(&now).all(|(was, is)| *was || !*is), "users came again at step {step}");
        before = now;
        stage.command("promote").await;
    }
    stage.healthy("blue").await;
    assert!(on_green(&stage).await.iter().all(|green| !green));
    stage.assert_none_failed();
}
