//! `/metrics` of the built program: what real Envoys and real mistakes make of it, what a real Prometheus makes of that,
//! and the alerts and the dashboard of `demo/` that use it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use ::http::{Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

use crate::prometheus::{PROMETHEUS, Prometheus};
use crate::quiet::Quiet;
use crate::rejection::ring;
use crate::rig::http;
use crate::rig::serin::Serin;
use crate::rig::{eventually, repository};
use crate::site::{self, LIMIT, STEADY, Site, rollout};

/// What a scrape gave.
#[derive(Debug)]
struct Page(String);

impl Page {
    async fn of(serin: &Serin) -> Self {
        Self(http::get(serin.admin(), "/metrics").await.unwrap())
    }

    /// Waits until each of these series has its value.
    async fn until(serin: &Serin, expected: &[(&str, f64)]) -> Self {
        let mut page = Self(String::new());
        let all = async || {
            page = Self::of(serin).await;
            Ok(expected.iter().all(|(series, value)| page.value(series) == Some(*value)).then_some(()))
        };
        let waited = eventually("the metrics", LIMIT, all).await;
        waited.unwrap_or_else(|error| panic!("{error:#}: {expected:?} in {page:?}"));
        page
    }

    /// The value of one series, written as the page writes it.
    fn value(&self, series: &str) -> Option<f64> {
        let value = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(value.parse().unwrap())
    }

    fn sure(&self, series: &str) -> f64 {
        self.value(series).unwrap_or_else(|| panic!("no {series} in {self:?}"))
    }

    /// The name and kind of every metric.
    fn metrics(&self) -> Vec<(&str, &str)> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
    }

    /// The names under which Prometheus has them.
    fn names(&self) -> BTreeSet<String> {
        let parts = |(name, kind): (&str, &str)| match kind {
            "histogram" => ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")).to_vec(),
            _ => vec![name.to_owned()],
        };
        self.metrics().into_iter().flat_map(parts).collect()
    }
}

/// Runs promtool.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(PROMETHEUS.with_file_name("promtool"));
    command.args(arguments).current_dir(repository());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("promtool");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn expressions(node: &Value, found: &mut Vec<String>) {
    match node {
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if ["expr", "definition"].contains(&name.as_str()) => found.push(text.to_owned()),
                    _ => expressions(value, found),
                }
            }
        }
        _ => {}
    }
}

/// All expressions of the dashboard, and what its variables are filled from.
fn dashboard() -> Vec<String> {
    let text = fs::read_to_string(repository().join("demo/dashboard.json")).unwrap();
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&text).unwrap(), &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The metrics of serin and of its process that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| ["serin_", "process_"].iter().any(|prefix| word.starts_with(prefix)));
    ours.map(str::to_owned).collect()
}

const CANARY: &str = "{canary: {steps: [{setWeight: 20}, {pause: {}}, {setWeight: 50}]}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_on_the_page() {
    let site = Site::new();
    let colours = site::colours().await;
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    site.write("shop.yaml", &rollout("{}", &versions, "blue", CANARY));
    let mut options = site.options();
    options.extra = ["--load-report-interval", "1s"].map(str::to_owned).to_vec();
    let serin = Serin::start(options).await.unwrap();
    let rest = [
        ("serin_rollout_phase{rollout=\"shop\",phase=\"Healthy\"}", 1.0),
        ("serin_rollout_phase{rollout=\"shop\",phase=\"Paused\"}", 0.0),
        ("serin_rollout_weight_ratio{rollout=\"shop\",version=\"blue\"}", 1.0),
        ("serin_rollout_weight_ratio{rollout=\"shop\",version=\"green\"}", 0.0),
        ("serin_xds_streams{variant=\"delta\"}", 0.0),
        ("serin_xds_pushes_total{type=\"RDS\"}", 0.0),
        ("serin_xds_rejections_total{type=\"CDS\"}", 0.0),
        ("serin_config_last_reload_successful", 1.0),
        ("serin_config_held_files", 0.0),
    ];
    Page::until(&serin, &rest).await;

    // A step on the fleet, and what the fleet says of it.
    let proxies = site.proxies(&serin, &["sotw", "delta"]).await;
    let _loads: Vec<_> = proxies.iter().map(|proxy| proxy.load(STEADY)).collect();
    let before = Page::of(&serin).await;
    site.write("shop.yaml", &rollout("{}", &versions, "green", CANARY));
    let step = [
        ("serin_rollout_phase{rollout=\"shop\",phase=\"Healthy\"}", 0.0),
        ("serin_rollout_phase{rollout=\"shop\",phase=\"Paused\"}", 1.0),
        ("serin_rollout_weight_ratio{rollout=\"shop\",version=\"blue\"}", 0.8),
        ("serin_rollout_weight_ratio{rollout=\"shop\",version=\"green\"}", 0.2),
        ("serin_rollout_step{rollout=\"shop\"}", 2.0),
        ("serin_rollout_steps{rollout=\"shop\"}", 3.0),
        ("serin_rollout_converged_proxies{rollout=\"shop\"}", 2.0),
        ("serin_rollout_proxies{rollout=\"shop\"}", 2.0),
        ("serin_connected_proxies{group=\"default\",state=\"SYNCED\"}", 2.0),
        ("serin_connected_proxies{group=\"default\",state=\"STALE\"}", 0.0),
        ("serin_away_proxies{group=\"default\"}", 0.0),
        ("serin_xds_streams{variant=\"sotw\"}", 1.0),
        ("serin_xds_streams{variant=\"delta\"}", 1.0),
        ("serin_xds_oldest_unacknowledged_seconds{type=\"RDS\"}", 0.0),
    ];
    let page = Page::until(&serin, &step).await;
    let since = page.sure("serin_rollout_phase_start_timestamp_seconds{rollout=\"shop\"}");
    assert!(since > page.sure("process_start_time_seconds"));
    for series in ["serin_xds_pushes_total", "serin_xds_pushed_bytes_total", "serin_xds_ack_duration_seconds_count"] {
        let series = format!("{series}{{type=\"RDS\"}}");
        assert!(page.sure(&series) >= before.sure(&series) + 2.0, "{series}: {before:?} {page:?}");
    }
    for series in ["serin_engine_duration_seconds_count", "serin_translate_duration_seconds_count"] {
        assert!(page.sure(series) > before.sure(series), "{series}");
    }
    let seen = "serin_rollout_seen_weight_ratio{rollout=\"shop\",version=\"green\"}";
    eventually("a split seen by proxies", LIMIT, async || {
        let page = Page::of(&serin).await;
        let share = page.value(seen).filter(|share| (0.1..0.3).contains(share));
        Ok(share.filter(|_| page.sure("serin_telemetry_reports_total{service=\"load\"}") > 0.0))
    })
    .await
    .unwrap();

    // A rejection by both.
    site.write("ring.yaml", &ring(8));
    let rejected = [
        ("serin_xds_rejections_total{type=\"CDS\"}", 2.0),
        ("serin_xds_rejections_total{type=\"RDS\"}", 0.0),
        ("serin_connected_proxies{group=\"default\",state=\"NACK\"}", 2.0),
        ("serin_connected_proxies{group=\"default\",state=\"SYNCED\"}", 0.0),
        ("serin_config_last_reload_successful", 1.0),
        ("serin_config_reloads_total{result=\"success\"}", 3.0),
    ];
    let good = Page::until(&serin, &rejected).await;

    // A mistake in a file.
    site.write("ring.yaml", "resources: [");
    let broken = [
        ("serin_config_last_reload_successful", 0.0),
        ("serin_config_held_files", 1.0),
        ("serin_config_reloads_total{result=\"success\"}", 3.0),
        ("serin_config_reloads_total{result=\"failure\"}", 1.0),
    ];
    let page = Page::until(&serin, &broken).await;
    let time = "serin_config_last_reload_success_timestamp_seconds";
    assert_eq!(page.value(time), good.value(time));

    // What a restart finds is on its first page.
    let serin = Serin::start(serin.kill().unwrap()).await.unwrap();
    let first = Page::of(&serin).await;
    for series in &step[2..6] {
        assert_eq!(first.value(series.0), Some(series.1), "{first:?}");
    }
    assert_eq!(first.value("serin_config_last_reload_successful"), Some(0.0), "{first:?}");
    assert_eq!(first.value(time), None, "no such time is known: {first:?}");
    // And what is gone is not.
    let envoy = fs::read_to_string(repository().join("demo/config/local/envoy.yaml")).unwrap();
    site.write("ring.yaml", &ring(4096));
    site.write("envoy.yaml", &envoy.replace("cluster: shop", "cluster: ring"));
    site.remove("shop.yaml");
    eventually("the rollout to be gone", LIMIT, async || {
        Ok((!Page::of(&serin).await.0.contains("rollout=\"shop\"")).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_keeps_to_the_rules_of_prometheus() {
    let quiet = Quiet::new("{blueGreen: {}}").await;
    let page = Page::of(quiet.serin()).await;
    let Output { status, stdout, stderr } = promtool(&["check", "metrics"], &page.0);
    assert!(status.success() && stdout.is_empty() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));

    let request = Request::get("/metrics").header(header::ACCEPT, "application/openmetrics-text;version=1.0.0;q=0.5");
    let request = request.body(Full::default()).unwrap();
    let (status, open) = http::exchange(quiet.serin().admin(), request).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(open.ends_with("\n# EOF\n") && open.contains("# TYPE serin_xds_pushes counter\n"), "{open}");
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples(&open), samples(&page.0), "the same in both formats");
    assert!(!page.0.contains("node="), "{page:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_dashboard_and_readme_name_what_there_is() {
    let quiet = Quiet::new("{blueGreen: {}}").await;
    let page = Page::of(quiet.serin()).await;
    let names = page.names();
    let alerts = fs::read_to_string(repository().join("demo/alerts.yml")).unwrap();
    for (what, text) in [("alerts", alerts), ("dashboard", dashboard().join("\n"))] {
        let used = named(&text);
        assert!(used.len() > 5, "{what}: {used:?}");
        assert_eq!(used.difference(&names).collect::<Vec<_>>(), Vec::<&String>::new(), "{what}");
    }
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for (name, _) in page.metrics() {
        assert!(name.starts_with("process_") || readme.contains(&format!("`{name}")), "README.md has no `{name}`");
    }
}

#[test]
fn alerts_fire_where_they_should() {
    for arguments in [["check", "rules", "demo/alerts.yml"], ["test", "rules", "tests/it/alerts_test.yml"]] {
        let Output { status, stdout, stderr } = promtool(&arguments, "");
        assert!(status.success(), "{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_follows_it() {
    let quiet = Quiet::new(CANARY).await;
    let alerts = repository().join("demo/alerts.yml");
    let target = quiet.serin().admin().to_string();
    let prometheus = Prometheus::scraping("serin", &target, &[&alerts]).await;
    quiet.edit("green");
    prometheus.finds("serin_rollout_weight_ratio{rollout=\"shop\",version=\"green\"} == 0.2").await;
    prometheus.finds("serin_rollout_phase{rollout=\"shop\",phase=\"Paused\"} == 1").await;
    let info = prometheus.finds("serin_build_info == 1").await;
    assert_eq!(info[0]["metric"]["version"], env!("CARGO_PKG_VERSION"));

    // Everything that the dashboard asks is a question that can be answered.
    for expression in dashboard().into_iter().filter(|expression| !expression.starts_with("label_values")) {
        let filled = [("$__rate_interval", "1m"), ("$job", "serin"), ("$instance", ".*"), ("$rollout", ".*")];
        let expression = filled.iter().fold(expression, |text, (variable, value)| text.replace(variable, value));
        assert!(!expression.contains('$'), "{expression}");
        prometheus.query(&expression).await;
    }

    quiet.site.write("broken.yaml", "kind: [");
    let alert = "ALERTS{alertname=\"SerinConfigReloadFailing\",severity=\"warning\"}";
    assert_eq!(prometheus.finds(alert).await[0]["metric"]["instance"], target);
}
