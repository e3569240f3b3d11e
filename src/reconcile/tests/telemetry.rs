//! What proxies report, and what becomes of rollouts by it.

use super::rig::{Rig, document, green};
use super::*;
use crate::rollout::{Phase, Verb};
use crate::telemetry::{Body, Counts, Flush, Load, Metrics};

const BESIDE: &str =
    "{canary: {steps: [{setWeight: 10}, {pause: {}}], analysis: {templates: [{templateName: golden}]}}}";
const INLINE: &str = "{canary: {steps: [{setWeight: 10}, {analysis: {templates: [{templateName: golden}]}}, {setWeight: 50}, {pause: {}}]}}";
const GATE: &str = "  capacityGate: {concurrencyPerEndpoint: 10, peakFactor: 1}\n";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `checkout` and the template that it may name.
fn judged(target: &str, strategy: &str) -> String {
    format!(
        "{}---\napiVersion: serin.dev/v1\nkind: AnalysisTemplate\nmetadata: {{name: golden}}\nspec:\n  metrics:\n  - name: \
         errors\n    test: {{type: errorRatio, pass: {{maxIncrease: 2, maxRate: 0.01}}}}\n",
        document(target, strategy)
    )
}

impl Rig {
    /// A load report of a node about both versions, a second after what came before; each as requests and errors.
    fn report(&mut self, node: &str, green: (u64, u64), blue: (u64, u64)) {
        self.now += seconds(1);
        let load = |(requests, errors)| {
            let attempts = Counts { requests, errors };
            Load { attempts, endpoints: [("10.0.0.2:80".into(), attempts)].into(), ..Load::default() }
        };
        let clusters = [("checkout/green".into(), load(green)), ("checkout/blue".into(), load(blue))];
        self.input(Input::Telemetry(Report { node: node.into(), body: Body::Load(clusters.into()) }));
    }

    /// A flush of a node: requests in flight and healthy endpoints of each version.
    fn flush(&mut self, node: &str, green: (u64, u64), blue: (u64, u64)) {
        self.now += seconds(1);
        let metrics =
            |(active, healthy)| Metrics { active: Some(active), healthy: Some(healthy), ..Metrics::default() };
        let clusters = [("checkout/green".into(), metrics(green)), ("checkout/blue".into(), metrics(blue))];
        let counted = Arc::clone(&self.reconciler.counted);
        let flush = Flush { uptime: Some(self.now), counted, clusters: clusters.into() };
        self.input(Input::Telemetry(Report { node: node.into(), body: Body::Metrics(flush) }));
        // What they can carry is worked out with the next look.
        self.pass(seconds(1));
    }

    fn last(&self) -> &str {
        &self.disk.journal.last().expect("an entry").why
    }
}

#[test]
fn a_version_that_fails_goes_back_with_its_figures() {
    let mut rig = Rig::new(&judged("blue", BESIDE), 1);
    rig.edit(&judged("green", BESIDE));
    rig.settle_all();
    rig.report("n1", (100, 0), (900, 0));
    assert_eq!((rig.status().phase, green(&rig.world, "n1")), (Phase::Paused, 1_000), "one report proves nothing");
    rig.report("n1", (100, 5), (900, 1));
    assert_eq!((rig.status().phase, green(&rig.world, "n1")), (Phase::Degraded, 0));
    assert_eq!(
        rig.last(),
        "aborted: background analysis golden fails: errors: green 5 of 200 (2.50 %), blue 1 of 1,800 (0.056 %), ratio 45.0; \
         evidence 793 : 1, limit 100 : 1"
    );
}

#[test]
fn evidence_outlives_the_process_and_not_the_way() {
    let mut rig = Rig::new(&judged("blue", BESIDE), 1);
    rig.edit(&judged("green", BESIDE));
    rig.settle_all();
    rig.report("n1", (100, 2), (900, 0));
    rig.pass(seconds(6));
    rig.restart(seconds(30));
    rig.connect(1);
    rig.settle_all();
    assert_eq!(green(&rig.world, "n1"), 1_000);
    rig.report("n1", (100, 2), (900, 0));
    assert_eq!(green(&rig.world, "n1"), 0, "neither half is enough alone");
    assert!(rig.last().contains("green 4 of 200"), "{}", rig.last());

    rig.settle_all();
    rig.command(Verb::Retry).expect("retried");
    rig.settle_all();
    rig.report("n1", (100, 2), (900, 0));
    assert_eq!(green(&rig.world, "n1"), 1_000, "another way is judged anew");
}

#[test]
fn what_passes_goes_on_and_says_by_what() {
    let mut rig = Rig::new(&judged("blue", INLINE), 1);
    rig.edit(&judged("green", INLINE));
    rig.settle_all();
    for _ in 0..2 {
        assert_eq!(green(&rig.world, "n1"), 1_000);
        rig.report("n1", (200, 0), (1_800, 2));
    }
    assert_eq!(green(&rig.world, "n1"), 5_000);
    let passed = rig.disk.journal.iter().find(|entry| entry.why.contains("passes")).expect("an entry");
    assert!(passed.why.contains("analysis golden passes: errors: green 0 of 400 (0.00 %)"), "{}", passed.why);
}

#[test]
fn what_is_judged_in_a_step_and_beside_it_is_told_once() {
    let both = INLINE.replace("{pause: {}}]", "{pause: {}}], analysis: {templates: [{templateName: golden}]}");
    let mut rig = Rig::new(&judged("blue", &both), 1);
    rig.edit(&judged("green", &both));
    rig.settle_all();
    rig.report("n1", (200, 0), (1_800, 2));
    let status = rig.status();
    assert_eq!(status.message.matches("errors: green 0 of 200").count(), 1, "{}", status.message);
    assert_eq!(status.analysis, [""; 0]);
    rig.report("n1", (200, 0), (1_800, 2));
    rig.settle_all();
    let status = rig.status();
    assert_eq!(status.phase, Phase::Paused, "{}", status.message);
    let [beside] = status.analysis.as_slice() else { panic!("{:?}", status.analysis) };
    assert!(beside.starts_with("errors: green 0 of 400"), "the step is over, what is beside goes on: {beside}");
}

#[test]
fn the_split_is_seen_where_it_is_acknowledged() {
    let mut rig = Rig::new(&judged("blue", BESIDE), 2);
    rig.edit(&judged("green", BESIDE));
    rig.settle(1);
    rig.tell();
    rig.report("n1", (1, 0), (9, 0));
    rig.report("n1", (1, 0), (9, 0));
    assert_eq!(rig.status().seen, None, "one of two has not acknowledged it");
    rig.settle_all();
    rig.report("n1", (7, 0), (93, 0));
    assert_eq!(rig.status().seen, None, "the interval began before");
    rig.report("n1", (10, 0), (90, 0));
    rig.report("n2", (10, 0), (90, 0));
    rig.report("n2", (12, 0), (88, 0));
    let seen = rig.status().seen.expect("seen");
    assert_eq!((&*seen.version, seen.requests, seen.of, seen.warning), ("green", 22, 200, None));
    rig.report("n1", (0, 0), (900, 0));
    let warning = rig.status().seen.and_then(|seen| seen.warning).expect("a warning");
    assert!(warning.starts_with("asked 10 %, seen 2 % (22 of 1,100)"), "{warning}");
}

#[test]
fn nothing_rises_beyond_what_its_endpoints_carry() {
    let document = |target: &str| judged(target, BESIDE).replace("---\n", &format!("{GATE}---\n"));
    let mut rig = Rig::new(&document("blue"), 1);
    rig.edit(&document("green"));
    rig.settle_all();
    let message = rig.status().message;
    assert_eq!((rig.status().phase, green(&rig.world, "n1")), (Phase::Paused, 0));
    assert!(message.contains("waiting for capacity of green: no proxy reports how many"), "{message}");

    // 40 in flight: all of it needs more than the ten slots of one endpoint, a tenth does not.
    rig.flush("n1", (0, 1), (40, 8));
    rig.settle_all();
    assert_eq!(green(&rig.world, "n1"), 1_000, "{}", rig.status().message);
    rig.command(Verb::Promote).expect("promoted");
    let message = rig.status().message;
    assert!(
        message.contains("waiting for capacity of green: ") && message.contains("needs 52 slots = 6 endpoints, has 1"),
        "{message}"
    );
    rig.flush("n1", (4, 6), (36, 8));
    rig.settle_all();
    assert_eq!((rig.status().phase, green(&rig.world, "n1")), (Phase::Healthy, 10_000), "{}", rig.status().message);
}

#[test]
fn what_goes_back_goes_as_far_as_it_can_be_carried() {
    let document = |target: &str| judged(target, "{blueGreen: {}}").replace("---\n", &format!("{GATE}---\n"));
    let mut rig = Rig::new(&document("blue"), 1);
    rig.flush("n1", (0, 8), (40, 8));
    rig.edit(&document("green"));
    assert_eq!(green(&rig.world, "n1"), 10_000, "{}", rig.status().message);
    // Most of the stable version's endpoints are gone.
    rig.flush("n1", (40, 8), (0, 2));
    rig.command(Verb::Abort).expect("aborted");
    let left = green(&rig.world, "n1");
    assert!((1..10_000).contains(&left), "{left}: {}", rig.status().message);
    assert!(rig.status().message.contains("waiting for capacity of blue"), "{}", rig.status().message);
    rig.settle_all();
    rig.flush("n1", (20, 8), (20, 8));
    rig.settle_all();
    assert_eq!(green(&rig.world, "n1"), 0, "as many as carried everything before");
}

#[test]
fn a_version_without_healthy_endpoints_gets_no_more() {
    let mut rig = Rig::new(&judged("blue", INLINE), 1);
    rig.flush("n1", (0, 0), (5, 1));
    rig.edit(&judged("green", INLINE));
    rig.settle_all();
    let message = rig.status().message;
    assert_eq!(green(&rig.world, "n1"), 0);
    assert!(message.contains("no healthy endpoint on 1 of 1 nodes (n1)"), "{message}");
    rig.flush("n1", (0, 1), (5, 1));
    rig.settle_all();
    assert_eq!(green(&rig.world, "n1"), 1_000);
}

#[test]
fn one_node_that_sees_no_endpoint_holds_what_rises_and_not_what_goes_back() {
    let mut rig = Rig::new(&judged("blue", INLINE), 2);
    rig.flush("n1", (0, 1), (5, 1));
    rig.flush("n2", (0, 0), (5, 0));
    rig.edit(&judged("green", INLINE));
    rig.settle_all();
    assert_eq!(green(&rig.world, "n1"), 0);
    assert!(rig.status().message.contains("no healthy endpoint on 1 of 2 nodes (n2)"), "{}", rig.status().message);
    rig.flush("n2", (0, 1), (5, 0));
    rig.settle_all();
    assert_eq!(green(&rig.world, "n1"), 1_000);
    rig.command(Verb::Abort).expect("aborted");
    assert_eq!(green(&rig.world, "n1"), 0, "{}", rig.status().message);
}

#[test]
fn a_template_that_is_edited_midway_begins_anew_and_the_others_go_on() {
    let other = |text: String| text.replace("pass: {maxIncrease: 2, maxRate: 0.01}", "alpha: 0.02");
    let mut rig = Rig::new(&judged("blue", BESIDE), 1);
    rig.edit(&judged("green", BESIDE));
    rig.settle_all();
    rig.report("n1", (100, 2), (900, 0));
    rig.edit(&other(judged("green", BESIDE)));
    rig.report("n1", (100, 2), (900, 0));
    assert_eq!(green(&rig.world, "n1"), 1_000, "two errors are not enough for either question");
    rig.report("n1", (100, 3), (900, 0));
    assert_eq!(green(&rig.world, "n1"), 0);
}
