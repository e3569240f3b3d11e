//! A state directory that is damaged, gone, full or somebody else's, under a rollout that has begun.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ::http::StatusCode;
use serde_json::{Value, json};

use crate::asker::Client;
use crate::groups::two_services;
use crate::rig::eventually;
use crate::rig::process::Process;
use crate::rig::serin::Serin;
use crate::rig::upstream::Upstream;
use crate::site::{self, LIMIT, Proxy, Site, rollout, says};

const STEPS: &str = "{canary: {steps: [{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {}}]}}";

/// The rollouts `shop` and `cart` on one Envoy.
struct Shops {
    site: Site,
    serin: Option<Serin>,
    colours: [(&'static str, Upstream); 2],
    proxy: Proxy,
}

impl Shops {
    /// Both on blue.
    async fn open() -> Self {
        Self::with("delta").await
    }

    /// On a proxy that speaks `mode`.
    async fn with(mode: &str) -> Self {
        let site = Site::new();
        two_services(&site);
        let colours = site::colours().await;
        for name in ["shop", "cart"] {
            edit(&site, &colours, name, "blue");
        }
        let serin = site.serve().await;
        let proxy = site.proxies(&serin, &[mode]).await.remove(0);
        Self { site, serin: Some(serin), colours, proxy }
    }

    /// The same, with both paused at 20 % green.
    async fn half_way() -> Self {
        Self::open().await.begin().await
    }

    async fn begin(self) -> Self {
        let shops = self;
        for name in ["shop", "cart"] {
            shops.edit(name, "green");
            shops.until(name, "paused until promoted").await;
        }
        shops
    }

    fn serin(&self) -> &Serin {
        self.serin.as_ref().unwrap()
    }

    fn edit(&self, name: &str, target: &str) {
        edit(&self.site, &self.colours, name, target);
    }

    async fn until(&self, name: &str, words: &str) -> Value {
        site::until(self.serin(), name, words, |status| says(status, words)).await
    }

    async fn command(&self, name: &str, verb: &str) {
        let (status, answer) = self.serin().command(name, verb, json!({"actor": "test"})).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{verb} {name}: {answer}");
    }

    fn state(&self, file: &str) -> PathBuf {
        self.site.path().join("state").join(file)
    }

    /// Waits until people are told that `shop` is held, and the log why.
    async fn holds(&self, why: &str) {
        self.until("shop", "held until --state can be written to, see the log; ").await;
        let log = fs::read_to_string(self.site.path().join("serin.log")).unwrap();
        for words in [why, "no rollout goes forward until it can be written"] {
            assert!(log.contains(words), "{words}: {log}");
        }
    }

    /// `kill -9`, `between`, and a start.
    async fn restart(&mut self, between: impl FnOnce(&Self)) {
        let options = self.serin.take().unwrap().kill().unwrap();
        between(self);
        self.serin = Some(Serin::start(options).await.unwrap());
        self.serin().synced(1, LIMIT).await.unwrap();
    }

    /// How many of 400 requests green answers.
    async fn green(&self, host: &str) -> usize {
        Client::connect(self.proxy.addr).await.on_green(400, host, &[]).await
    }

    /// Waits until blue answers all.
    async fn all_blue(&self, host: &str) {
        let none = async || Ok((self.green(host).await == 0).then_some(()));
        eventually("all on blue", LIMIT, none).await.unwrap();
    }
}

fn edit(site: &Site, colours: &[(&'static str, Upstream); 2], name: &str, target: &str) {
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    let text = rollout("{}", &versions, target, STEPS).replace("name: shop", &format!("name: {name}"));
    site.write(&format!("{name}.yaml"), &text);
}

/// Of 400 requests at 20 %.
const FIFTH: std::ops::Range<usize> = 40..130;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_stops_its_rollout_and_no_other() {
    let mut shops = Shops::half_way().await;
    shops
        .restart(|shops| {
            for file in ["rollouts/shop.json", "rollouts/shop.json.1"] {
                let text = fs::read_to_string(shops.state(file)).unwrap();
                fs::write(shops.state(file), text.replace("green", "greem")).unwrap();
            }
        })
        .await;
    let status = shops.until("shop", "stopped: ").await;
    assert!(says(&status, "shop.json is damaged: "), "{status:#}");
    assert!(says(&status, "blue 80 green 20 stays in force: 1/1 nodes"), "{status:#}");
    assert_eq!((&status["phase"], &status["stable"]), (&json!("Degraded"), &json!("blue")));
    let green = shops.green("shop").await;
    assert!(FIFTH.contains(&green), "{green} of 400");
    // An edit that asks for nothing else changes nothing, nor does another restart.
    shops.edit("shop", "green");
    shops.restart(|_| {}).await;
    shops.until("shop", "stopped: ").await;

    shops.command("cart", "promote").await;
    site::until(shops.serin(), "cart", "the next step", |status| status["step"]["index"] == 4).await;
    shops.command("shop", "abort").await;
    shops.all_blue("shop").await;
    shops.command("shop", "retry").await;
    shops.until("shop", "paused until promoted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_before_a_damaged_one_is_gone_on_with_when_somebody_says_so() {
    let mut shops = Shops::half_way().await;
    shops.restart(|shops| fs::write(shops.state("rollouts/shop.json"), "{").unwrap()).await;
    let status = shops.until("shop", "paused by serin (").await;
    assert!(says(&status, "shop.json is damaged: "), "{status:#}");
    assert_eq!(status["weights"][1]["weight"], 20.0, "{status:#}");
    let green = shops.green("shop").await;
    assert!(FIFTH.contains(&green), "{green} of 400");
    shops.command("shop", "resume").await;
    shops.until("shop", "paused until promoted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_that_goes_away_holds_what_rises_and_not_what_goes_back() {
    for mode in ["delta", "sotw"] {
        goes_away(Shops::with(mode).await.begin().await).await;
    }
}

async fn goes_away(mut shops: Shops) {
    fs::remove_dir_all(shops.state("")).unwrap();
    shops.command("shop", "promote").await;
    shops.holds("cannot create ").await;
    let green = shops.green("shop").await;
    assert!(FIFTH.contains(&green), "{green} of 400");
    shops.command("cart", "abort").await;
    shops.all_blue("cart").await;
    let green = shops.green("shop").await;
    assert!(FIFTH.contains(&green), "{green} of 400");
    shops.command("shop", "abort").await;
    shops.all_blue("shop").await;

    // A process without memory sees that the proxy has other routes than it would send, and moves nothing.
    shops.restart(|_| {}).await;
    for name in ["shop", "cart"] {
        let status = shops.until(name, "stopped: the state directory is new").await;
        assert_eq!(status["phase"], "Degraded", "{status:#}");
        assert_eq!(shops.green(name).await, 0);
        // The target is what somebody will decide for.
        shops.edit(name, "blue");
        site::until(shops.serin(), name, "the edit", |status| status["target"] == "blue").await;
    }
    assert_eq!(shops.green("shop").await, 0);
    // They share their routes: the proxy takes them when both are decided.
    for name in ["shop", "cart"] {
        shops.command(name, "retry").await;
    }
    for name in ["shop", "cart"] {
        site::until(shops.serin(), name, "stable", |status| status["phase"] == "Healthy").await;
        shops.all_blue(name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_remembered_is_not_served_until_it_can() {
    let shops = Shops::open().await;
    shops.edit("cart", "green");
    shops.until("cart", "paused until promoted").await;
    // As good as a full disk, also for root.
    fs::rename(shops.state("rollouts"), shops.state("aside")).unwrap();
    fs::write(shops.state("rollouts"), "").unwrap();
    shops.edit("shop", "green");
    shops.holds("rollouts/shop.json").await;
    // What goes back may go, and takes nothing with it that may not.
    shops.command("cart", "abort").await;
    shops.all_blue("cart").await;
    assert_eq!(shops.green("shop").await, 0);

    fs::remove_file(shops.state("rollouts")).unwrap();
    fs::rename(shops.state("aside"), shops.state("rollouts")).unwrap();
    shops.until("shop", "paused until promoted").await;
    let green = shops.green("shop").await;
    assert!(FIFTH.contains(&green), "{green} of 400");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_serves_one_process() {
    let site = Site::new();
    let nowhere = ([127, 0, 0, 1], 1).into();
    site.write("shop.yaml", &rollout("{}", &[("blue", nowhere), ("green", nowhere)], "blue", STEPS));
    let _serin = site.serve().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command.args(["serve", "--xds", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.arg("--config").arg(site.path().join("config")).arg("--state").arg(site.path().join("state"));
    let mut second = Process::start(command, &site.path().join("second.log")).unwrap();
    let ended = eventually("the second to end", LIMIT, async || second.ended()).await.unwrap();
    assert!(!ended.success());
    let printed = second.printed().unwrap();
    assert!(printed.contains("is in use by process ") && printed.contains("--state"), "{printed}");
}
