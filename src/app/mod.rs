//! Wires the tasks and owns shutdown; decides nothing.
//!
//! Values flow through `watch` channels, each with one writer:
//!
//! ```text
//! source --Reading--> load --SpecSet--> reconcile --World--> server (streams)
//!                       |                           ^                | |
//!                       |                           +-- measurements + |
//!                       +--Report--> admin <--questions-- fleet <--events
//! ```
//!
//! State is opened and read before a port is, and nothing is served before the first full load. A task that ends
//! unasked ends the process, with words: there is no half-dead server. At shutdown the streams end first, then the rest.

mod asking;
mod clock;
mod keep;
mod load;
mod memory;
mod metrics;
mod news;
mod signals;
mod steer;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::admin::{self, NodeQuery, Report, ResourceReport, SnapshotReport, TypeSnapshot};
use crate::fleet::{self, Standing};
use crate::provider::Client;
use crate::reconcile::Reconciler;
use crate::server;
use crate::source::{self, Source};
use crate::spec::{Options, SpecSet};
use crate::store::StateDir;
use crate::telemetry;
use crate::xds::{Assign, Node, ResourceType};
use load::{Loaded, Loader};
use metrics::Metrics;
use steer::{Inputs, Steer};
use tasks::Tasks;

pub use clock::Clock;
pub use load::mistake;
pub use signals::Signals;

/// Events on their way to the fleet. A thousand proxies that reconnect at once send a few each; past that the streams
/// wait, which loses nothing.
const FLEET_QUEUE: usize = 4_096;

/// Questions and commands of people: more at once than these wait.
const QUESTIONS: usize = 64;

/// Reports of proxies on their way to the reconciler: those of a thousand that report at once. Past that the streams
/// wait, and the proxies with them, which go on counting.
const REPORTS: usize = 1_024;

/// How long streams have to end, longer than the server itself allows them.
const STREAM_GRACE: Duration = Duration::from_secs(8);

/// How long the rest has.
const GRACE: Duration = Duration::from_secs(2);

/// What this server serves; `None` before the first full load.
type World = Option<Arc<dyn Assign>>;

/// How to serve.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of configuration files.
    pub config: PathBuf,
    /// Where proxies connect; port 0 takes a free one.
    pub xds: SocketAddr,
    /// Where people ask; port 0 takes a free one.
    pub admin: SocketAddr,
    /// What must outlive the process.
    pub state: PathBuf,
    /// Clusters that the proxies' bootstrap defines.
    pub bootstrap_clusters: BTreeSet<String>,
    /// `control_plane.identifier`.
    pub instance: String,
    /// [`crate::xds::Settings::ack_timeout`] of every session.
    pub ack_timeout: Duration,
    /// How often files are read without a hint.
    pub poll_interval: Duration,
    /// Whether plaintext may leave this machine.
    pub insecure_plaintext: bool,
    /// How old a connection of a proxy grows, give or take a fifth.
    pub max_connection_age: Option<Duration>,
    /// [`crate::xds::Settings::ordered`] of every session.
    pub ordered: bool,
    /// How often proxies report their load.
    pub load_report_interval: Duration,
}

/// A control plane, not yet bound to its addresses.
pub struct App;

/// A control plane that has its state and its addresses, and serves nobody yet.
pub struct Bound {
    xds: server::Bound,
    admin: TcpListener,
    admin_addr: SocketAddr,
    source: Source,
    loader: Loader,
    state: StateDir,
    fleet: mpsc::Receiver<fleet::Message>,
    questions: mpsc::Sender<fleet::Message>,
    world: watch::Sender<World>,
    measured: mpsc::Receiver<telemetry::Report>,
    counted: watch::Sender<Arc<BTreeSet<Arc<str>>>>,
    reload: Arc<Notify>,
    registry: Registry,
    clock: Clock,
}

impl App {
    /// Takes the state directory, reads it, and takes the addresses.
    ///
    /// # Errors
    /// When one of them is not to be had, or an address would carry plaintext to other machines unasked.
    pub async fn bind(settings: Settings, clock: Clock) -> anyhow::Result<Bound> {
        let Settings { config, xds, admin, state, bootstrap_clusters, .. } = settings;
        for (flag, address) in [("--xds", xds), ("--admin", admin)] {
            refuse_plaintext(flag, address, settings.insecure_plaintext)?;
        }
        // A directory that comes later is a typing error far more often than a plan.
        tokio::fs::metadata(&config).await.with_context(|| format!("cannot read --config {}", config.display()))?;
        if !tokio::fs::try_exists(&state).await.unwrap_or(true) {
            warn!("--state {} is new: the target of each rollout is taken for stable", state.display());
        }
        let state = StateDir::open(state)?;
        let remembered = state.load_last_good()?;
        for damage in &remembered.damaged {
            warn!("{damage}");
        }

        let (world, worlds) = watch::channel(None);
        let (questions, fleet) = mpsc::channel(FLEET_QUEUE);
        let (reports, measured) = mpsc::channel(REPORTS);
        let (counted, to_count) = watch::channel(Arc::default());
        let mut registry = Registry::default();
        let now = move || clock.now();
        let xds = server::bind(server::Config {
            listen: xds,
            instance: settings.instance,
            ack_timeout: settings.ack_timeout,
            ordered: settings.ordered,
            max_connection_age: settings.max_connection_age,
            world: worlds,
            fleet: questions.clone(),
            reports,
            counted: to_count,
            load_report_interval: settings.load_report_interval,
            bootstrap_clusters: Arc::new(bootstrap_clusters.clone()),
            metrics: server::Metrics::new(&mut registry),
            clock: Arc::new(now),
        })
        .await?;
        let refused = || format!("cannot listen for HTTP on {admin}");
        let admin = TcpListener::bind(admin).await.with_context(refused)?;
        let admin_addr = admin.local_addr().with_context(refused)?;
        let polling = source::Settings { reread_every: settings.poll_interval, ..source::Settings::default() };
        info!(addr = %xds.addr, "xds listening");
        info!(addr = %admin_addr, "admin listening");
        Ok(Bound {
            xds,
            admin,
            admin_addr,
            source: Source::new(config, polling, Arc::new(move || clock.epoch() + clock.now())),
            loader: Loader::new(&remembered.files, Options { bootstrap_clusters }),
            state,
            fleet,
            questions,
            world,
            measured,
            counted,
            reload: Arc::default(),
            registry,
            clock,
        })
    }
}

impl Bound {
    /// Where proxies connect.
    #[must_use]
    pub fn xds_addr(&self) -> SocketAddr {
        self.xds.addr
    }

    /// Where people ask.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Rung to have all files read again.
    #[must_use]
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Serves until `shutdown`, then ends within a bounded time.
    ///
    /// # Errors
    /// When any task ends before that.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self {
            xds,
            admin,
            source,
            loader,
            state,
            fleet,
            questions,
            world,
            measured,
            counted,
            reload,
            mut registry,
            clock,
            admin_addr: _,
        } = self;
        let (readings, read) = watch::channel(None);
        let (specs, loaded) = watch::channel(None);
        let (reports, report) = watch::channel(Arc::new(loader.report().clone()));
        let (commands, messages) = mpsc::channel(QUESTIONS);
        let (aim, aims) = watch::channel(None);
        let (standings, standing) = watch::channel(Arc::new(Standing::default()));
        let worlds = world.subscribe();
        let metrics = Metrics::new(&mut registry);
        let sources = admin::Sources {
            fleet: questions,
            rollouts: commands,
            serving: Arc::new({
                let worlds = worlds.clone();
                move || worlds.borrow().is_some()
            }),
            snapshot: Arc::new(move |node| worlds.borrow().as_deref().map(|world| snapshot(world, node))),
            report,
            reload: Arc::clone(&reload),
            registry: Arc::new(registry),
            now: Arc::new(move || clock.now()),
            started: clock.started(),
        };

        let keeper = keep::Keeper::new(&state, clock)?;
        let (memory, found) = memory::Memory::open(&state)?;
        let past = [loader.restored(&state.load_before_last_good()?), loader.spec()];
        let reconciler = Reconciler::after(clock.epoch(), &past, found);
        let asking = asking::Asking::new(Client::new()?, clock);
        let steer =
            Steer { reconciler, memory, counted, world, aim, clock, asking, metrics: metrics.clone(), retry: None };
        let inputs = Inputs { specs: loaded, standings: standing, messages, measured };

        let (mut doors, mut rooms) = (Tasks::new(), Tasks::new());
        doors.spawn("xds", xds.serve(doors.stopped()));
        rooms.spawn("admin", admin::serve(admin, sources, rooms.stopped()));
        rooms.spawn("source", endless(source.run(readings, reload, rooms.stopped())));
        rooms.spawn("load", load(loader, state, read, specs, reports, metrics, clock));
        rooms.spawn("reconcile", endless(steer.run(inputs)));
        rooms.spawn("fleet", endless(keeper.run(fleet, aims, standings)));

        let failure = tokio::select! {
            () = shutdown => None,
            failure = doors.failed() => Some(failure),
            failure = rooms.failed() => Some(failure),
        };
        if let Some(failure) = &failure {
            error!("{failure:#}; shutting down");
        }
        doors.stop(STREAM_GRACE).await;
        rooms.stop(GRACE).await;
        info!("stopped");
        failure.map_or(Ok(()), Err)
    }
}

/// Plaintext is as good as public: who reads along learns the topology, who speaks along gets and reloads everything.
fn refuse_plaintext(flag: &str, address: SocketAddr, insecure: bool) -> anyhow::Result<()> {
    if !insecure && !address.ip().to_canonical().is_loopback() {
        bail!(
            "{flag} {address} is not loopback, and serin speaks plaintext; say --insecure-plaintext if that is meant"
        );
    }
    Ok(())
}

/// Readings to documents in force: remembered first, then passed on.
async fn load(
    mut loader: Loader,
    mut state: StateDir,
    mut readings: watch::Receiver<Option<source::Outcome>>,
    specs: watch::Sender<Option<Arc<SpecSet>>>,
    reports: watch::Sender<Arc<Report>>,
    metrics: Metrics,
    clock: Clock,
) -> Result<(), tokio::task::JoinError> {
    while readings.changed().await.is_ok() {
        let Some(reading) = readings.borrow_and_update().clone() else { continue };
        let began = clock.now();
        let outcome;
        (loader, state, outcome) = spawn_blocking(move || {
            let outcome = match reading {
                Ok(reading) => loader.take(&reading, clock.calendar()),
                Err(error) => loader.miss(&error),
            };
            if outcome.spec.is_some()
                && let Err(error) = state.save_last_good(&loader.texts())
            {
                error!("{:#}; a restart would not remember the files as they are now", anyhow::Error::from(error));
            }
            (loader, state, outcome)
        })
        .await?;
        let Loaded { spec, report } = outcome;
        if spec.is_some() {
            specs.send_replace(spec);
        }
        let now = clock.now();
        metrics.reloaded(&report, clock.epoch() + now, now.saturating_sub(began));
        reports.send_replace(Arc::new(report));
    }
    Ok(())
}

async fn endless(task: impl Future<Output = ()>) -> Result<(), Infallible> {
    task.await;
    Ok(())
}

/// What a node that says no more than this would get.
fn snapshot(world: &dyn Assign, node: NodeQuery) -> SnapshotReport {
    let NodeQuery { id, cluster, metadata, region, zone, sub_zone } = node;
    let metadata = metadata.into_iter().map(|(key, value)| (key, value.into())).collect();
    let node = Node { id, cluster, metadata, region, zone, sub_zone, ..Node::default() };
    let assignment = world.assign(&node);
    let set = |ty: ResourceType| {
        let set = assignment.snapshot.set(ty);
        let resource = |r: &Arc<_>| resource_report(r);
        (!set.is_empty()).then(|| TypeSnapshot {
            ty: ty.short_name(),
            type_url: ty.type_url(),
            version: set.version().to_string(),
            resources: set.iter().map(resource).collect(),
        })
    };
    SnapshotReport {
        group: assignment.group.to_string(),
        version: assignment.snapshot.version().to_string(),
        types: ResourceType::ALL.into_iter().filter_map(set).collect(),
    }
}

fn resource_report(resource: &crate::xds::Resource) -> ResourceReport {
    ResourceReport { name: resource.name.to_string(), version: resource.version.to_string() }
}
