use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::cli::tests::{Ran, directory, run};

const README: &str = include_str!("../../../README.md");

/// What the example says.
const RISK: [&str; 14] = [
    "--rps",
    "2000",
    "--baseline-error",
    "0.001",
    "--detect",
    "3x",
    "--prior",
    "0.1",
    "--cost-failed-request",
    "1",
    "--cost-minute",
    "1",
    "--rollback-cost",
    "10",
];

fn planned(flags: &[&str]) -> String {
    let ran = run(&[&["plan"], flags].concat());
    assert_eq!((ran.code, ran.err.as_str()), (ExitCode::SUCCESS, ""), "{flags:?}");
    ran.out
}

fn document(flags: &[&str]) -> serde_json::Value {
    serde_json::from_str(&planned(&[flags, &["-o", "json"]].concat())).unwrap()
}

#[track_caller]
fn close(value: &serde_json::Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() <= 5e-5 * expected, "{value} is not {expected}");
}

/// A canary of these steps, in a rollout that nothing else is wrong with.
fn rollout(name: &str, canary: &str) -> String {
    let canary: String = canary.lines().map(|line| ["      ", line, "\n"].concat()).collect();
    format!(
        "---\napiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  versions:\n    blue: \
         {{endpoints: ['10.0.0.1:80']}}\n    green: {{endpoints: ['10.0.0.2:80']}}\n  target: blue\n  strategy:\n    \
         canary:\n{canary}"
    )
}

fn with_file(text: &str, flags: &[&str]) -> Ran {
    let (_directory, file) = directory(text);
    run(&[&["plan"], &RISK[..], &["--file", &file], flags].concat())
}

#[test]
fn the_plan_beside_the_ladder_and_the_bang() {
    let document = document(&[&RISK[..], &["--steps", "5,10,20,50,100", "--hold", "1m"]].concat());
    let steps = serde_json::json!([{"setWeight": 5.0, "seconds": 60.0}, {"setWeight": 10.0, "seconds": 60.0}]);
    assert_eq!(document["plan"]["steps"], steps);
    close(&document["plan"]["cost"], 6.5168);
    close(&document["own"]["cost"], 7.734);
    close(&document["allAtOnce"]["cost"], 26.0);
    close(&document["allAtOnce"]["failedIfBad"], 240.0);
    close(&document["allAtOnce"]["failed"], 24.0);
    let five = &document["verdicts"][2];
    close(&five["weight"], 5.0);
    close(&five["failSeconds"], 55.75);
    close(&five["passRequests"], 9_762.8);
}

#[test]
fn what_the_readme_shows() {
    let commands: Vec<&str> = README.lines().filter_map(|line| line.strip_prefix("serin plan ")).collect();
    assert!(commands.len() >= 2, "{commands:?}");
    for command in commands {
        let out = planned(&command.split_whitespace().collect::<Vec<_>>());
        assert!(README.contains(&out), "serin plan {command}\n{out}");
    }
}

#[test]
fn little_traffic_is_told_so() {
    let out = planned(&["--rps", "20", "--baseline-error", "0.1%", "--steps", "5,10,20,50"]);
    assert!(out.contains("\nthe plan     -     11.6           1.16    3.16  100 %\n"), "{out}");
    assert!(out.contains("\n5 %     1h33m     5,575     "), "{out}");
    assert!(out.contains("\nA canary buys nothing here: "), "{out}");
    assert!(out.contains("\nAt 20 rps and 5 % detecting x3 takes 93 minutes: "), "{out}");
    assert!(out.contains("\nYour steps show 11 % of what it takes "), "{out}");
    let out = planned(&RISK);
    for absent in ["buys nothing", "too small", "Your steps"] {
        assert!(!out.contains(absent), "{out}");
    }
}

#[test]
fn the_steps_can_be_pasted() {
    for (flags, steps) in [
        (&RISK[..], "steps:\n- setWeight: 5\n- pause: {duration: 1m}\n- setWeight: 10\n- pause: {duration: 1m}\n"),
        (&["--rps", "20", "--baseline-error", "0.001"], "steps: []\n"),
        (
            &["--rps", "1e5", "--baseline-error", "0.001", "--levels", "0.25,1", "--period", "90s"],
            "steps:\n- setWeight: 0.25\n- pause: {duration: 90s}\n- setWeight: 1\n- pause: {duration: 90s}\n",
        ),
    ] {
        let yaml = planned(&[flags, &["-o", "yaml"]].concat());
        assert!(yaml.ends_with(steps), "{yaml}");
        let (_directory, file) = directory(&rollout("checkout", &yaml));
        let ran = run(&["check", &file]);
        assert_eq!((ran.code, ran.err.as_str()), (ExitCode::SUCCESS, "1 file checked: 0 errors, 0 warnings\n"));
    }
}

/// Read back, the plan costs what was said of it.
#[test]
fn steps_of_a_file() {
    let yaml = planned(&[&RISK[..], &["-o", "yaml"]].concat());
    let text = rollout("checkout", &yaml) + &rollout("cart", "stepWeights: [5, 10]\ninterval: 1m");
    for name in ["checkout", "cart"] {
        let ran = with_file(&text, &["--rollout", name, "-o", "json"]);
        let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(document["own"], document["plan"], "{}", ran.err);
        assert_eq!(document["notes"].as_array().map(Vec::len), Some(1), "{}", document["notes"]);
    }
    let ran = with_file(&text, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(2), ""));
    assert_eq!(ran.err, "serin: error: which of these rollouts? --rollout NAME says it: checkout, cart\n");
    let ran = with_file(&text, &["--rollout", "checkuot"]);
    assert!(ran.err.contains("--rollout: no rollout \"checkuot\" (did you mean"), "{}", ran.err);

    let open =
        "steps: [{setWeight: 5}, {pause: {}}, {setWeight: 10}, {pause: {duration: 60}}, {setWeight: 100}, {pause: {}}]";
    let ran = with_file(&rollout("checkout", open), &["--hold", "1h"]);
    assert!(ran.out.contains("  5 % for 1h, 10 % for 1m, 100 %\n"), "{}", ran.out);
    assert!(ran.out.contains("\nPauses until promoted and analyses of your steps are taken to last 1h: --hold.\n"));

    let ran = with_file(&rollout("checkout", "steps: [{setWeight: 101}]"), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(1), ""));
    assert!(ran.err.contains("a.yaml:12:") && ran.err.contains(": error: "), "{}", ran.err);
    let ran = with_file(&rollout("checkout", "").replace("canary:\n", "blueGreen: {}\n"), &[]);
    assert!(ran.err.contains("--file: checkout is no canary"), "{}", ran.err);
}

#[test]
fn room_for_each_step() {
    let flags = ["--rps", "1600", "--baseline-error", "0.1%", "--latency", "50ms", "--concurrency-per-endpoint", "8"];
    let out = planned(&flags);
    assert!(out.contains("\nWEIGHT  IN FLIGHT  ENDPOINTS\n") && out.contains("\n100 %   96.0       15\n"), "{out}");
    let out = planned(&[&flags[..], &["--endpoints", "12", "--peak-factor", "1"]].concat());
    let shut = "\n100 %   80.0       13         0.17 ms        shut: needs 97 slots = 13 endpoints, has 12 (96 slots): \
                probability of waiting 5.4 % > 5 %\n";
    assert!(out.contains(shut), "{out}");
    let ran = run(&["plan", "--rps", "9", "--baseline-error", "0.1", "--concurrency", "8"]);
    assert!(ran.err.contains("--concurrency: how many requests are in flight? "), "{}", ran.err);
}

#[test]
fn batches() {
    let twelve = ["--rolling", "--endpoints", "12", "--concurrency", "8", "--in-flight"];
    let out = planned(&[&twelve[..], &["60", "--max-wait-probability", "0.3"]].concat());
    assert!(out.starts_with("batches of 3, 3, 3, 3, if each comes back good; expected cost 6.21, "), "{out}");
    assert!(out.contains("\n4       8     50.7 %   no       -     -\n"), "{out}");
    let document = document(&[&twelve[..], &["60", "--max-wait-probability", "0.3"]].concat());
    close(&document["cost"], 6.212_586);
    close(&document["sizes"][0]["cost"], 12.6597);
    assert!(planned(&[&twelve[..], &["72"]].concat()).starts_with("batches of 1, 1, 1, "));
    for (flags, expected) in [
        (
            &["95"][..],
            "not one of the endpoints can be spared: with one out 100 % of requests would wait, at most 5 % may",
        ),
        (&["72", "-o", "yaml"], "-o yaml prints steps of a canary: --rolling has none"),
        (&["72", "--endpoints", "1001"], "--endpoints: at most 1000 with --rolling"),
        (&["72", "--concurrency", "1000000"], "--concurrency: times --endpoints at most 1000000 with --rolling"),
    ] {
        let base = ["--rolling", "--in-flight", flags[0]];
        let endpoints = if flags.contains(&"--endpoints") { &[][..] } else { &["--endpoints", "12"] };
        let concurrency = if flags.contains(&"--concurrency") { &[][..] } else { &["--concurrency", "8"] };
        let ran = run(&[&["plan"], &base[..], endpoints, concurrency, &flags[1..]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(2), ""));
        assert_eq!(ran.err, format!("serin: error: {expected}\n"));
    }
}

#[test]
fn bad_numbers_name_the_flag_and_the_range() {
    for (flag, values, range) in [
        ("--rps", &["0", "-1", "inf", "x", "1e10"][..], "requests per second above 0, up to 1000000000"),
        ("--baseline-error", &["0", "1", "100%", "NaN", ""], "a share above 0 and below 1"),
        ("--detect", &["1", "1x", "2e6", "x"], "a ratio above 1, up to 1000000"),
        ("--prior", &["0", "1"], "a share above 0 and below 1"),
        ("--cost-failed-request", &["-1", "inf"], "a cost from 0 to 1000000000000"),
        ("--cost-minute", &["0", "-1"], "a cost above 0, up to 1000000000000"),
        ("--allowed-increase", &["0.9", "NaN"], "a ratio from 1 to 1000000"),
        ("--levels", &["0", "101", "0.001", "1,,2", "a", "-1", "."], "a weight above 0, up to 100"),
        ("--steps", &["100.01", "5;10"], "a weight above 0, up to 100"),
        ("--period", &["0s", "1ms", "1500ms", "25h"], "whole seconds from 1s to 1d"),
        ("--hold", &["2y"], "at most 1y"),
        ("--latency", &["0s", "2d"], "a duration above 0, up to 1d"),
        ("--concurrency", &["0", "1000001"], "1..=1000000"),
        ("--max-utilization", &["0", "1.1"], "a share above 0, up to 1"),
        ("--peak-factor", &["0.5"], "a ratio from 1 to 1000000"),
        ("--in-flight", &["-1", "NaN"], "requests in flight from 0 to 1000000000"),
    ] {
        for value in values {
            let flag = format!("{flag}={value}");
            let said = Cli::try_parse_from(["serin", "plan", &flag]).unwrap_err().to_string();
            let name = flag.split('=').next().unwrap();
            assert!(said.contains(&format!("for '{name} <")) && said.contains(range), "{flag}: {said}");
        }
    }
}

#[test]
fn numbers_that_do_not_fit_together() {
    for (flags, expected) in [
        (&["--rps", "9", "--baseline-error", "0.5"][..], "--detect: 3 times 0.5 is more than all requests: at most 2"),
        (
            &["--rps", "9", "--baseline-error", "0.1", "--allowed-increase", "3"],
            "--detect: 3 must be above --allowed-increase, 3, up to which nothing is wrong",
        ),
        (
            &["--rps", "9", "--baseline-error", "0.1", "--allowed-increase", "2"],
            "--max-increase: 2 must be above --allowed-increase, 2",
        ),
        (
            &["--rps", "9", "--baseline-error", "0.1", "--max-rise", "30"],
            "--max-rise: 30 % is too little to get past 50 %: raise it, or give more --levels",
        ),
        (
            &["--rps", "0.001", "--baseline-error", "0.0001", "--cost-failed-request", "1e6"],
            "--rps: so little is learned in 1m that no plan can be worked out: the version must prove itself elsewhere",
        ),
    ] {
        let ran = run(&[&["plan"], flags].concat());
        assert_eq!(
            (ran.code, ran.out.as_str(), ran.err),
            (ExitCode::from(2), "", format!("serin: error: {expected}\n"))
        );
    }
}

/// The period that is proposed is one with which there is a plan.
#[test]
fn too_short_a_period() {
    let flags =
        ["plan", "--rps", "0.1", "--baseline-error", "0.0001", "--cost-failed-request", "1e6", "--levels", "0.01,1"];
    let ran = run(&flags);
    let (_, period) = ran.err.trim_end().split_once("raise --period to ").expect("a period");
    assert_eq!(run(&[&flags[..], &["--period", period]].concat()).code, ExitCode::SUCCESS, "{period}");
}
