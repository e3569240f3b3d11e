mod blue_green;
mod canary;
mod capacity;
mod spec;
mod template;
mod webhook;
mod window;

use std::sync::Arc;

use super::*;
use crate::spec::{BlueGreen, FileSpec, Role, Split, document};

/// A good rollout of six lines, in which tests replace one.
const GOOD: [&str; 6] = [
    "apiVersion: serin.dev/v1",
    "kind: Rollout",
    "metadata: {name: shop}",
    "spec:",
    "  versions: {blue: {endpoints: ['10.0.0.1:80']}, green: {endpoints: ['s.local:80']}}",
    "  target: blue\n  strategy: {blueGreen: {}}",
];

/// The good rollout with line `line` (from 1) replaced.
fn with(line: usize, text: &str) -> String {
    let mut lines = GOOD;
    lines[line - 1] = text;
    lines.join("\n")
}

fn parse(text: &str) -> (FileSpec, Vec<String>) {
    let (file, diagnostics) = document::parse_file(&Arc::from("r"), text);
    (file, diagnostics.iter().map(|d| d.to_string().trim_start_matches("r:").to_owned()).collect())
}

fn good(text: &str) -> Arc<Rollout> {
    let (mut file, diagnostics) = parse(text);
    assert_eq!(diagnostics, [""; 0], "{text}");
    file.rollouts.remove(0)
}

/// Holds that `text` is refused for one mistake, at the place where `|` stands in it.
fn refused(text: &str, expected: &str) {
    let (text, place) = unmarked(text);
    let (file, diagnostics) = parse(&text);
    assert_eq!(diagnostics, [format!("{place}: error: {expected}")], "{text}");
    assert!(file.rollouts.is_empty());
}

/// The rollout in `text`, which is taken with one warning, at the place where `|` stands in it.
fn warned(text: &str, expected: &str) -> Arc<Rollout> {
    let (text, place) = unmarked(text);
    let (mut file, diagnostics) = parse(&text);
    assert_eq!(diagnostics, [format!("{place}: warning: {expected}")], "{text}");
    file.rollouts.remove(0)
}

/// `text` without its first `|`, and the line and column where that stands.
fn unmarked(text: &str) -> (String, String) {
    let (before, after) = text.split_once('|').expect("a marked place");
    let line = before.lines().count();
    let column = before.lines().last().map_or(0, |line| line.chars().count()) + 1;
    (format!("{before}{after}"), format!("{line}:{column}"))
}

fn endpoints(version: &Version) -> (String, Vec<String>) {
    let Backend::Endpoints { cluster, endpoints } = &version.backend else { panic!("{version:?}") };
    (serde_json::to_string(cluster).expect("json"), endpoints.iter().map(ToString::to_string).collect())
}

#[test]
fn a_good_rollout_is_read_whole() {
    let rollout = good(
        r"
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: checkout, labels: {team: shop}}
spec:
  nodes: {cluster: edge}
  cluster: {connect_timeout: 1s, lb_policy: RANDOM, circuit_breakers: {thresholds: [{max_retries: 3}]}}
  versions:
    green: {endpoints: ['10.0.1.1:80', '[::1]:80'], cluster: {lbPolicy: ROUND_ROBIN, circuit_breakers: {}}}
    blue: {endpoints: ['a.local:80']}
    1: {existingCluster: checkout-v1}
  target: 1
  strategy: {weights: {blue: 66.67, green: 33.330, 1: 0}}
",
    );
    assert_eq!((&*rollout.name, rollout.target.as_deref()), ("checkout", Some("1")));
    assert_eq!((rollout.origin.line, rollout.origin.column), (4, 18));
    assert!(!rollout.nodes.is_everything());
    let names: Vec<_> = rollout.versions.iter().map(|v| (&*v.name, &*v.cluster_name)).collect();
    assert_eq!(names, [("green", "checkout/green"), ("blue", "checkout/blue"), ("1", "checkout-v1")]);
    let split = [("green", 3333), ("blue", 6667), ("1", 0)].map(|(name, weight)| (Arc::from(name), weight));
    assert_eq!(rollout.strategy, Strategy::Weights(Split(split.to_vec())));

    let (green, addresses) = endpoints(&rollout.versions[0]);
    assert_eq!(green, r#"{"connectTimeout":"1s","circuitBreakers":{}}"#, "fields of the version win whole");
    assert_eq!(addresses, ["10.0.1.1:80", "[::1]:80"]);
    let (blue, _) = endpoints(&rollout.versions[1]);
    assert_eq!(
        blue,
        r#"{"connectTimeout":"1s","lbPolicy":"RANDOM","circuitBreakers":{"thresholds":[{"maxRetries":3}]}}"#
    );
    assert_eq!(rollout.versions[2].backend, Backend::Existing("checkout-v1".into()));
}

/// The page of the format, without what is refused.
#[test]
fn the_whole_vocabulary_is_read() {
    let text = r#"
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: checkout}
spec:
  nodes: {cluster: edge}
  cluster: {connect_timeout: 1s}
  versions:
    blue:  {endpoints: ["10.0.0.1:8080", "10.0.0.2:8080"]}
    green: {endpoints: ["10.0.1.1:8080"], cluster: {lb_policy: RANDOM}}
    old:   {existingCluster: checkout-v1}
  target: green
  strategy:
    canary:
      steps:
      - setHeaderRoute: {name: qa, match: [{headerName: x-canary, headerValue: {exact: "true"}}]}
      - setWeight: 0.5
      - pause: {duration: 10m}
      - setMirrorRoute: {name: shadow, percentage: 35}
      - analysis: {templates: [{templateName: golden}]}
      - setWeight: 50
      - pause: {}
      sessionAffinity: {cookie: {name: serin}}
      scaleDownDelaySeconds: 30
  convergence: {quorum: 100%, timeout: 30s, onTimeout: pause, onNack: abort, staleAfter: 60s, expectedNodes: 12,
                canaryNodes: {id: "edge-a-*"}}
  progressDeadlineSeconds: 600
  progressDeadlineAbort: true
  rollbackWindow: {revisions: 3}
  promotionWindows: [{kind: Deny, rrule: "FREQ=WEEKLY;BYDAY=SA,SU", start: 2026-01-03T00:00:00, duration: 24h,
                      timeZone: Europe/Berlin}]
  group: {name: shop, barrier: step}
  webhooks: [{name: smoke, type: pre-rollout, url: "http://127.0.0.1:9999/smoke", timeout: 10s, retries: 1,
              metadata: {team: shop}}]
---
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: cart}
spec:
  versions: {blue: {endpoints: ["10.0.0.1:80"]}, green: {endpoints: ["10.0.0.2:80"]}}
  target: green
  strategy:
    blueGreen:
      preview: {match: [{headerName: x-preview, headerValue: {exact: "1"}}]}
      autoPromotionEnabled: true
      autoPromotionSeconds: 300
      switchAt: 2026-12-01T02:00:00Z
      prePromotionAnalysis: {templates: [{templateName: golden}]}
      postPromotionAnalysis: {templates: [{templateName: golden}]}
      scaleDownDelaySeconds: 600
---
apiVersion: serin.dev/v1
kind: AnalysisTemplate
metadata: {name: golden}
spec:
  metrics:
  - name: success-rate
    thresholdRange: {min: 99}
    interval: 10s
    count: 6
    provider: {web: {url: "http://127.0.0.1:9000/rates", jsonPath: "{$.success}"}}
  - name: checkout-value
    interval: 1m
    initialDelay: 60s
    count: 10
    thresholdRange: {min: 0.95}
    failureLimit: 3
    inconclusiveLimit: 3
    consecutiveErrorLimit: 4
    consecutiveSuccessLimit: 4
    provider: {prometheus: {address: "http://127.0.0.1:9090", query: "sum(rate(x[1m]))"}}
"#;
    let (file, diagnostics) = parse(text);
    assert_eq!(diagnostics, [""; 0]);
    assert_eq!((file.rollouts.len(), file.templates.len()), (2, 1));
    let rollout = &file.rollouts[0];
    assert_eq!((rollout.webhooks.len(), rollout.promotion_windows.len()), (1, 1));
    assert_eq!(rollout.group.as_deref(), Some("shop"));
    let named = file.references.iter().filter(|reference| reference.role == Role::AnalysisTemplate);
    let named: Vec<_> = named.map(|reference| (&*reference.name, reference.position.line)).collect();
    assert_eq!(named, [("golden", 20), ("golden", 48), ("golden", 49)]);
}

#[test]
fn a_strategy_may_be_short() {
    assert_eq!(good(&GOOD.join("\n")).strategy, Strategy::BlueGreen(BlueGreen::default()));
    assert_eq!(
        good(&with(6, "  target: blue\n  strategy: {blueGreen: }")).strategy,
        Strategy::BlueGreen(BlueGreen::default())
    );
    let rollout = good(&with(6, "  strategy: {weights: {green: 100}}"));
    let split = [("blue", 0), ("green", 10_000)].map(|(name, weight)| (Arc::from(name), weight));
    assert_eq!((rollout.strategy.clone(), rollout.target.as_ref()), (Strategy::Weights(Split(split.to_vec())), None));
}

#[test]
fn names_are_checked() {
    let long = "x".repeat(254);
    for (line, text, expected) in [
        (1, "apiVersion: serin.dev/v2", "1:13: error: apiVersion must be serin.dev/v1, found \"serin.dev/v2\""),
        (1, "", "2:1: error: apiVersion is missing beside kind: Rollout (apiVersion: serin.dev/v1)"),
        (3, "", "1:1: error: metadata is missing: other documents know this one by its name"),
        (3, "metadata: {}", "3:11: error: metadata.name is missing: other documents know this one by it"),
        (3, "metadata: {name: ''}", "3:18: error: metadata.name is empty"),
        (3, "metadata: {name: [a]}", "3:18: error: metadata.name must be a name, found a list"),
        (
            3,
            "metadata: {name: a/b}",
            "3:18: error: metadata.name \"a/b\" must not contain a slash (clusters are named ROLLOUT/VERSION)",
        ),
        (
            3,
            &format!("metadata: {{name: {long}}}"),
            "3:18: error: metadata.name has 254 characters, 253 are allowed (names become names of files)",
        ),
        (3, "metadata: {nam: a}", "3:12: error: unknown key \"nam\" in metadata (did you mean \"name\"?)"),
    ] {
        let (file, diagnostics) = parse(&with(line, text));
        assert_eq!(diagnostics, [expected], "{text}");
        assert_eq!(file.rollouts.is_empty(), line == 3);
    }
}

#[test]
fn versions_are_checked() {
    for (versions, expected) in [
        ("{}", "5:13: error: a rollout moves traffic between two or more versions, found 0"),
        (
            "{blue: {endpoints: ['10.0.0.1:80']}}",
            "5:13: error: a rollout moves traffic between two or more versions, found 1",
        ),
        ("[blue, green]", "5:13: error: spec.versions must be a mapping, found a list"),
        (
            "{blue: {endpoints: ['10.0.0.1:80']}, a/b: {endpoints: ['10.0.0.1:80']}}",
            "5:50: error: the name of a version \"a/b\" must not contain a slash (clusters are named ROLLOUT/VERSION)",
        ),
        (
            "{blue: {endpoints: ['10.0.0.1:80'], existingCluster: x}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:14: error: version \"blue\" has both endpoints and existingCluster, expected one of them",
        ),
        (
            "{blue: {}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:14: error: version \"blue\" has neither endpoints nor existingCluster, expected one of them",
        ),
        (
            "{blue: , green: {endpoints: ['10.0.0.1:80']}}",
            "5:18: error: version \"blue\" must be a mapping, found nothing",
        ),
        (
            "{blue: {endpoint: []}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:21: error: unknown key \"endpoint\" in version \"blue\" (did you mean \"endpoints\"?)",
        ),
        (
            "{blue: {existingCluster: x, cluster: {}}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:41: error: cluster cannot stand beside existingCluster (write its fields where the existing cluster is \
             defined)",
        ),
        ("{blue: {existingCluster: ''}, green: {endpoints: ['10.0.0.1:80']}}", "5:38: error: existingCluster is empty"),
        (
            "{blue: {endpoints: '10.0.0.1:80'}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:32: error: endpoints must be a list, found \"10.0.0.1:80\"",
        ),
        (
            "{blue: {endpoints: ['10.0.0.1']}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:33: error: \"10.0.0.1\" has no port (expected \"IP:port\", \"[IPv6]:port\" or \"host:port\")",
        ),
        (
            "{blue: {endpoints: [8080]}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:33: error: expected \"IP:port\", \"[IPv6]:port\" or \"host:port\", found 8080",
        ),
        (
            "{blue: {endpoints: ['10.0.0.1:80', 'a.local:80']}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:48: error: \"a.local:80\" is a host name, but \"10.0.0.1:80\" is an IP: a version has one kind of \
             endpoints (IPs are sent as EDS, host names make the cluster STRICT_DNS)",
        ),
        (
            "{blue: {endpoints: ['10.0.0.1:80'], cluster: {loadAssignment: {}}}, green: {endpoints: ['10.0.0.1:80']}}",
            "5:59: error: load_assignment is set by serin (it is made of the version's endpoints)",
        ),
    ] {
        let (file, diagnostics) = parse(&with(5, &format!("  versions: {versions}")));
        assert_eq!(diagnostics, [expected], "{versions}");
        assert!(file.rollouts.is_empty());
    }
}

#[test]
fn a_version_with_nobody_behind_it_is_taken_with_a_warning() {
    let (file, diagnostics) =
        parse(&with(5, "  versions: {blue: {endpoints: []}, green: {endpoints: ['10.0.0.1:80']}}"));
    assert_eq!(diagnostics, ["5:32: warning: version \"blue\" has no endpoints: requests sent to it fail with 503"]);
    assert_eq!(file.rollouts.len(), 1);
}

#[test]
fn fields_that_follow_from_the_rollout_are_refused() {
    for (field, expected) in [
        ("name: a", "name is set by serin (the cluster of a version is named ROLLOUT/VERSION)"),
        ("type: EDS", "type is set by serin (it follows from the endpoints: EDS for IPs, STRICT_DNS for host names)"),
        (
            "cluster_type: {name: a}",
            "cluster_type is set by serin (it follows from the endpoints: EDS for IPs, STRICT_DNS for host names)",
        ),
        ("eds_cluster_config: {}", "eds_cluster_config is set by serin (endpoints given as IPs are sent over ADS)"),
        ("load_assignment: {}", "load_assignment is set by serin (it is made of the version's endpoints)"),
    ] {
        let (_, diagnostics) = parse(&with(4, &format!("spec:\n  cluster: {{{field}}}")));
        assert_eq!(diagnostics, [format!("5:13: error: {expected}")]);
    }
}

#[test]
fn target_and_strategy_are_checked() {
    for (rest, expected) in [
        (
            "strategy: {blueGreen: {}}",
            "5:3: error: spec.target is missing: it is the version that should carry the traffic",
        ),
        ("target: blue", "5:3: error: spec.strategy is missing: expected exactly one of canary, blueGreen, weights"),
        (
            "target: gren\n  strategy: {blueGreen: {}}",
            "6:11: error: \"gren\" is no version of this rollout (did you mean \"green\"?)",
        ),
        (
            "target: purple\n  strategy: {blueGreen: {}}",
            "6:11: error: \"purple\" is no version of this rollout (the versions are blue, green)",
        ),
        (
            "target: blue\n  strategy: {}",
            "7:13: error: spec.strategy needs exactly one of canary, blueGreen, weights, found none",
        ),
        (
            "target: blue\n  strategy: {blueGreen: {}, weights: {blue: 100}}",
            "7:13: error: spec.strategy needs exactly one of canary, blueGreen, weights, found blueGreen, weights",
        ),
        (
            "target: blue\n  strategy: {bluegren: {}}",
            "7:14: error: unknown key \"bluegren\" in spec.strategy (did you mean \"blueGreen\"?)",
        ),
        ("target: blue\n  strategy: weights", "7:13: error: spec.strategy must be a mapping, found \"weights\""),
        (
            "strategy: {canary: {}}",
            "5:3: error: spec.target is missing: it is the version that should carry the traffic",
        ),
        (
            "target: blue\n  strategy: {blueGreen: {previw: {}}}",
            "7:26: error: unknown key \"previw\" in blueGreen (did you mean \"preview\"?)",
        ),
        (
            "targte: blue\n  strategy: {blueGreen: {}}",
            "6:3: error: unknown key \"targte\" in spec (did you mean \"target\"?)",
        ),
    ] {
        let (file, diagnostics) = parse(&with(6, &format!("  {rest}")));
        assert_eq!(diagnostics, [expected], "{rest}");
        assert!(file.rollouts.is_empty());
    }
}

#[test]
fn weights_are_checked() {
    for (weights, expected) in [
        ("{blue: 90}", "6:23: error: weights add up to 90, not to 100"),
        ("{}", "6:23: error: weights add up to 0, not to 100"),
        ("{blue: 90.5, green: 9.55}", "6:23: error: weights add up to 100.05, not to 100"),
        ("{blue: 60, green: 60}", "6:23: error: weights add up to 120, not to 100"),
        ("{blue: -1, green: 100}", "6:30: error: a weight cannot be negative, found -1"),
        ("{blue: 99.995, green: 1}", "6:30: error: a weight has at most two decimals, found 99.995"),
        ("{blue: 101}", "6:30: error: a weight cannot be above 100, found 101"),
        ("{blue: 99999999999999999999}", "6:30: error: a weight cannot be above 100, found 99999999999999999999"),
        ("{blue: '100'}", "6:30: error: a weight is a percentage such as 12.5, found \"100\""),
        ("{blue: 100%}", "6:30: error: a weight is a percentage such as 12.5, found \"100%\""),
        ("{blue: 1e2}", "6:30: error: a weight is a percentage such as 12.5, found 1e2"),
        ("{blue: .inf}", "6:30: error: a weight is a percentage such as 12.5, found .inf"),
        ("{bleu: 100}", "6:24: error: \"bleu\" is no version of this rollout (did you mean \"blue\"?)"),
        ("[100]", "6:23: error: weights must be a mapping, found a list"),
    ] {
        let (file, diagnostics) = parse(&with(6, &format!("  strategy: {{weights: {weights}}}")));
        assert_eq!(diagnostics, [expected], "{weights}");
        assert!(file.rollouts.is_empty());
    }
}

#[test]
fn an_unknown_key_is_told_with_the_nearest() {
    let (_, diagnostics) = parse(&with(4, "spec:\n  convergance: 1"));
    assert_eq!(diagnostics, ["5:3: error: unknown key \"convergance\" in spec (did you mean \"convergence\"?)"]);
}

#[test]
fn every_mistake_is_told_and_only_once() {
    let text = "
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: a/b}
spec:
  nodes: {id: '['}
  versions:
    blue: {endpoints: [x]}
    green: {endpont: []}
  target: red
  strategy: {weights: {blue: x}}
";
    let places: Vec<_> =
        parse(text).1.iter().map(|d| d.split(" error").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(places, ["4:18:", "6:15:", "8:24:", "9:13:", "10:11:", "11:30:"]);
}
