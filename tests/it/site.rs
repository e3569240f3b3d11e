//! One test's own ground: a directory, the `serin` that serves it, and the proxies that follow.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::rig::envoy::Envoy;
use crate::rig::load::{Load, Rate, Tally};
use crate::rig::serin::{Options, Serin};
use crate::rig::upstream::Upstream;
use crate::rig::{eventually, http, repository};

/// Longer than anything takes that works, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Any free port.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Enough to meet a gap of a few milliseconds, and not so much that two cores have no time for anything else.
pub(crate) const STEADY: Rate = Rate { connections: 8, every: Duration::from_millis(4), requests: u64::MAX };

/// The Envoy of this machine.
pub(crate) static ENVOY: LazyLock<PathBuf> = LazyLock::new(|| {
    let output = Command::new(repository().join("tools/envoy.sh")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
});

/// How many edits the longer loops make.
#[expect(clippy::disallowed_methods, reason = "a test has no command line")]
pub(crate) fn edits() -> usize {
    std::env::var("SERIN_TEST_EDITS").map_or(200, |n| n.parse().expect("SERIN_TEST_EDITS is a number"))
}

/// A directory that ends with the test.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    /// With the listener and the routes of the demo, whose only route goes to the cluster `shop`.
    pub(crate) fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.write("envoy.yaml", &std::fs::read_to_string(repository().join("demo/config/local/envoy.yaml")).unwrap());
        site
    }

    /// Where bootstraps and logs go.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file of the configuration as an editor does: beside, then renamed over.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join("config").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = self.dir.path().join("half-written");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, path).unwrap();
    }

    /// Removes a file of the configuration.
    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.path().join("config").join(name)).unwrap();
    }

    /// How to run serin here.
    pub(crate) fn options(&self) -> Options {
        Options::new(env!("CARGO_BIN_EXE_serin").into(), self.dir.path().join("config"), self.dir.path())
    }

    /// Starts serin here.
    pub(crate) async fn serve(&self) -> Serin {
        Serin::start(self.options()).await.unwrap()
    }

    /// Starts one Envoy per mode (`delta`, `sotw`), named after it, and waits until all are in sync.
    pub(crate) async fn proxies(&self, serin: &Serin, modes: &[&str]) -> Vec<Proxy> {
        let mut proxies = Vec::new();
        for mode in modes {
            proxies.push(self.proxy(serin, mode, mode).await);
        }
        serin.synced(modes.len(), LIMIT).await.unwrap();
        proxies
    }

    /// Starts one Envoy and waits until it takes requests.
    pub(crate) async fn proxy(&self, serin: &Serin, id: &str, mode: &str) -> Proxy {
        let bootstrap = serin.write_bootstrap(id, mode, self.path()).unwrap();
        let mut envoy = Envoy::start(&ENVOY, &bootstrap).await.unwrap();
        let addr = envoy.listener("http").await.unwrap();
        Proxy { id: id.to_owned(), addr, envoy }
    }
}

/// A running Envoy that takes requests.
pub(crate) struct Proxy {
    /// `node.id`
    pub(crate) id: String,
    /// Where it takes requests.
    pub(crate) addr: SocketAddr,
    envoy: Envoy,
}

impl Proxy {
    /// Starts asking it.
    pub(crate) fn load(&self, rate: Rate) -> Load {
        Load::start(self.addr, rate)
    }

    /// One of its counters or gauges; 0 where it does not have it.
    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let stats = http::get(self.envoy.admin, "/stats").await.unwrap();
        let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// The names of the clusters that it uses.
    pub(crate) async fn clusters(&self) -> Vec<String> {
        let page = http::get(self.envoy.admin, "/clusters").await.unwrap();
        let mut names: Vec<_> =
            page.lines().filter_map(|line| line.split_once("::")).map(|(n, _)| n.to_owned()).collect();
        names.dedup();
        names
    }
}

/// Two upstreams, `blue` and `green`.
pub(crate) async fn colours() -> [(&'static str, Upstream); 2] {
    let start = async |colour| (colour, Upstream::start(ANY, colour).await.unwrap());
    [start("blue").await, start("green").await]
}

/// The rollout `shop` with these versions. `cluster` and `strategy` in YAML's flow style.
pub(crate) fn rollout(cluster: &str, versions: &[(&str, SocketAddr)], target: &str, strategy: &str) -> String {
    let mut text = format!(
        "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: shop}}\nspec:\n  cluster: {cluster}\n  versions:\n"
    );
    for (name, addr) in versions {
        writeln!(text, "    {name}: {{endpoints: [\"{addr}\"]}}").unwrap();
    }
    writeln!(text, "  target: {target}\n  strategy: {strategy}").unwrap();
    text
}

/// Waits until `holds` of how a rollout stands, and returns that.
pub(crate) async fn until(serin: &Serin, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let waited = eventually(what, LIMIT, async || {
        last = serin.rollout(name).await?;
        Ok(holds(&last).then_some(()))
    });
    waited.await.unwrap_or_else(|error| panic!("{error:#}: {last:#}"));
    last
}

/// Whether the message of a rollout's status has these words.
pub(crate) fn says(status: &Value, words: &str) -> bool {
    status["message"].as_str().unwrap().contains(words)
}

/// Fails with the first failures when any request failed.
pub(crate) fn assert_none_failed(who: &str, tally: &Tally) {
    assert_eq!(tally.failed, 0, "{who}: {} of {} requests failed: {:?}", tally.failed, tally.requests, tally.failures);
    assert!(tally.requests > 0, "{who}: no request was made");
}
