//! The `serin` process, and what it says of its fleet.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ::http::{Request, StatusCode};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::process::Process;
use super::{eventually, http, now};

/// Reading a directory and binding two ports.
const START: Duration = Duration::from_secs(30);

/// How to run it.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The `serin` binary.
    pub(crate) binary: PathBuf,
    /// `--config`
    pub(crate) config: PathBuf,
    /// `--state`
    pub(crate) state: PathBuf,
    /// Where what it prints goes.
    pub(crate) log: PathBuf,
    /// `--xds`; port 0 picks one.
    pub(crate) xds: SocketAddr,
    /// `--admin`; port 0 picks one.
    pub(crate) admin: SocketAddr,
    /// More arguments.
    pub(crate) extra: Vec<String>,
}

impl Options {
    /// Any free ports, with the state and the log in `dir`.
    pub(crate) fn new(binary: PathBuf, config: PathBuf, dir: &Path) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (state, log) = (dir.join("state"), dir.join("serin.log"));
        Self { binary, config, state, log, xds: any, admin: any, extra: Vec::new() }
    }
}

/// A running control plane.
pub(crate) struct Serin {
    options: Options,
    process: Process,
}

/// One node of `/api/v1/fleet`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Node {
    /// `node.id`
    pub(crate) id: String,
    /// Whether it has a stream now.
    pub(crate) connected: bool,
    /// Per type it asked for.
    pub(crate) types: Vec<TypeState>,
}

/// How a node stands with one type.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TypeState {
    /// `CDS`, `EDS`, ...
    #[serde(rename = "type")]
    pub(crate) ty: String,
    /// `SYNCED`, `STALE`, `NACK` or `NOT_SENT`.
    pub(crate) status: String,
    /// The version of the last acknowledged response.
    pub(crate) version: Option<String>,
    /// Envoy's words, of a NACK.
    pub(crate) error: Option<String>,
    /// The resources that may be to blame.
    pub(crate) resources: Vec<String>,
}

#[derive(Deserialize)]
struct Fleet {
    nodes: Vec<Node>,
}

impl Node {
    /// How it stands with a type it asked for.
    pub(crate) fn ty(&self, ty: &str) -> Option<&TypeState> {
        self.types.iter().find(|state| state.ty == ty)
    }

    /// Whether it is connected and has acknowledged all it should have.
    pub(crate) fn is_synced(&self) -> bool {
        self.connected && !self.types.is_empty() && self.types.iter().all(|state| state.status == "SYNCED")
    }
}

/// The fleet as it stood just before an edit.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    at: Instant,
    routes: BTreeMap<String, Option<String>>,
}

impl Serin {
    /// Starts it and waits until it serves what it has read; the options then hold its ports.
    pub(crate) async fn start(mut options: Options) -> Result<Self> {
        let mut command = Command::new(&options.binary);
        command.arg("serve").args(["--log-format", "json"]);
        command.arg("--config").arg(&options.config).arg("--state").arg(&options.state);
        command.args(["--xds", &options.xds.to_string(), "--admin", &options.admin.to_string()]);
        command.args(&options.extra);
        let mut process = Process::start(command, &options.log)?;
        (options.xds, options.admin) = eventually("serin to listen", START, async || {
            process.check_alive()?;
            let printed = process.printed()?;
            Ok(listening(&printed, "xds listening").zip(listening(&printed, "admin listening")))
        })
        .await?;
        eventually("serin to be ready", START, async || {
            process.check_alive()?;
            Ok(http::get(options.admin, "/readyz").await.is_ok().then_some(()))
        })
        .await?;
        Ok(Self { options, process })
    }

    /// Where proxies connect to.
    pub(crate) fn xds(&self) -> SocketAddr {
        self.options.xds
    }

    /// Where people connect to.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.options.admin
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as `kill -9` does, and gives back how to start it again in the same place.
    #[cfg_attr(not(test), expect(dead_code, reason = "the demo lets it live"))]
    pub(crate) fn kill(mut self) -> Result<Options> {
        self.process.kill()?;
        Ok(self.options.clone())
    }

    /// What `serin bootstrap` prints for a client of this server; the arguments of `options` come last.
    pub(crate) fn bootstrap(&self, id: &str, mode: &str, options: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.options.binary);
        command.args(["bootstrap", "--id", id, "--cluster", "demo", "--mode", mode]);
        let output = command.args(["--xds", &self.xds().to_string()]).args(options).output()?;
        if !output.status.success() {
            bail!("serin bootstrap: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Writes the bootstrap of one of many Envoys on this host: its admin interface takes any free port.
    pub(crate) fn write_bootstrap(&self, id: &str, mode: &str, dir: &Path) -> Result<PathBuf> {
        let path = dir.join(format!("{id}.yaml"));
        std::fs::write(&path, self.bootstrap(id, mode, &["--admin-port", "0"])?)?;
        Ok(path)
    }

    /// Every node it has heard of.
    pub(crate) async fn fleet(&self) -> Result<Vec<Node>> {
        let body = http::get(self.admin(), "/api/v1/fleet").await?;
        let fleet: Fleet = serde_json::from_str(&body).with_context(|| format!("not a fleet: {body}"))?;
        Ok(fleet.nodes)
    }

    /// How a rollout stands: `GET /api/v1/rollouts/NAME`.
    pub(crate) async fn rollout(&self, name: &str) -> Result<Value> {
        let body = http::get(self.admin(), &format!("/api/v1/rollouts/{name}")).await?;
        serde_json::from_str(&body).with_context(|| format!("not a rollout: {body}"))
    }

    /// Posts a command to a rollout: `promote`, `abort`, ... The answer is how it stands then, or why it is refused.
    pub(crate) async fn command(&self, name: &str, verb: &str, body: Value) -> Result<(StatusCode, Value)> {
        let path = format!("/api/v1/rollouts/{name}/{verb}");
        let request = Request::post(path).body(body.to_string().into())?;
        let (status, answer) = http::exchange(self.admin(), request).await?;
        let answer = serde_json::from_str(&answer).with_context(|| format!("{verb} {name}: {status}: {answer}"))?;
        Ok((status, answer))
    }

    /// Waits until `count` nodes are connected and have acknowledged all they should have.
    pub(crate) async fn synced(&self, count: usize, limit: Duration) -> Result<()> {
        let waited = eventually("the fleet to be in sync", limit, async || {
            let fleet = self.fleet().await?;
            Ok((fleet.iter().filter(|node| node.is_synced()).count() >= count).then_some(()))
        });
        self.explain(waited.await).await
    }

    /// Remembers which routes the fleet has, just before an edit that changes them.
    #[cfg_attr(not(test), expect(dead_code, reason = "the demo reads the journal"))]
    pub(crate) async fn mark(&self) -> Result<Mark> {
        let routes = self.fleet().await?.into_iter().map(|node| {
            let version = node.ty("RDS").and_then(|state| state.version.clone());
            (node.id, version)
        });
        Ok(Mark { routes: routes.collect(), at: now() })
    }

    /// Waits until every node of `mark` has other routes than then and has acknowledged all else it should have.
    /// Says how long after the edit each had.
    #[cfg_attr(not(test), expect(dead_code, reason = "the demo reads the journal"))]
    pub(crate) async fn converged(&self, mark: &Mark, limit: Duration) -> Result<BTreeMap<String, Duration>> {
        let mut took = BTreeMap::new();
        let waited = eventually("the fleet to follow the edit", limit, async || {
            let fleet = self.fleet().await?;
            let seen = mark.at.elapsed();
            for node in fleet.iter().filter(|node| node.is_synced()) {
                let changed = mark.routes.get(&node.id).is_some_and(|before| {
                    node.ty("RDS").is_some_and(|state| state.version.is_some() && state.version != *before)
                });
                if changed {
                    took.entry(node.id.clone()).or_insert(seen);
                }
            }
            Ok((took.len() == mark.routes.len()).then_some(()))
        })
        .await;
        self.explain(waited).await?;
        Ok(took)
    }

    /// Adds to an error how the fleet stands.
    async fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        let Err(error) = outcome else { return outcome };
        let mut states = String::new();
        for node in self.fleet().await.unwrap_or_default() {
            write!(states, "\n{} connected={}", node.id, node.connected)?;
            for state in &node.types {
                write!(states, " {}={}", state.ty, state.status)?;
                if let Some(words) = &state.error {
                    write!(states, " ({}: {words})", state.resources.join(", "))?;
                }
            }
        }
        Err(error.context(format!(
            "serin, process {}, said:\n{}the fleet:{states}",
            self.pid(),
            self.process.last_lines()?
        )))
    }
}

/// The address in the log line that says `message`.
fn listening(printed: &str, message: &str) -> Option<SocketAddr> {
    let mut lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.find(|line| line["message"] == message)?["addr"].as_str()?.parse().ok()
}
