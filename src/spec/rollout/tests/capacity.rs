//! `spec.capacityGate`.

use super::{GOOD, good, refused, warned, with};
use crate::spec::CapacityGate;

fn rollout(gate: &str) -> String {
    with(4, &format!("spec:\n  capacityGate: {gate}"))
}

#[test]
fn a_gate_is_read_and_what_is_left_out_has_defaults() {
    assert_eq!(good(&GOOD.join("\n")).capacity_gate, None);
    let gate = CapacityGate {
        concurrency_per_endpoint: 8,
        max_wait_probability: 0.05,
        max_utilization: 0.85,
        peak_factor: 1.2,
    };
    assert_eq!(good(&rollout("{concurrencyPerEndpoint: 8}")).capacity_gate, Some(gate));
    let all = "{concurrencyPerEndpoint: 1, maxWaitProbability: 1, maxUtilization: 5e-1, peakFactor: 1}";
    let gate =
        CapacityGate { concurrency_per_endpoint: 1, max_wait_probability: 1.0, max_utilization: 0.5, peak_factor: 1.0 };
    assert_eq!(good(&rollout(all)).capacity_gate, Some(gate));
}

#[test]
fn a_gate_is_checked() {
    let share = "must be a number above 0, up to 1, found";
    let peak = "capacityGate.peakFactor must be a number from 1 to 100, found";
    for (text, expected) in [
        ("|8", "capacityGate must be a mapping, found 8".to_owned()),
        (
            "|{}",
            "capacityGate.concurrencyPerEndpoint is missing: it is how many requests one endpoint handles at a time \
             at full speed"
                .to_owned(),
        ),
        (
            "{concurrencyPerEndpoint: |0}",
            "capacityGate.concurrencyPerEndpoint must be a whole number from 1 up, found 0".to_owned(),
        ),
        ("{concurrencyPerEndpoint: 8, maxWaitProbability: |0}", format!("capacityGate.maxWaitProbability {share} 0")),
        (
            "{concurrencyPerEndpoint: 8, maxUtilization: |85}",
            format!("capacityGate.maxUtilization {share} 85 (85 % is written 0.85)"),
        ),
        (
            "{concurrencyPerEndpoint: 8, maxUtilization: |85%}",
            format!("capacityGate.maxUtilization {share} \"85%\" (85 % is written 0.85)"),
        ),
        ("{concurrencyPerEndpoint: 8, maxUtilization: |.nan}", format!("capacityGate.maxUtilization {share} .nan")),
        ("{concurrencyPerEndpoint: 8, peakFactor: |0.9}", format!("{peak} 0.9")),
        ("{concurrencyPerEndpoint: 8, peakFactor: |.inf}", format!("{peak} .inf")),
        (
            "{concurrencyPerEndpoint: 8, |maxUtilisation: 1}",
            "unknown key \"maxUtilisation\" in capacityGate (did you mean \"maxUtilization\"?)".to_owned(),
        ),
    ] {
        refused(&rollout(text), &expected);
    }
}

#[test]
fn weights_know_no_gate() {
    let text = with(6, "  |capacityGate: {concurrencyPerEndpoint: 8}\n  strategy: {weights: {blue: 100}}");
    warned(&text, "capacityGate has no effect beside the strategy weights: the file is the split");
}
