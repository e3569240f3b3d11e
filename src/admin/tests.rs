use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::fleet::{FleetView, Message, NodeView, Status, TypeView};

/// 2026-01-02T03:04:05Z
const START: Duration = Duration::from_secs(1_767_323_045);

struct Server {
    sources: Sources,
    report: watch::Sender<Arc<Report>>,
    loaded: Arc<AtomicBool>,
}

/// A server whose process started at [`START`] and has run for 10 s, with a fleet of one node.
fn server() -> Server {
    let (fleet, mut questions) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(Message::View(reply)) = questions.recv().await {
            reply(one_node());
        }
    });
    let (report, reports) = watch::channel(Arc::default());
    let loaded = Arc::new(AtomicBool::new(true));
    let has_loaded = Arc::clone(&loaded);
    let is_serving = Arc::clone(&loaded);
    let sources = Sources {
        fleet,
        rollouts: mpsc::channel(1).0,
        serving: Arc::new(move || is_serving.load(Ordering::Relaxed)),
        snapshot: Arc::new(move |node| has_loaded.load(Ordering::Relaxed).then(|| snapshot_of(&node))),
        report: reports,
        reload: Arc::default(),
        registry: Arc::default(),
        now: Arc::new(|| Duration::from_secs(10)),
        started: SystemTime::UNIX_EPOCH + START,
    };
    Server { sources, report, loaded }
}

fn one_node() -> FleetView {
    let ty = TypeView {
        ty: "CDS",
        status: Status::NotSent,
        version: None,
        nonce: None,
        since: Duration::from_millis(1_500),
        error: None,
        resources: vec![],
    };
    FleetView {
        nodes: vec![NodeView {
            id: "edge-1".to_owned(),
            cluster: "edge".to_owned(),
            group: "all".to_owned(),
            user_agent: "envoy 1.40.0".to_owned(),
            peer: "127.0.0.1:5".to_owned(),
            variant: "delta",
            connected: true,
            since: Duration::from_secs(1),
            reason: None,
            types: vec![ty],
        }],
    }
}

fn snapshot_of(node: &NodeQuery) -> SnapshotReport {
    let NodeQuery { id, cluster, metadata, region, zone, sub_zone } = node;
    let group = format!("{id}/{cluster} {metadata:?} {region}/{zone}/{sub_zone}");
    SnapshotReport { group, version: "v".to_owned(), types: vec![] }
}

impl Server {
    async fn ask(&self, method: Method, path: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:18001");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = router(self.sources.clone(), true).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.ask(Method::GET, path).await
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn words(body: &str) -> String {
    serde_json::from_str::<Value>(body).unwrap()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn lives_before_it_is_ready() {
    let server = server();
    let waiting = Report { waiting: Some("x.yaml has a mistake".to_owned()), ..Report::default() };
    server.report.send_replace(Arc::new(waiting));
    server.loaded.store(false, Ordering::Relaxed);
    assert_eq!(server.get("/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    let (status, body) = server.get("/readyz").await;
    assert_eq!((status, words(&body).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "x.yaml has a mistake"));
    server.loaded.store(true, Ordering::Relaxed);
    assert_eq!(server.get("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
}

#[tokio::test]
async fn shows_the_fleet_in_calendar_time() {
    let fleet = server().json("/api/v1/fleet").await;
    assert_eq!(fleet["at"], "2026-01-02T03:04:15.000Z");
    let node = &fleet["nodes"][0];
    assert_eq!((&node["id"], &node["since"]), (&"edge-1".into(), &"2026-01-02T03:04:06.000Z".into()));
    let ty = &node["types"][0];
    assert_eq!((&ty["type"], &ty["status"]), (&"CDS".into(), &"NOT_SENT".into()));
    assert_eq!((&ty["since"], &ty["version"]), (&"2026-01-02T03:04:06.500Z".into(), &Value::Null));
    serde_json::from_value::<FleetReport>(fleet).unwrap();
}

#[tokio::test]
async fn a_fleet_that_is_gone_is_said_so() {
    let mut server = server();
    server.sources.fleet = mpsc::channel(1).0;
    let (status, body) = server.get("/api/v1/fleet").await;
    assert_eq!((status, words(&body).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down"));
}

#[tokio::test]
async fn shows_what_a_node_would_get() {
    let server = server();
    assert_eq!(server.json("/api/v1/snapshot?node=a%2Fb&cluster=c").await["group"], "a/b/c {} //");
    assert_eq!(server.json("/api/v1/snapshot?node=a").await["group"], "a/ {} //");
    let all = server.json("/api/v1/snapshot?node=a&metadata=k%3Dv%3Dw&metadata=l%3D&region=r&zone=z&sub_zone=s").await;
    assert_eq!(all["group"], r#"a/ {"k": "v=w", "l": ""} r/z/s"#);
    for path in ["", "?cluster=c", "?node=a&nodes=b", "?node=a&node=b", "?node=a&metadata=k"] {
        let (status, body) = server.get(&format!("/api/v1/snapshot{path}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(words(&body).contains("?node=ID"));
    }
    server.loaded.store(false, Ordering::Relaxed);
    assert_eq!(server.get("/api/v1/snapshot?node=a").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn shows_mistakes_and_the_files_they_hold_back() {
    let server = server();
    let mistake = Mistake {
        file: "a.yaml".to_owned(),
        line: 3,
        column: 5,
        severity: "error".to_owned(),
        message: "no such version".to_owned(),
        found: "gren".to_owned(),
        help: Some("did you mean `green`?".to_owned()),
    };
    let report = Report { held: vec!["a.yaml".to_owned()], mistakes: vec![mistake], ..Report::default() };
    server.report.send_replace(Arc::new(report));
    let shown = server.json("/api/v1/diagnostics").await;
    assert_eq!((&shown["held"][0], &shown["mistakes"][0]["line"]), (&"a.yaml".into(), &3.into()));
}

#[tokio::test]
async fn a_post_rings_the_bell() {
    let server = server();
    assert_eq!(server.ask(Method::POST, "/reload").await.0, StatusCode::ACCEPTED);
    server.sources.reload.notified().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let server = server();
    let (status, body) = server.get("/nowhere").await;
    assert_eq!((status, words(&body).as_str()), (StatusCode::NOT_FOUND, "no such page"));
    let (status, body) = server.get("/reload").await;
    assert_eq!(
        (status, words(&body).as_str()),
        (StatusCode::METHOD_NOT_ALLOWED, "this page does not take that method")
    );
}

#[tokio::test]
async fn a_page_whose_name_points_here_gets_nothing() {
    let server = server();
    for path in ["/healthz", "/nowhere", "/api/v1/fleet"] {
        let request = Request::builder().uri(path).header(header::HOST, "evil.example:18001");
        let (status, body) = server.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(words(&body).contains("evil.example"));
    }
}
