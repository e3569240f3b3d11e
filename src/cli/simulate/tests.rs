use std::cell::RefCell;
use std::process::ExitCode;

use clap::Parser;

use super::*;
use crate::cli::tests::{Ran, directory, run};
use crate::cli::{Cli, Command};

/// A rollout of two versions that stands on blue.
fn rollout(name: &str, strategy: &str) -> String {
    format!(
        "---\napiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  versions:\n    blue: \
         {{endpoints: ['10.0.0.1:80']}}\n    green: {{endpoints: ['10.0.0.2:80']}}\n  target: blue\n  strategy: {strategy}\n"
    )
}

fn canary() -> String {
    let steps = "[{setWeight: 10}, {pause: {duration: 10m}}, {setWeight: 50}, {pause: {}}]";
    rollout("checkout", &format!("{{canary: {{steps: {steps}}}}}"))
}

fn simulated(text: &str, flags: &[&str]) -> Ran {
    let (_directory, file) = directory(text);
    run(&[&["simulate", &file], flags].concat())
}

fn table(text: &str, flags: &[&str]) -> String {
    let ran = simulated(text, &[flags, &["--edit", "target=green"]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (ExitCode::SUCCESS, ""));
    ran.out
}

/// Its exit code and what it writes where errors go.
fn refused(text: &str, flags: &[&str]) -> (ExitCode, String) {
    let ran = simulated(text, flags);
    assert_eq!(ran.out, "");
    (ran.code, ran.err)
}

#[test]
fn a_canary_with_pauses() {
    assert_eq!(
        table(&canary(), &[]),
        "\
TIME    PHASE        STEP                                 WEIGHTS           WHAT
+0s     Progressing  green step 1/4 setWeight 10          blue 90 green 10  the file's target is green
+1s     Paused       green step 2/4 pause 10m             blue 90 green 10  10/10 nodes have it after 1s
+10m1s  Progressing  green step 3/4 setWeight 50          blue 50 green 50  the pause of 10m is over
+10m2s  Paused       green step 4/4 pause until promoted  blue 50 green 50  10/10 nodes have it after 1s
ends Paused at +10m2s: paused until promoted: serin promote checkout; --promote goes past
"
    );
    assert_eq!(
        table(&canary(), &["--promote", "--nodes", "50", "--latency", "1500ms"]),
        "\
TIME      PHASE        STEP                                 WEIGHTS           WHAT
+0s       Progressing  green step 1/4 setWeight 10          blue 90 green 10  the file's target is green
+1.5s     Paused       green step 2/4 pause 10m             blue 90 green 10  50/50 nodes have it after 1.5s
+10m1.5s  Progressing  green step 3/4 setWeight 50          blue 50 green 50  the pause of 10m is over
+10m3s    Paused       green step 4/4 pause until promoted  blue 50 green 50  50/50 nodes have it after 1.5s
+10m3s    Progressing  all to green                         blue 0 green 100  promoted past: pause until promoted
+10m4.5s  Healthy      green stable                         blue 0 green 100  50/50 nodes have it after 1.5s
ends Healthy at +10m4.5s: green carries all traffic
"
    );
}

#[test]
fn a_rejection_aborts() {
    assert_eq!(
        table(&canary(), &["--nack", "edge-3@3", "--nodes", "50"]),
        "\
TIME    PHASE        STEP                         WEIGHTS           WHAT
+0s     Progressing  green step 1/4 setWeight 10  blue 90 green 10  the file's target is green
+1s     Paused       green step 2/4 pause 10m     blue 90 green 10  50/50 nodes have it after 1s
+10m1s  Progressing  green step 3/4 setWeight 50  blue 50 green 50  the pause of 10m is over
+10m2s  Degraded     green aborted                blue 100 green 0  aborted: edge-3 rejected RDS: simulated rejection
+10m3s  Degraded     green aborted, all on blue   blue 100 green 0  50/50 nodes have it after 1s
ends Degraded at +10m3s: aborted: edge-3 rejected RDS: simulated rejection; all traffic on blue: 50/50 nodes have it after 1s; the file still names green: serin retry checkout, or edit target
"
    );
    let ran = simulated(&canary(), &["--edit", "target=green", "--nack", "edge-3@2"]);
    assert_eq!(ran.code, ExitCode::SUCCESS);
    assert_eq!(ran.err, "serin: --nack edge-3@2 rejects nothing: step 2 is not reached or changes no traffic\n");
}

#[test]
fn blue_green_by_itself_and_at_an_instant() {
    let timed = rollout("shop", "{blueGreen: {autoPromotionSeconds: 300}}");
    assert_eq!(
        table(&timed, &[]),
        "\
TIME   PHASE        STEP           WEIGHTS           WHAT
+0s    Paused       green preview  blue 100 green 0  the file's target is green
+5m    Progressing  all to green   blue 0 green 100  switch: autoPromotionSeconds is over: 5m
+5m1s  Healthy      green stable   blue 0 green 100  10/10 nodes have it after 1s
ends Healthy at +5m1s: green carries all traffic
"
    );
    let dated = rollout("shop", "{blueGreen: {switchAt: '2026-12-01T02:00:00Z'}}");
    assert_eq!(
        table(&dated, &["--start", "2026-11-30T00:00:00Z"]),
        "\
TIME     PHASE        STEP           WEIGHTS           WHAT
+0s      Paused       green preview  blue 100 green 0  the file's target is green
+1d2h    Progressing  all to green   blue 0 green 100  switch: switchAt is reached
+1d2h1s  Healthy      green stable   blue 0 green 100  10/10 nodes have it after 1s
ends Healthy at +1d2h1s: green carries all traffic
"
    );
}

/// For 601 s green has 10 % of 100 requests a second, which is 6,010, and blue 54,090; then for 1 s 50 of each: 6,060
/// and 54,140. 2 % of the former are 121.2, 1 % of the latter are 541.4, together 662.6 of 60,200. On blue alone 1 % of
/// all would fail: 602.
#[test]
fn requests_and_failures_are_expected_values() {
    let flags = ["--rps", "100", "--error-rate", "green=0.02", "--error-rate", "blue=0.01"];
    assert_eq!(
        table(&canary(), &flags),
        "\
TIME    PHASE        STEP                                 WEIGHTS           REQUESTS                 FAILED              WHAT
+0s     Progressing  green step 1/4 setWeight 10          blue 90 green 10  blue 0 green 0           blue 0 green 0      the file's target is green
+1s     Paused       green step 2/4 pause 10m             blue 90 green 10  blue 90 green 10         blue 1 green 0      10/10 nodes have it after 1s
+10m1s  Progressing  green step 3/4 setWeight 50          blue 50 green 50  blue 54,090 green 6,010  blue 541 green 120  the pause of 10m is over
+10m2s  Paused       green step 4/4 pause until promoted  blue 50 green 50  blue 54,140 green 6,060  blue 541 green 121  10/10 nodes have it after 1s
ends Paused at +10m2s: paused until promoted: serin promote checkout; --promote goes past; of 60,200 requests 663 would fail: 61 more than without the rollout
"
    );
    let better = table(&canary(), &["--rps", "100", "--error-rate", "blue=0.01"]);
    assert!(better.ends_with("; of 60,200 requests 541 would fail: 61 fewer than without the rollout\n"), "{better}");
    let same = table(&canary(), &["--rps", "100"]);
    assert!(same.ends_with("; of 60,200 requests 0 would fail: as many as without the rollout\n"), "{same}");
}

#[test]
fn json_has_the_same_figures() {
    let out = table(&canary(), &["-o", "json", "--rps", "100", "--error-rate", "green=0.02"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let rows = document["rows"].as_array().unwrap();
    assert_eq!(
        (&document["rollout"], &document["from"], &document["to"]),
        (&"checkout".into(), &"blue".into(), &"green".into())
    );
    assert_eq!(rows.len(), 4);
    assert_eq!(
        rows[2],
        serde_json::json!({
            "atMs": 601_000,
            "phase": "Progressing",
            "step": "green step 3/4 setWeight 50",
            "weights": [{"version": "blue", "weight": 50.0}, {"version": "green", "weight": 50.0}],
            "what": "the pause of 10m is over",
            "traffic": [
                {"version": "blue", "requests": 54_090, "failed": 0},
                {"version": "green", "requests": 6_010, "failed": 120},
            ],
        })
    );
    assert_eq!(
        document["end"],
        serde_json::json!({
            "atMs": 602_000,
            "phase": "Paused",
            "message": "paused until promoted: serin promote checkout",
            "promotable": true,
            "traffic": [
                {"version": "blue", "requests": 54_140, "failed": 0},
                {"version": "green", "requests": 6_060, "failed": 121},
            ],
            "failedWithout": 0,
        })
    );
    let plain = table(&canary(), &["-o", "json"]);
    assert!(!plain.contains("traffic") && !plain.contains("failed"), "{plain}");
}

#[test]
fn the_first_other_version_is_the_edit_where_none_is_given() {
    let ran = simulated(&canary().replace("target: blue", "target: green"), &["--promote"]);
    assert_eq!(ran.err, "serin: no --edit: simulates target=blue, the first version that is not the target\n");
    assert!(ran.out.ends_with(": blue carries all traffic\n"), "{}", ran.out);
}

#[test]
fn what_cannot_be_simulated_is_refused_with_words() {
    let wrong = ExitCode::from(2);
    let text = canary();
    let both = canary() + &rollout("cart", "{blueGreen: {}}");
    let many: String = (0..14).map(|index| rollout(&format!("r{index:02}"), "{blueGreen: {}}")).collect();
    let weights = rollout("shop", "{weights: {blue: 90, green: 10}}");
    let edge = "resources: []\n".to_owned();
    for (text, flags, words) in [
        (&text, &["--edit", "target=gren"][..], "--edit: checkout has no version \"gren\" (did you mean \"green\"?)"),
        (&text, &["--edit", "target=x"], "--edit: checkout has no version \"x\" (there are blue, green)"),
        (&text, &["--edit", "target=blue"], "--edit: blue is the target already: nothing would happen"),
        (
            &text,
            &["--rps", "1", "--error-rate", "greeen=1"],
            "--error-rate: checkout has no version \"greeen\" (did you mean \"green\"?)",
        ),
        (&text, &["--hook", "smoke=no"], "--hook: it has no hook \"smoke\" (there is none)"),
        (&text, &["--analysis", "golden=no"], "--analysis: it has no analysis of \"golden\" (there is none)"),
        (&text, &["--rollout", "chekout"], "--rollout: no rollout \"chekout\" (did you mean \"checkout\"?)"),
        (&both, &[], "which of these rollouts? --rollout NAME says it: checkout, cart"),
        (
            &many,
            &[],
            "which of these rollouts? --rollout NAME says it: r00, r01, r02, r03, r04, r05, r06, r07, r08, r09, r10, \
             r11 and 2 more",
        ),
        (&weights, &[], "the strategy of shop is weights: no engine moves it, the file is the split"),
        (&edge, &[], "no Rollout in these files"),
        (
            &text,
            &["--nodes", "2", "--silent", "2", "--nack", "a@1"],
            "--silent and --nack take more proxies than the 2 there are: raise --nodes",
        ),
    ] {
        assert_eq!(refused(text, flags), (wrong, format!("serin: error: {words}\n")), "{flags:?}");
    }
    let (code, err) = refused(&text, &["-o", "json", "--speed", "60x", "--edit", "target=green"]);
    assert_eq!(
        (code, err.as_str()),
        (wrong, "serin: error: --speed is for people: -o json prints one document at once\n")
    );
    let (code, err) = refused(&text.replace("target: blue", "target: bleu"), &[]);
    assert_eq!(code, ExitCode::from(1));
    assert!(err.contains("a.yaml:9:11: error: "), "{err}");
    let chosen = simulated(&both, &["--rollout", "cart", "--edit", "target=green"]);
    assert_eq!((chosen.code, chosen.err.as_str()), (ExitCode::SUCCESS, ""));
}

#[test]
fn flags_say_what_they_expect() {
    for (flags, words) in [
        (&["--edit", "steps=2"][..], "expected target=VERSION"),
        (&["--rps", "-1"], "unexpected argument"),
        (&["--rps", "inf"], "expected requests per second"),
        (&["--rps", "1", "--error-rate", "green=2"], "0.02 is 2 %"),
        (&["--rps", "1", "--error-rate", "green"], "expected VERSION=SHARE"),
        (&["--error-rate", "green=0.5"], "--rps <RPS>"),
        (&["--nack", "edge-3"], "expected NODE@STEP"),
        (&["--nack", "edge-3@0"], "expected NODE@STEP"),
        (&["--hook", "smoke"], "expected NAME=yes or NAME=no"),
        (&["--analysis", "golden=maybe"], "expected NAME=yes or NAME=no"),
        (&["--latency", "2d"], "at most 1d"),
        (&["--speed", "0"], "expected max or a factor"),
        (&["--start", "tomorrow"], "invalid value"),
    ] {
        let error = Cli::try_parse_from([&["serin", "simulate", "x"], flags].concat()).unwrap_err().to_string();
        assert!(error.contains(words), "{flags:?}: {error}");
    }
}

#[test]
fn played_it_waits_before_each_row_and_shows_it() {
    /// What was written before each wait that was asked for.
    struct Screen<'a>(&'a RefCell<Vec<u8>>);
    impl Write for Screen<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (_directory, file) = directory(&canary());
    for (speed, factor) in [("60x", 60), ("0.5", 0)] {
        let line = ["serin", "simulate", &file, "--edit", "target=green", "--speed", speed];
        let Command::Simulate(args) = Cli::try_parse_from(line).unwrap().command else { unreachable!() };
        let written = RefCell::new(Vec::new());
        let mut waits = Vec::new();
        let mut sleep = |time: Duration| {
            let lines = String::from_utf8(written.borrow().clone()).unwrap().lines().count();
            waits.push((lines, time));
        };
        play(&args, &mut Screen(&written), &mut Vec::new(), &mut sleep).unwrap();
        let seconds = |seconds: u64| match factor {
            0 => Duration::from_secs(seconds * 2),
            factor => Duration::from_secs_f64(Duration::from_secs(seconds).as_secs_f64() / f64::from(factor)),
        };
        let expected = [(0, 0), (1, 0), (2, 1), (3, 600), (4, 1), (5, 0)];
        assert_eq!(waits, expected.map(|(lines, time)| (lines, seconds(time))), "{speed}");
    }
}

/// The README's file, and under its command what that prints.
#[test]
fn the_readme_shows_what_is_printed() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("cat > config/shop.yaml <<'END'\n").expect("a file");
    let (text, rest) = rest.split_once("END\nserin check config\nserin simulate config ").expect("a command");
    let (flags, rest) = rest.split_once('\n').expect("flags");
    let (_, rest) = rest.split_once("\n```\n2 files checked: 0 errors, 0 warnings\n").expect("the output");
    let (output, _) = rest.split_once("```\n").expect("its end");
    let ran = simulated(text, &flags.split(' ').collect::<Vec<_>>());
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (ExitCode::SUCCESS, output, ""));
}
