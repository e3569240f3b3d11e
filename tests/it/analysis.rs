//! Analysis steps, on the built program: a local server stands for Prometheus and for a page of figures.

use serde_json::json;

use crate::desk::{Desk, Reply};
use crate::quiet::Quiet;

const STRATEGY: &str = "{canary: {steps: [{setWeight: 20}, {analysis: {templates: [{templateName: golden}]}}]}}";

/// What Prometheus 3 answers to a query with one result.
fn vector(value: &str) -> Reply {
    let result = json!([{"metric": {"job": "shop"}, "value": [1_763_719_264.781, value]}]);
    Reply::ok(&json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string())
}

fn rate(value: f64) -> Reply {
    Reply::ok(&json!({"data": {"rate": value}}).to_string())
}

/// A rollout with one analysis of these metrics, on its way to green.
pub(crate) async fn judged(metrics: &str) -> Quiet {
    let template = "apiVersion: serin.dev/v1\nkind: AnalysisTemplate\nmetadata: {name: golden}\nspec:\n  metrics:";
    let quiet = Quiet::new(&format!("{STRATEGY}\n---\n{template} [{metrics}]")).await;
    quiet.edit("green");
    quiet
}

fn web(desk: &Desk, more: &str) -> String {
    let url = desk.url("rate");
    format!(
        "{{name: success, thresholdRange: {{min: 99}}, provider: {{web: {{url: \"{url}\", jsonPath: \"{{$.data.rate}}\"}}}}{more}}}"
    )
}

fn prometheus(desk: &Desk, more: &str) -> String {
    let address = desk.url("prometheus");
    let query = "sum(rate(errors[1m])) / 2";
    format!(
        "{{name: errors, thresholdRange: {{max: 1}}, provider: {{prometheus: {{address: \"{address}\", query: \"{query}\"}}}}{more}}}"
    )
}

const QUERY: &str = "prometheus/api/v1/query";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_that_are_good_let_it_pass() {
    let desk = Desk::open().await;
    desk.tell("rate", &[rate(99.5), Reply::Stall]);
    desk.tell(QUERY, &[vector("0.25")]);
    let metrics = [web(&desk, ", count: 3, interval: 10ms"), prometheus(&desk, "")].join(", ");
    let quiet = judged(&metrics).await;
    quiet.says("success 1/3 measured, 0 failed; errors 1/1 measured, 0 failed").await;
    let got = quiet.run("get shop").await;
    assert!(got.out.contains("success 1/3 measured, 0 failed"), "{got:?}");
    assert!(got.out.contains("Progressing"), "{got:?}");
    assert_eq!(desk.calls_of(QUERY)[0].query, "query=sum%28rate%28errors%5B1m%5D%29%29%20%2F%202");
    desk.tell("rate", &[rate(99.0)]);
    quiet.healthy("green").await;
    assert_eq!((desk.calls_of("rate").len(), desk.calls_of(QUERY).len()), (3, 1));
    let journal = quiet.journal().await;
    assert!(journal.contains("analysis golden passes"), "{journal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_that_are_bad_abort() {
    let desk = Desk::open().await;
    desk.tell("rate", &[rate(99.5)]);
    desk.tell(QUERY, &[vector("0.5"), vector("1.25")]);
    let metrics = [
        web(&desk, ", count: 1000, interval: 10ms"),
        prometheus(&desk, ", count: 10, interval: 10ms, failureLimit: 1"),
    ];
    let quiet = judged(&metrics.join(", ")).await;
    let words = "aborted: analysis golden fails: errors 1.25 is above 1 (2 of 3 measurements failed, limit 1)";
    let status = quiet.says(words).await;
    assert_eq!((&status["phase"], &status["weights"][1]["weight"]), (&json!("Degraded"), &json!(0.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_that_say_nothing_wait_for_a_person() {
    let desk = Desk::open().await;
    desk.tell("rate", &[rate(50.0), rate(51.0), rate(99.9)]);
    let quiet = judged(&web(&desk, ", count: 2, interval: 10ms, failureLimit: 5")).await;
    let words = "inconclusive analysis golden: success was at least 99 in 0 of 2 measurements";
    let status = quiet.says(words).await;
    assert_eq!(status["phase"], "Paused");
    quiet.command("resume").await;
    quiet.healthy("green").await;
    assert_eq!(desk.calls_of("rate").len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_down_stalls_or_lies_never_passes() {
    let desk = Desk::open().await;
    let down = {
        let gone = tokio::net::TcpListener::bind(crate::site::ANY).await.unwrap();
        web(&desk, ", interval: 10ms, count: 1, consecutiveErrorLimit: 2")
            .replace(&desk.url(""), &format!("http://{}/", gone.local_addr().unwrap()))
    };
    let once = ", interval: 10ms, count: 1, consecutiveErrorLimit: 0";
    desk.tell("rate", &[Reply::ok("{}")]);
    desk.tell(QUERY, &[vector("NaN")]);
    for (metric, words) in [
        (down, "success could not be measured (3 in a row, limit 2): no connection: connection refused"),
        (web(&desk, once), "success could not be measured (1 in a row, limit 0): nothing is at {$.data.rate}"),
        (prometheus(&desk, once), "errors could not be measured (1 in a row, limit 0): "),
    ] {
        let quiet = judged(&metric).await;
        let status = quiet.says(&format!("aborted: analysis golden fails: {words}")).await;
        assert_eq!(status["phase"], "Degraded");
    }
    // One that stalls keeps nobody from anything.
    desk.tell("rate", &[Reply::Stall]);
    let mut quiet = judged(&web(&desk, "")).await;
    quiet.says("waiting for analysis golden").await;
    desk.called("rate", 2).await;
    quiet.restart(|| {}).await;
    desk.called("rate", 3).await;
    assert_eq!(quiet.command("abort").await["phase"], "Degraded");
    desk.tell("rate", &[rate(100.0)]);
    quiet.command("retry").await;
    quiet.healthy("green").await;
}
