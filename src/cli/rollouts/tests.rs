//! Whole commands against a server whose answers are written down here.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::ExitCode;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::get::Shown;
use super::status::Wait;
use super::*;
use crate::admin::{ConvergenceReport, EntryReport, RolloutReport, StandingReport, StepReport, WeightReport};
use crate::cli::output::Report;
use crate::cli::tests::{Ran, run};
use crate::rollout::Phase;

const NOW: &str = "2026-11-21T10:06:30.000Z";

fn split(green: f64) -> Vec<WeightReport> {
    let part = |version: &str, weight| WeightReport { version: version.to_owned(), weight };
    vec![part("blue", 100.0 - green), part("green", green)]
}

fn paused() -> RolloutReport {
    RolloutReport {
        seen: None,
        analysis: Vec::new(),
        at: NOW.to_owned(),
        name: "checkout".to_owned(),
        strategy: "canary".to_owned(),
        phase: Phase::Paused,
        since: "2026-11-21T10:00:20.500Z".to_owned(),
        message: "paused until promoted: serin promote checkout".to_owned(),
        stable: Some("blue".to_owned()),
        target: Some("green".to_owned()),
        undone: false,
        revision: 2,
        sequence: 7,
        step: Some(StepReport { index: 3, of: 5, words: "pause until promoted".to_owned() }),
        weights: split(12.25),
        convergence: Some(ConvergenceReport {
            converged: 47,
            nodes: 48,
            slowest: Some("edge-17".to_owned()),
            waited_ms: 1_800,
        }),
    }
}

fn healthy(stable: &str) -> RolloutReport {
    RolloutReport {
        phase: Phase::Healthy,
        message: format!("{stable} carries all traffic"),
        stable: Some(stable.to_owned()),
        target: Some(stable.to_owned()),
        step: None,
        weights: split(if stable == "green" { 100.0 } else { 0.0 }),
        convergence: None,
        ..paused()
    }
}

fn degraded() -> RolloutReport {
    let message = "aborted: edge-3 rejected RDS: \u{1b}[31mno".to_owned();
    RolloutReport { phase: Phase::Degraded, message, step: None, weights: split(0.0), ..paused() }
}

fn entry(sequence: u64, revision: u64, actor: &str, to: (Phase, &str, f64), why: &str) -> EntryReport {
    let standing = |phase, at: &str, green| StandingReport { phase, at: at.to_owned(), weights: split(green) };
    EntryReport {
        at: format!("2026-11-21T10:00:{:02}.500Z", sequence * 2),
        sequence,
        revision,
        from: standing(Phase::Progressing, "before", 0.0),
        to: standing(to.0, to.1, to.2),
        actor: actor.to_owned(),
        why: why.to_owned(),
        figures: None,
    }
}

fn entries() -> Vec<EntryReport> {
    use Phase::{Healthy, Paused, Progressing};
    let mut entries = vec![
        entry(1, 1, "engine", (Healthy, "blue stable", 0.0), "seen for the first time"),
        entry(2, 2, "file", (Progressing, "green step 1/5 setWeight 5", 5.0), "the file's target is green"),
        entry(3, 2, "ann", (Paused, "green step 1/5 setWeight 5", 5.0), "paused (lunch)"),
        entry(4, 2, "ann", (Progressing, "green step 1/5 setWeight 5", 5.0), "resumed"),
        entry(5, 2, "engine", (Progressing, "green step 1/5 setWeight 5", 5.0), "goes on"),
        entry(6, 2, "bob", (Progressing, "green step 2/5 setWeight 12.25", 12.25), "promoted past: a pause"),
        entry(7, 2, "engine", (Paused, "green step 3/5 pause", 12.25), "48/48 nodes have it after 1.8s"),
    ];
    entries[5].figures = Some(crate::admin::FiguresReport { converged: 48, nodes: 48, waited_ms: 900 });
    entries
}

fn history() -> Value {
    json!({"at": NOW, "rollout": "checkout", "entries": entries()})
}

/// Nothing wrong with the files.
fn files() -> Value {
    json!(crate::admin::Report::default())
}

/// Answers one request after the other, and has read them in the end: first lines, with what came in their bodies.
struct Server {
    url: String,
    requests: JoinHandle<Vec<String>>,
}

fn serve(answers: Vec<(u16, Value)>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = std::thread::spawn(move || {
        let answer = |(status, body): (u16, Value)| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let head: Vec<_> =
                reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let length =
                head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut sent = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut sent).unwrap();
            let body = body.to_string();
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
                .unwrap();
            let line = head[0].trim_end_matches(" HTTP/1.1");
            let sent = serde_json::from_slice::<Value>(&sent).map(|sent| format!(" {sent}")).unwrap_or_default();
            format!("{line}{sent}")
        };
        answers.into_iter().map(answer).collect()
    });
    Server { url, requests }
}

/// What a command does with these answers, and which requests it makes.
fn ran(line: &[&str], answers: Vec<(u16, Value)>) -> (Ran, Vec<String>) {
    let server = serve(answers);
    let ran = run(&[line, &["--server", &server.url]].concat());
    (ran, server.requests.join().unwrap())
}

/// What a command that succeeds prints.
fn printed(line: &[&str], answers: Vec<Value>) -> String {
    let (ran, _) = ran(line, answers.into_iter().map(|answer| (200, answer)).collect());
    assert_eq!((ran.code, ran.err.as_str()), (ExitCode::SUCCESS, ""));
    ran.out
}

#[test]
fn all_rollouts_in_a_table() {
    let search = RolloutReport { name: "search".to_owned(), ..degraded() };
    let answer = json!({"rollouts": [paused(), search, RolloutReport { name: "web".to_owned(), ..healthy("green") }]});
    assert_eq!(
        printed(&["list"], vec![answer.clone()]),
        "\
NAME      PHASE     STEP  WEIGHTS                   CONVERGENCE  MESSAGE
checkout  Paused    3/5   blue 87.75% green 12.25%  47/48        paused until promoted: serin promote checkout
search    Degraded  -     blue 100%                 47/48        aborted: edge-3 rejected RDS:  [31mno
web       Healthy   -     green 100%                -            green carries all traffic
"
    );
    assert_eq!(serde_json::from_str::<Value>(&printed(&["list", "-o", "json"], vec![answer.clone()])).unwrap(), answer);
    assert!(printed(&["list"], vec![json!({"rollouts": []})]).starts_with("no rollout is known"));
}

#[test]
fn one_rollout_in_a_block() {
    assert_eq!(
        printed(&["get", "checkout"], vec![json!(paused())]),
        "\
Name:        checkout
Strategy:    canary
Phase:       Paused since 10:00:20Z (6m ago)
Message:     paused until promoted: serin promote checkout
Stable:      blue
Target:      green
Step:        3/5 pause until promoted
Weights:     blue 87.75% green 12.25%
Seen:        -
Convergence: 47/48 nodes, slowest edge-17, 1.8s
Revision:    2
Sequence:    7
"
    );
    let since = "2026-11-18T10:00:20.500Z".to_owned();
    let convergence = Some(ConvergenceReport { converged: 0, nodes: 0, slowest: None, waited_ms: 0 });
    let undone = RolloutReport { undone: true, since, convergence, stable: None, ..healthy("green") };
    let shown = printed(&["get", "checkout"], vec![json!(undone)]);
    for line in [
        "Phase:       Healthy since 2026-11-18T10:00:20Z (3d ago)\n",
        "Target:      green (by undo, until the file's target changes)\n",
        "Stable:      -\n",
        "Step:        -\n",
        "Convergence: no nodes\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let json = printed(&["get", "checkout", "-o", "json"], vec![json!(paused())]);
    assert_eq!(serde_json::from_str::<RolloutReport>(&json).unwrap(), paused());
}

#[test]
fn names_are_encoded_in_the_path() {
    let (ran, requests) = ran(&["get", "a/b ü?"], vec![(404, json!({"error": "no rollout \"a/b ü?\""}))]);
    assert_eq!(requests, ["GET /api/v1/rollouts/a%2Fb%20%C3%BC%3F"]);
    assert_eq!(ran.code, ExitCode::from(2));
    assert!(ran.err.contains("answered 404 Not Found: no rollout \"a/b ü?\""), "{}", ran.err);
}

#[test]
fn a_user_has_a_version_or_there_is_a_reason() {
    let user = |version: Option<&str>, reason: Option<&str>| {
        let answer = json!({"rollout": "checkout", "user": "a&b", "version": version, "reason": reason});
        ran(&["get", "checkout", "--user", "a&b"], vec![(200, answer)])
    };
    let (ran, requests) = user(Some("green"), None);
    assert_eq!(requests, ["GET /api/v1/rollouts/checkout?user=a%26b"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (ExitCode::SUCCESS, "green\n", ""));
    let (ran, _) = user(None, Some("no sessionAffinity"));
    assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(1), ""));
    assert_eq!(ran.err, "serin: no sessionAffinity\n");
}

fn shown(shown: &mut Shown, report: &RolloutReport) -> String {
    let mut out = Vec::new();
    shown.show(&mut out, &serde_json::to_string(report).unwrap()).unwrap();
    String::from_utf8(out).unwrap()
}

/// The same pause, later.
fn later(mut report: RolloutReport) -> RolloutReport {
    report.at = "2026-11-21T10:06:31.000Z".to_owned();
    report.message = "paused for 10m, 12s left".to_owned();
    report.convergence.as_mut().unwrap().waited_ms += 1_000;
    report
}

#[test]
fn a_watch_that_is_piped_prints_a_line_for_each_change() {
    let mut watch = Shown { output: Report::Text, redraw: false, last: None };
    let mut report = RolloutReport { message: "paused for 10m, 13s left".to_owned(), ..paused() };
    assert!(shown(&mut watch, &report).starts_with("Name:        checkout\n"));
    report = later(report);
    assert_eq!(shown(&mut watch, &report), "", "time alone is no change");
    report.step = Some(StepReport { index: 4, of: 5, words: "setWeight 50".to_owned() });
    report.phase = Phase::Progressing;
    report.message = "waiting for 1 of 48 nodes: edge-17".to_owned();
    assert_eq!(
        shown(&mut watch, &report),
        "2026-11-21T10:06:31.000Z checkout is Progressing at step 4/5 (setWeight 50), blue 87.75% green 12.25%, \
         47/48 nodes, slowest edge-17, 2.8s: waiting for 1 of 48 nodes: edge-17\n"
    );
}

#[test]
fn a_watch_in_json_prints_a_document_per_change() {
    let mut watch = Shown { output: Report::Json, redraw: true, last: None };
    let report = RolloutReport { message: "paused for 10m, 13s left".to_owned(), ..paused() };
    assert_eq!(serde_json::from_str::<RolloutReport>(&shown(&mut watch, &report)).unwrap(), report);
    assert_eq!(shown(&mut watch, &later(report)), "");
    assert_eq!(shown(&mut watch, &healthy("green")).lines().count(), 1);
}

#[test]
fn a_watch_on_a_terminal_redraws() {
    let mut watch = Shown { output: Report::Text, redraw: true, last: None };
    for _ in 0..2 {
        assert!(shown(&mut watch, &paused()).starts_with("\x1b[H\x1b[2JName:        checkout\n"));
    }
}

#[test]
fn a_command_says_what_it_saw_and_prints_what_is_so_now() {
    let (ran, requests) = ran(
        &["promote", "checkout", "--actor", "ann", "--reason", "looks good"],
        vec![(200, json!(paused())), (200, json!(healthy("green")))],
    );
    assert_eq!(
        requests,
        [
            "GET /api/v1/rollouts/checkout",
            r#"POST /api/v1/rollouts/checkout/promote {"actor":"ann","reason":"looks good","seen":7}"#
        ]
    );
    assert_eq!((ran.code, ran.err.as_str()), (ExitCode::SUCCESS, ""));
    assert_eq!(ran.out, "checkout is Healthy, green 100%: green carries all traffic\n");
}

#[test]
fn every_verb_asks_for_what_it_says() {
    let lines: [(&[&str], &str); 8] = [
        (&["promote", "--full"], r#"promote {"actor":"ann","full":true,"seen":3}"#),
        (&["pause"], r#"pause {"actor":"ann","seen":3}"#),
        (&["resume"], r#"resume {"actor":"ann","seen":3}"#),
        (&["abort"], r#"abort {"actor":"ann","seen":3}"#),
        (&["abort", "--emergency"], r#"abort {"actor":"ann","emergency":true,"seen":3}"#),
        (&["retry"], r#"retry {"actor":"ann","seen":3}"#),
        (&["undo"], r#"undo {"actor":"ann","seen":3}"#),
        (&["undo", "--to-revision", "1"], r#"undo {"actor":"ann","seen":3,"toRevision":1}"#),
    ];
    for (line, expected) in lines {
        let line = [line, &["checkout", "--actor", "ann", "--seen", "3"]].concat();
        let (ran, requests) = ran(&line, vec![(200, json!(paused()))]);
        assert_eq!(ran.code, ExitCode::SUCCESS, "{}", ran.err);
        assert_eq!(requests, [format!("POST /api/v1/rollouts/checkout/{expected}")]);
    }
}

#[test]
fn an_actor_is_never_empty() {
    let line = ["abort", "checkout", "--seen", "3", "--actor", "", "--login"];
    for (login, actor) in [("bob", "bob"), ("", "unknown")] {
        let (_, requests) = ran(&[&line[..], &[login]].concat(), vec![(200, json!(degraded()))]);
        assert!(requests[0].contains(&format!(r#""actor":"{actor}""#)), "{requests:?}");
    }
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_server() {
    let refused = (409, json!({"error": "paused already by bob\u{7}"}));
    let (ran, _) = ran(&["pause", "checkout", "--seen", "3"], vec![refused]);
    assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(1), ""));
    assert_eq!(ran.err, "serin: cannot pause checkout: paused already by bob \n");
}

#[test]
fn a_mistake_in_a_command_is_wrong_usage() {
    let refused = (400, json!({"error": "actor \"engine\" is not taken"}));
    let (ran, _) = ran(&["pause", "checkout", "--seen", "3", "--actor", "engine"], vec![refused]);
    assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(2), ""));
    assert!(ran.err.contains("actor \"engine\" is not taken"), "{}", ran.err);
}

#[test]
fn status_ends_with_the_rollout() {
    for (report, code, line) in [
        (healthy("green"), ExitCode::SUCCESS, "checkout is Healthy, green 100%: green carries all traffic"),
        (
            degraded(),
            ExitCode::from(1),
            "checkout is Degraded, blue 100%, 47/48 nodes, slowest edge-17, 1.8s: aborted: edge-3 rejected RDS:  [31mno",
        ),
    ] {
        let (ran, requests) = ran(&["status", "checkout"], vec![(200, json!(report)), (200, files())]);
        assert_eq!((ran.code, ran.err.as_str()), (code, ""));
        assert_eq!(ran.out, format!("{NOW} {line}\n"));
        assert_eq!(requests, ["GET /api/v1/rollouts/checkout", "GET /api/v1/diagnostics"]);
    }
}

#[test]
fn status_that_gives_up_says_what_is_awaited() {
    let answers = || vec![(200, json!(paused())), (200, files())];
    let (waited, _) = ran(&["status", "checkout", "--timeout", "0s"], answers());
    assert_eq!(waited.code, ExitCode::from(1));
    assert_eq!(waited.err, "serin: not done after 0s: paused until promoted: serin promote checkout\n");
    let (waited, _) = ran(&["status", "checkout", "--timeout", "0s", "--target", "red"], answers());
    assert_eq!(waited.err, "serin: not done after 0s: the target is green, not red\n");
}

#[test]
fn status_of_plain_weights_has_no_target_to_wait_for() {
    let weights = RolloutReport { strategy: "weights".to_owned(), stable: None, target: None, ..healthy("green") };
    let (waited, _) = ran(&["status", "checkout"], vec![(200, json!(weights)), (200, files())]);
    assert_eq!(waited.code, ExitCode::SUCCESS);
    let (waited, _) = ran(&["status", "checkout", "--target", "green"], vec![(200, json!(weights))]);
    assert_eq!((waited.code, waited.out.as_str()), (ExitCode::from(2), ""));
}

#[test]
fn status_names_the_files_that_are_held_back() {
    let files = crate::admin::Report { held: vec!["shop.yaml".to_owned()], ..crate::admin::Report::default() };
    let (ran, _) = ran(&["status", "checkout"], vec![(200, json!(healthy("blue"))), (200, json!(files))]);
    assert_eq!(ran.code, ExitCode::SUCCESS);
    assert!(ran.err.starts_with("serin: shop.yaml is held back"), "{}", ran.err);
}

#[test]
fn status_does_not_take_the_state_before_an_edit_for_the_one_after() {
    let wait = |target: Option<&str>| Wait::new(target.map(str::to_owned));
    let on_its_way = RolloutReport { target: Some("green".to_owned()), ..healthy("blue") };
    for (target, report, expected) in [
        (None, healthy("blue"), Some(Outcome::Positive)),
        (None, on_its_way.clone(), None),
        (Some("green"), healthy("blue"), None),
        (Some("green"), on_its_way, None),
        (Some("green"), paused(), None),
        (Some("green"), healthy("green"), Some(Outcome::Positive)),
        (Some("green"), degraded(), Some(Outcome::Negative)),
        // What was aborted is not what the edit asks for.
        (Some("red"), degraded(), None),
        (None, degraded(), Some(Outcome::Negative)),
    ] {
        assert_eq!(wait(target).end(&report), expected, "{target:?} {report:?}");
    }
}

#[test]
fn status_prints_each_phase_and_step_once() {
    let mut wait = Wait::new(None);
    assert!(wait.line(&paused()).is_some());
    assert_eq!(wait.line(&later(paused())), None);
    assert_eq!(wait.awaited, "paused for 10m, 12s left");
    let step = Some(StepReport { index: 4, of: 5, words: "setWeight 50".to_owned() });
    assert!(wait.line(&RolloutReport { step, ..paused() }).is_some());
    assert!(wait.line(&healthy("green")).is_some());
}

#[test]
fn the_journal_in_a_table() {
    assert_eq!(
        printed(&["history", "checkout", "--limit", "7"], vec![history()]),
        "\
TIME                  SEQUENCE  REVISION  ACTOR   PHASE                  AT                              WEIGHTS                   WHY
2026-11-21T10:00:02Z  1         1         engine  Progressing → Healthy  blue stable                     blue 100%                 seen for the first time
2026-11-21T10:00:04Z  2         2         file    Progressing            green step 1/5 setWeight 5      blue 95% green 5%         the file's target is green
2026-11-21T10:00:06Z  3         2         ann     Progressing → Paused   green step 1/5 setWeight 5      blue 95% green 5%         paused (lunch)
2026-11-21T10:00:08Z  4         2         ann     Progressing            green step 1/5 setWeight 5      blue 95% green 5%         resumed
2026-11-21T10:00:10Z  5         2         engine  Progressing            green step 1/5 setWeight 5      blue 95% green 5%         goes on
2026-11-21T10:00:12Z  6         2         bob     Progressing            green step 2/5 setWeight 12.25  blue 87.75% green 12.25%  promoted past: a pause
2026-11-21T10:00:14Z  7         2         engine  Progressing → Paused   green step 3/5 pause            blue 87.75% green 12.25%  48/48 nodes have it after 1.8s
"
    );
    let (ran, requests) = ran(&["history", "checkout", "-o", "json"], vec![(200, history())]);
    assert_eq!(requests, ["GET /api/v1/rollouts/checkout/history?limit=100"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), history());
}

#[test]
fn why_tells_it_in_one_paragraph() {
    assert_eq!(
        printed(&["why", "checkout"], vec![json!(paused()), history()]),
        "checkout is Paused at step 3/5 (pause until promoted, blue 87.75% green 12.25%) since 10:00:20Z (6m ago): \
         paused until promoted: serin promote checkout. On the fleet: 47/48 nodes, slowest edge-17, 1.8s. Made so by \
         the engine at 10:00:14Z (6m ago): 48/48 nodes have it after 1.8s. Before that bob at 10:00:12Z (6m ago): \
         promoted past: a pause (48/48 nodes had what was asked before, after 900ms). Revision 2 was begun by an edit \
         of the file at 10:00:04Z (6m ago): the file's target is green. Commands in between: ann at 10:00:06Z (6m \
         ago): paused (lunch); ann at 10:00:08Z (6m ago): resumed.\n"
    );
}

#[test]
fn why_claims_no_more_than_it_knows() {
    let tell = |entries: &[EntryReport]| why::paragraph(&paused(), entries);
    assert!(tell(&[]).ends_with("On the fleet: 47/48 nodes, slowest edge-17, 1.8s."));
    // The beginning of the revision is out of reach.
    let text = tell(&entries()[2..]);
    assert!(!text.contains("was begun by"), "{text}");
    assert!(text.contains("Commands in between: ann at 10:00:06Z (6m ago): paused (lunch); "), "{text}");
    // The journal is ahead of the status.
    let ahead = entry(8, 3, "file", (Phase::Healthy, "x", 0.0), "later");
    assert!(!tell(&[entries(), vec![ahead]].concat()).contains("later"));
}
