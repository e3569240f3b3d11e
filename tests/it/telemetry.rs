//! What a real Envoy reports, counted beside what its upstreams and its client saw: the same, not roughly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use http::StatusCode;
use serin::fleet::{Fleet, Message};
use serin::reconcile::{Input, Reconciler};
use serin::server;
use serin::spec::{Admitted, Options};
use serin::telemetry::{Bases, Body, Counts, Meter, Report};
use serin::xds::Assign;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::rig::envoy::Envoy;
use crate::rig::http::{self as page, Connection};
use crate::rig::{eventually, now, repository};
use crate::site::{ANY, ENVOY, LIMIT};

/// How often everything is reported here.
const INTERVAL: Duration = Duration::from_millis(200);

/// A service that fails some requests, and counts.
struct Service {
    addr: SocketAddr,
    requests: Arc<AtomicU64>,
    /// One in so many is answered with 500.
    fails: u64,
    server: JoinHandle<()>,
}

impl Service {
    /// `fails` 0 never fails.
    async fn start(fails: u64) -> Self {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::<AtomicU64>::default();
        let count = Arc::clone(&requests);
        let service = Router::new().fallback(move || {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let failed = fails > 0 && number.is_multiple_of(fails);
            std::future::ready(if failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK })
        });
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, service).await;
        });
        Self { addr, requests, fails, server }
    }

    /// What it has seen.
    fn counts(&self) -> Counts {
        let requests = self.requests.load(Ordering::SeqCst);
        Counts { requests, errors: requests.checked_div(self.fails).unwrap_or_default() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The server, and the task that folds what it is told; both end with it.
struct Control {
    addr: SocketAddr,
    worlds: watch::Sender<Option<Arc<dyn Assign>>>,
    counted: watch::Sender<Arc<std::collections::BTreeSet<Arc<str>>>>,
    reconciler: Reconciler,
    reports: mpsc::Receiver<Report>,
    meter: Meter,
    began: Instant,
    /// By cluster: attempts, and requests in histograms.
    totals: BTreeMap<Arc<str>, (Counts, u64)>,
    /// Attempts by endpoint.
    endpoints: BTreeMap<Arc<str>, Counts>,
    loads: usize,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), server::Error>>,
}

impl Control {
    async fn start(listen: SocketAddr, spec: &str, bases: Bases) -> Self {
        let (worlds, world) = watch::channel(None);
        let (counted, to_count) = watch::channel(Arc::default());
        let (reports, told) = mpsc::channel(16);
        let (fleet, mut events) = mpsc::channel(16);
        let began = now();
        tokio::spawn(async move {
            let mut fleet = Fleet::default();
            while let Some(message) = events.recv().await {
                let message: Message = message;
                fleet.handle_message(began.elapsed(), message);
            }
        });
        let config = server::Config {
            listen,
            instance: "test".to_owned(),
            ack_timeout: Duration::from_secs(20),
            ordered: true,
            world,
            fleet,
            reports,
            counted: to_count,
            load_report_interval: INTERVAL,
            max_connection_age: None,
            bootstrap_clusters: Arc::default(),
            metrics: server::Metrics::default(),
            clock: Arc::new(move || began.elapsed()),
        };
        let bound = server::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut control = Self {
            addr: bound.addr,
            worlds,
            counted,
            reconciler: Reconciler::default(),
            reports: told,
            meter: Meter::default(),
            began,
            totals: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            loads: 0,
            stop,
            server: tokio::spawn(bound.serve(async { drop(stopped.await) })),
        };
        control.edit(spec);
        control.meter.restore(Duration::ZERO, bases);
        control
    }

    fn edit(&mut self, spec: &str) {
        let envoy = std::fs::read_to_string(repository().join("demo/config/local/envoy.yaml")).unwrap();
        let envoy = envoy.replace(
            "timeout: 5s",
            "timeout: 5s, retry_policy: {retry_on: 5xx, num_retries: 1, retry_back_off: {base_interval: 0.001s}}",
        );
        let files = [("shop.yaml".into(), spec.into()), ("envoy.yaml".into(), envoy.into())].into();
        let spec = Arc::new(Admitted::restore(&files, &Options::default()).unwrap().spec_set());
        self.reconciler.handle(self.began.elapsed(), Input::Spec(spec));
        let publication = self.reconciler.publish(true).unwrap();
        self.meter.count(Arc::clone(&publication.counted));
        self.counted.send_replace(publication.counted);
        self.worlds.send_replace(Some(publication.world));
    }

    /// Folds the next report.
    async fn take(&mut self) {
        let report = tokio::time::timeout(LIMIT, self.reports.recv()).await.expect("a report").expect("a server");
        self.loads += usize::from(matches!(&report.body, Body::Load(_)));
        let Some(interval) = self.meter.take(self.began.elapsed(), report) else { return };
        assert_eq!(&*interval.node, "edge-1");
        for (cluster, sample) in interval.clusters {
            let (attempts, latencies) = self.totals.entry(cluster).or_default();
            attempts.add(sample.attempts.unwrap_or_default());
            *latencies += sample.latency.map_or(0, |latency| latency.count);
            for (endpoint, counts) in sample.endpoints {
                self.endpoints.entry(endpoint).or_default().add(counts);
            }
        }
    }

    /// Folds reports until the attempts of a cluster are those, and two more, which must change nothing.
    async fn reaches(&mut self, cluster: &str, expected: Counts) {
        let deadline = now() + LIMIT;
        while self.attempts(cluster) != expected {
            assert!(now() < deadline, "{cluster}: {:?} instead of {expected:?}", self.attempts(cluster));
            self.take().await;
        }
        let loads = self.loads + 2;
        while self.loads < loads {
            self.take().await;
        }
        assert_eq!(self.attempts(cluster), expected, "{cluster}");
    }

    fn attempts(&self, cluster: &str) -> Counts {
        self.totals.get(cluster).map(|(attempts, _)| *attempts).unwrap_or_default()
    }

    /// Ends, and leaves what a later one goes on from.
    async fn end(mut self) -> (SocketAddr, Bases, BTreeMap<Arc<str>, (Counts, u64)>) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
        while let Ok(report) = self.reports.try_recv() {
            let Some(interval) = self.meter.take(self.began.elapsed(), report) else { continue };
            for (cluster, sample) in interval.clusters {
                self.totals.entry(cluster).or_default().0.add(sample.attempts.unwrap_or_default());
            }
        }
        let clusters = Arc::clone(&self.counted.borrow());
        (self.addr, self.meter.bases(&clusters), self.totals)
    }
}

fn spec(blue: &str, green: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: shop}}\nspec:\n  versions:\n    blue: {{endpoints: \
         [{blue}]}}\n    green: {{endpoints: [{green}]}}\n  strategy: {{weights: {{blue: 50, green: 50}}}}\n"
    )
}

fn bootstrap(xds: SocketAddr, directory: &std::path::Path) -> PathBuf {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command.args(["bootstrap", "--id", "edge-1", "--cluster", "edge", "--admin-port", "0"]);
    command.args(["--telemetry-interval", "200ms", "--xds", &xds.to_string()]);
    let printed = command.output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let path = directory.join("edge-1.yaml");
    std::fs::write(&path, printed.stdout).unwrap();
    path
}

/// Requests, and those of them that were answered with 500 to 599. Of a connection that Envoy has closed meanwhile
/// nothing was sent.
async fn ask(edge: SocketAddr, requests: u64) -> Counts {
    let mut seen = Counts { requests, errors: 0 };
    let mut connection = Connection::open(edge).await.unwrap();
    for _ in 0..requests {
        if connection.is_closed() {
            connection = Connection::open(edge).await.unwrap();
        }
        let (status, _) = connection.get("/").await.unwrap();
        seen.errors += u64::from(status.is_server_error());
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_is_what_happened() {
    let (blue, green) = (Service::start(0).await, Service::start(3).await);
    let both = spec(&format!("'{}'", blue.addr), &format!("'{}'", green.addr));
    let directory = tempfile::tempdir().unwrap();
    let mut control = Control::start(ANY, &both, Bases::default()).await;
    let mut envoy = Envoy::start(&ENVOY, &bootstrap(control.addr, directory.path())).await.unwrap();
    let edge = envoy.listener("http").await.unwrap();

    // Attempts that a retry hides count, by endpoint too.
    let seen = ask(edge, 300).await;
    assert!(green.counts().errors > seen.errors, "no retry hid anything: {seen:?}");
    control.reaches("shop/green", green.counts()).await;
    control.reaches("shop/blue", blue.counts()).await;
    for service in [&blue, &green] {
        assert_eq!(control.endpoints[&*service.addr.to_string()], service.counts());
    }
    let latencies = control.totals.values().map(|(_, latencies)| latencies).sum::<u64>();
    assert_eq!(latencies, seen.requests, "each answer to the client has its latency");
    let live = control.meter.live(control.began.elapsed(), "shop/green");
    assert_eq!((live.nodes, live.healthy, live.without), (1, Some(1), 0));

    // Requests that find no endpoint.
    control.edit(&spec(&format!("'{}'", blue.addr), ""));
    eventually("green to be empty", LIMIT, async || {
        let clusters = page::get(envoy.admin, "/clusters").await?;
        Ok((!clusters.contains(&format!("shop/green::{}", green.addr))).then_some(()))
    })
    .await
    .unwrap();
    let before = green.counts();
    let seen = ask(edge, 100).await;
    assert!(seen.errors > 0 && green.counts() == before);
    let expected = Counts { requests: before.requests + seen.errors, errors: before.errors + seen.errors };
    control.reaches("shop/green", expected).await;
    control.reaches("shop/blue", blue.counts()).await;
    let live = control.meter.live(control.began.elapsed(), "shop/green");
    assert_eq!((live.healthy, live.without), (Some(0), 1));
    assert_eq!(live.some_without, ["edge-1".into()]);

    // What happens while no control plane is there.
    let (addr, bases, before) = control.end().await;
    let bases = serde_json::from_str(&serde_json::to_string(&bases).unwrap()).unwrap();
    let away = ask(edge, 100).await;
    let mut control = Control::start(addr, &spec(&format!("'{}'", blue.addr), ""), bases).await;
    control.totals = before;
    let back = ask(edge, 100).await;
    let unserved = away.errors + back.errors;
    let expected = Counts { requests: expected.requests + unserved, errors: expected.errors + unserved };
    control.reaches("shop/green", expected).await;
    control.reaches("shop/blue", blue.counts()).await;
}
