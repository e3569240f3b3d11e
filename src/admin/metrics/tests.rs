use std::time::SystemTime;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::*;
use crate::rollout::SeenStatus;
use crate::spec::Split;

fn rollout(name: &str, phase: Phase) -> Gauges {
    Gauges {
        name: name.into(),
        phase,
        since: Duration::from_millis(1_500),
        step: (phase == Phase::Paused).then_some((2, 5)),
        weights: Split(vec![("blue".into(), 9_950), ("green".into(), 50)]),
        convergence: (phase == Phase::Paused).then_some((47, 48)),
        seen: (phase == Phase::Paused).then(|| SeenStatus {
            version: "green".into(),
            requests: 1,
            of: 4,
            warning: None,
        }),
    }
}

/// Serves two rollouts, told of one by one, and a fleet of three nodes, one of which has not answered for 2 s.
fn sources() -> Sources {
    let (fleet, mut questions) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(fleet::Message::Gauges(reply)) = questions.recv().await {
            let group = GroupGauges { synced: 1, stale: 1, nack: 0, away: 1 };
            reply(FleetGauges {
                groups: [("default".to_owned(), group)].into(),
                sotw_streams: 2,
                delta_streams: 0,
                unanswered: vec![("CDS", None), ("RDS", Some(Duration::from_secs(8)))],
            });
        }
    });
    let (rollouts, mut questions) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(Message::Gauges(after, reply)) = questions.recv().await {
            reply(match after.as_deref() {
                None => vec![rollout("a \"b\"", Phase::Healthy)],
                Some("a \"b\"") => vec![rollout("shop", Phase::Paused)],
                Some(_) => Vec::new(),
            });
        }
    });
    let mut registry = Registry::default();
    let pushes = Counter::<u64>::default();
    pushes.inc_by(7);
    registry.register_with_unit("serin_xds_pushed", "Size", Unit::Bytes, pushes);
    Sources {
        fleet,
        rollouts,
        serving: Arc::new(|| true),
        snapshot: Arc::new(|_| None),
        report: watch::channel(Arc::default()).1,
        reload: Arc::default(),
        registry: Arc::new(registry),
        now: Arc::new(|| Duration::from_secs(10)),
        started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045),
    }
}

/// The type of the page, and the page.
async fn get(accept: &str) -> (String, String) {
    let request = Request::get("/metrics").header(header::HOST, "localhost:18001").header(header::ACCEPT, accept);
    let request = request.body(Body::empty()).unwrap();
    let response = super::super::router(sources(), true).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn how_everything_stands_is_drawn() {
    let (_, page) = get("*/*").await;
    let rollouts = r#"serin_rollout_phase{rollout="a \"b\"",phase="Healthy"} 1
serin_rollout_phase{rollout="a \"b\"",phase="Progressing"} 0
serin_rollout_phase{rollout="a \"b\"",phase="Paused"} 0
serin_rollout_phase{rollout="a \"b\"",phase="Degraded"} 0
serin_rollout_phase{rollout="shop",phase="Healthy"} 0
serin_rollout_phase{rollout="shop",phase="Progressing"} 0
serin_rollout_phase{rollout="shop",phase="Paused"} 1
serin_rollout_phase{rollout="shop",phase="Degraded"} 0
serin_rollout_phase_start_timestamp_seconds{rollout="a \"b\""} 1.5
serin_rollout_phase_start_timestamp_seconds{rollout="shop"} 1.5
serin_rollout_weight_ratio{rollout="a \"b\"",version="blue"} 0.995
serin_rollout_weight_ratio{rollout="a \"b\"",version="green"} 0.005
serin_rollout_weight_ratio{rollout="shop",version="blue"} 0.995
serin_rollout_weight_ratio{rollout="shop",version="green"} 0.005
serin_rollout_seen_weight_ratio{rollout="shop",version="green"} 0.25
serin_rollout_step{rollout="shop"} 2
serin_rollout_steps{rollout="shop"} 5
serin_rollout_converged_proxies{rollout="shop"} 47
serin_rollout_proxies{rollout="shop"} 48
"#;
    let fleet = r#"serin_config_held_files 0
serin_connected_proxies{group="default",state="SYNCED"} 1
serin_connected_proxies{group="default",state="STALE"} 1
serin_connected_proxies{group="default",state="NACK"} 0
serin_away_proxies{group="default"} 1
serin_xds_streams{variant="sotw"} 2
serin_xds_streams{variant="delta"} 0
serin_xds_oldest_unacknowledged_seconds{type="CDS"} 0.0
serin_xds_oldest_unacknowledged_seconds{type="RDS"} 2.0
"#;
    let samples: String =
        page.lines().filter(|line| line.starts_with("serin_")).flat_map(|line| [line, "\n"]).collect();
    assert_eq!(samples, format!("serin_xds_pushed_bytes_total 7\n{fleet}{rollouts}"));
    assert!(page.contains("\nprocess_start_time_seconds 1767323045.0\n"), "{page}");
    #[cfg(target_os = "linux")]
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        assert!(value.is_some_and(|value| value.parse::<f64>().unwrap() >= 0.0), "{name}: {page}");
    }
}

#[tokio::test]
async fn each_reader_gets_the_format_it_reads() {
    let (kind, page) = get("*/*").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let described = "# HELP serin_xds_pushed_bytes_total Size.\n# TYPE serin_xds_pushed_bytes_total counter\n";
    assert!(page.starts_with(described) && !page.contains("# UNIT") && !page.contains("# EOF"), "{page}");

    let accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let (kind, page) = get(accept).await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let described = "# HELP serin_xds_pushed_bytes Size.\n# TYPE serin_xds_pushed_bytes counter\n# UNIT serin_xds_pushed_bytes bytes\n";
    assert!(page.starts_with(described) && page.ends_with("\n# EOF\n"), "{page}");
}
