use std::path::Path;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

const ROLLOUT: &str = "
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: checkout}
spec:
  versions:
    blue: {endpoints: ['127.0.0.1:9001']}
    green: {endpoints: ['127.0.0.1:9002']}
  strategy:
    weights: {blue: 90, green: 10}
";

fn house() -> TempDir {
    let house = tempfile::tempdir().unwrap();
    std::fs::create_dir(house.path().join("config")).unwrap();
    house
}

fn write(house: &TempDir, text: &str) {
    // Renamed into place, so that no half of it is ever read.
    let (new, file) = (house.path().join("new"), house.path().join("config/checkout.yaml"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn settings(house: &Path) -> Settings {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        config: house.join("config"),
        xds: loopback,
        admin: loopback,
        state: house.join("state"),
        bootstrap_clusters: BTreeSet::new(),
        instance: "test".to_owned(),
        ack_timeout: Duration::from_secs(20),
        poll_interval: Duration::from_secs(1),
        insecure_plaintext: false,
        ordered: true,
        load_report_interval: Duration::from_secs(5),
        max_connection_age: None,
    }
}

struct Running {
    admin: SocketAddr,
    worlds: watch::Receiver<World>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(house: &TempDir) -> Self {
        let bound = App::bind(settings(house.path()), Clock::start()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (admin, worlds) = (bound.admin_addr(), bound.world.subscribe());
        let task = tokio::spawn(bound.run(async { drop(stopped.await) }));
        Self { admin, worlds, stop, task }
    }

    /// The names of the clusters served, once they are `expected`.
    async fn serves(&mut self, expected: &[&str]) {
        let names = |world: &World| {
            let report = snapshot(world.as_deref()?, NodeQuery { id: "any".to_owned(), ..NodeQuery::default() });
            let clusters = report.types.into_iter().find(|set| set.ty == "CDS")?;
            Some(clusters.resources.into_iter().map(|cluster| cluster.name).collect::<Vec<_>>())
        };
        let served = self.worlds.wait_for(|world| names(world).is_some_and(|names| names == expected));
        timeout(PATIENCE, served).await.unwrap().unwrap();
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.admin);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        spawn_blocking(move || {
            let mut response = agent.get(url).call().unwrap();
            (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
        })
        .await
        .unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_edit_is_followed_and_a_mistake_is_not() {
    let house = house();
    write(&house, ROLLOUT);
    let mut app = Running::start(&house).await;
    app.serves(&["checkout/blue", "checkout/green"]).await;
    assert_eq!(app.get("/readyz").await, (200, "ready\n".to_owned()));
    write(&house, &ROLLOUT.replace("green", "red"));
    app.serves(&["checkout/blue", "checkout/red"]).await;
    app.stop().await;

    // A restart beside a broken file serves what was served before, and says so.
    write(&house, &ROLLOUT.replace("weights: {", "weights: {purple: 5, "));
    let mut app = Running::start(&house).await;
    app.serves(&["checkout/blue", "checkout/red"]).await;
    let (status, report) = app.get("/api/v1/diagnostics").await;
    assert!(status == 200 && report.contains(r#""held":["checkout.yaml"]"#) && report.contains("purple"), "{report}");
    app.stop().await;
}

#[tokio::test]
async fn a_task_that_ends_ends_the_process() {
    let house = house();
    let mut bound = App::bind(settings(house.path()), Clock::start()).await.unwrap();
    // Nobody can send to it any more, so its task has nothing left to do.
    bound.fleet = mpsc::channel(1).1;
    let failure = timeout(PATIENCE, bound.run(std::future::pending())).await.unwrap().unwrap_err();
    assert_eq!(failure.to_string(), "the fleet task ended by itself");
}

#[tokio::test]
async fn what_is_taken_is_said() {
    let house = house();
    let bound = App::bind(settings(house.path()), Clock::start()).await.unwrap();
    let again = |settings| async { App::bind(settings, Clock::start()).await.err().unwrap().to_string() };
    assert!(again(settings(house.path())).await.contains("is in use by process"));
    let elsewhere = |settings: Settings| Settings { state: house.path().join("other"), ..settings };
    let taken = Settings { admin: bound.admin_addr(), ..settings(house.path()) };
    assert!(again(elsewhere(taken)).await.contains("cannot listen for HTTP on 127.0.0.1:"));
    let taken = Settings { xds: bound.xds_addr(), ..settings(house.path()) };
    assert!(again(elsewhere(taken)).await.contains("cannot listen for xDS on 127.0.0.1:"));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_said_before_anything_is_taken() {
    let house = tempfile::tempdir().unwrap();
    let error = App::bind(settings(house.path()), Clock::start()).await.err().unwrap();
    assert!(format!("{error:#}").contains("config: No such file or directory"), "{error:#}");
    assert!(!house.path().join("state").exists());
}

/// A command that fails prints the whole chain: what the system says stands there once.
#[tokio::test]
async fn what_the_system_says_is_said_once() {
    let house = house();
    let bound = App::bind(settings(house.path()), Clock::start()).await.unwrap();
    let taken = Settings { xds: bound.xds_addr(), state: house.path().join("other"), ..settings(house.path()) };
    let no_state = Settings { state: "/dev/null/state".into(), ..settings(house.path()) };
    for (settings, words) in [(taken, "os error 98"), (no_state, "os error 20")] {
        let error = format!("{:#}", App::bind(settings, Clock::start()).await.err().unwrap());
        assert_eq!(error.matches(words).count(), 1, "{error}");
    }
}

#[test]
fn plaintext_stays_on_this_machine() {
    for (address, local) in [
        ("127.0.0.1:1", true),
        ("127.9.9.9:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("0.0.0.0:1", false),
        ("10.0.0.1:1", false),
        ("[::]:1", false),
        ("[::ffff:10.0.0.1]:1", false),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(refuse_plaintext("--xds", address, false).is_ok(), local, "{address}");
        assert!(refuse_plaintext("--xds", address, true).is_ok());
    }
}

mod loading {
    use super::*;
    use crate::source::{FileError, Reading};

    fn reading(files: &[(&str, &str)], errors: &[(&str, FileError)]) -> Reading {
        Reading {
            files: files.iter().map(|&(path, text)| (path.into(), text.into())).collect(),
            errors: errors.iter().map(|(path, error)| ((*path).into(), error.clone())).collect(),
        }
    }

    const AT: &str = "2026-01-02T03:04:05.000Z";

    fn loader() -> Loader {
        Loader::new(&crate::tree::Map::new(), Options::default())
    }

    #[test]
    fn nothing_is_in_force_before_all_is_in_order() {
        let mut loader = loader();
        let empty = loader.take(&reading(&[], &[]), AT.to_owned());
        assert!(empty.spec.is_none() && empty.report.waiting.unwrap().contains("no rollout and no resource"));
        let half = loader.take(&reading(&[("a.yaml", ROLLOUT), ("b.yaml", "kind: [")], &[]), AT.to_owned());
        assert!(half.spec.is_none() && half.report.waiting.unwrap().ends_with("these are not: b.yaml"));
        let unread = loader.take(&reading(&[("a.yaml", ROLLOUT)], &[("b.yaml", FileError::Empty)]), AT.to_owned());
        assert!(unread.spec.is_none() && unread.report.mistakes[0].file == "b.yaml");
        let whole = loader.take(&reading(&[("a.yaml", ROLLOUT)], &[]), AT.to_owned());
        assert!(whole.spec.is_some() && whole.report == Report { loaded: Some(AT.to_owned()), ..Report::default() });
        assert_eq!(loader.texts().keys().map(|path| &**path).collect::<Vec<_>>(), ["a.yaml"]);
    }

    #[test]
    fn what_cannot_be_read_stays_in_force() {
        let mut loader = loader();
        loader.take(&reading(&[("a.yaml", ROLLOUT)], &[]), AT.to_owned());
        let Loaded { spec, report } = loader.take(&reading(&[], &[("a.yaml", FileError::Unsettled)]), AT.to_owned());
        assert_eq!(spec.unwrap().files.len(), 1);
        assert_eq!(report.held, ["a.yaml"]);
        assert_eq!(report.mistakes[0].severity, "error");
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_told_and_changes_nothing() {
        let error = crate::source::RootError { root: "conf".into(), reason: "gone".to_owned() };
        let mut loader = loader();
        let nothing = loader.miss(&error);
        assert!(nothing.spec.is_none());
        assert_eq!(nothing.report.waiting.unwrap(), "nothing is served yet: cannot read conf: gone");
        let read = [("a.yaml", ROLLOUT)];
        loader.take(&reading(&read, &[]), AT.to_owned());
        let Loaded { spec, report } = loader.miss(&error);
        assert!(spec.is_none() && loader.texts().len() == 1);
        assert_eq!((report.waiting, report.unreadable.as_deref()), (None, Some("cannot read conf: gone")));
        assert_eq!(loader.take(&reading(&read, &[]), AT.to_owned()).report.unreadable, None);
    }

    #[test]
    fn memories_that_are_no_good_any_more_are_forgotten() {
        let memory = reading(&[("a.yaml", "kind: Rollin")], &[]).files;
        assert!(Loader::new(&memory, Options::default()).texts().is_empty());
        let memory = reading(&[("a.yaml", ROLLOUT)], &[]).files;
        assert_eq!(Loader::new(&memory, Options::default()).texts(), memory);
    }
}
