//! `serin serve`: flags to settings, and the runtime they run on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::logging::{self, LogFormat};
use super::{Outcome, interval};
use crate::app::{App, Clock, Settings, Signals};

const EXAMPLES: &str = "\
Rollouts need ADS: the clusters made of a rollout's `endpoints:` get them over the aggregated stream, so an Envoy with a \
stream per type (api_config_source) rejects them. `serin bootstrap` writes ADS. Without it, give each version an \
`existingCluster:` instead.

Signals: SIGHUP reads all files again; SIGINT and SIGTERM end all streams and then the process.
RUST_LOG says what is logged, e.g. RUST_LOG=info,serin::server=debug.

Examples:
  serin serve --config config/
  serin serve --config config/ --xds 127.0.0.1:0    the log says which port
  serin serve --config config/ --xds 0.0.0.0:18000 --insecure-plaintext";

/// What cannot end in time when the process does is left behind.
const LEAVE: Duration = Duration::from_secs(1);

/// Where things are, and how patient to be.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// The directory of rollout files and Envoy resources; watched
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// Where proxies connect (port 0 picks one)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:18000")]
    xds: SocketAddr,
    /// Where people and scripts ask, by HTTP (port 0 picks one)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:18001")]
    admin: SocketAddr,
    /// What must outlive the process: how far each rollout is, its history, the last good version of each file. Without
    /// it the target of each rollout is taken to carry all traffic
    #[arg(long, value_name = "DIR", default_value = "./serin-state")]
    state: PathBuf,
    /// A cluster that the proxies' own bootstrap defines, so that routes may name it; repeatable
    #[arg(long, value_name = "NAME")]
    bootstrap_cluster: Vec<String>,
    /// Names this process to proxies, as their control plane's identifier; changes no version
    #[arg(long, value_name = "NAME", env = "HOSTNAME", default_value = "serin")]
    instance_id: String,
    /// How to log [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// How long a proxy may leave a response unanswered before its session goes on without the answer; longer than
    /// the 15s for which an Envoy may be warming a cluster
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = humantime::parse_duration)]
    ack_timeout: Duration,
    /// Read the files again after this long even if no change was noticed: some file systems notice none
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    poll_interval: Duration,
    /// How old a connection of a proxy grows, give or take a fifth, before the proxy is asked to connect again: behind a
    /// load balancer, the fleet so spreads over replicas that came later [default: no end]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    max_connection_age: Option<Duration>,
    /// How often proxies report their load, that is attempts and errors, by endpoint. An Envoy sends 61 KB
    /// with each report, 12 KB/s at 5s; 100ms to 30s
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = interval::of_reports)]
    load_report_interval: Duration,
    /// Listen on an address that other machines reach, although anybody there can read everything and command
    /// every rollout
    #[arg(long)]
    insecure_plaintext: bool,
    /// Push every type at once, without waiting for what it depends on. For tests that must fail
    #[arg(long, hide = true)]
    unordered: bool,
}

/// Serves until a signal.
pub(super) fn run(args: &ServeArgs) -> anyhow::Result<Outcome> {
    logging::init(args.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(async {
        let signals = Signals::listen().context("cannot listen to signals")?;
        let bound = App::bind(args.settings(), Clock::start()).await?;
        let shutdown = signals.shutdown(bound.reload());
        bound.run(shutdown).await
    });
    runtime.shutdown_timeout(LEAVE);
    outcome.map(|()| Outcome::Positive)
}

impl ServeArgs {
    fn settings(&self) -> Settings {
        Settings {
            config: self.config.clone(),
            xds: self.xds,
            admin: self.admin,
            state: self.state.clone(),
            bootstrap_clusters: self.bootstrap_cluster.iter().cloned().collect(),
            // Some shells export an empty HOSTNAME.
            instance: if self.instance_id.is_empty() { "serin".to_owned() } else { self.instance_id.clone() },
            ack_timeout: self.ack_timeout,
            poll_interval: self.poll_interval,
            insecure_plaintext: self.insecure_plaintext,
            max_connection_age: self.max_connection_age,
            ordered: !self.unordered,
            load_report_interval: self.load_report_interval,
        }
    }
}
