//! What a version can carry: the formulas of Erlang, and the gate that a rise of its weight has to pass.
//!
//! Offered load is in erlangs, which is the mean number of requests in flight (Little's law); a server is a slot: one
//! request that an endpoint handles at a time at full speed.
//!
//! Erlang B is the probability that a request finds every slot taken where none may wait (a circuit breaker), whatever
//! the service times. Erlang C is the probability that it has to wait where all wait in one queue, and service times are
//! exponential. Endpoints with queues of their own do worse: take it for a lower bound, which is why the gate limits
//! utilisation beside it.
//!
//! A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic telephone
//! exchanges", 1917. The work is bounded: some hundred thousand steps for one probability, and usually twelve times the
//! square root of the load. Above [`MAX_SLOTS`] slots and load are scaled down alike, which errs on the side of waiting:
//! at the same utilisation the smaller of two systems waits more (D. R. Smith and W. Whitt, "Resource sharing for
//! efficiency in traffic systems", 1981).

use std::fmt;

use super::evidence::float;
use super::figures::whole;
use crate::spec::{CapacityGate, TOTAL_WEIGHT};

/// Slots that are reckoned with; more are scaled down to these.
pub const MAX_SLOTS: u32 = 1_000_000;

/// Terms that are smaller than the sum by this factor come to less than a rounding, even all that are left together.
const NEGLIGIBLE: f64 = 1e-20;

/// Halvings of an interval until its ends are neighbours among the floating-point numbers, or nearly.
const HALVINGS: usize = 60;

/// Erlang B: the probability, 0 to 1, that a request finds all `slots` taken. `load` is in erlangs, 0 or more.
///
/// By its reciprocal, 1 + n/a + n(n-1)/a² + ..., which has only positive terms: they rise while more slots are left than
/// there is load, and then fall ever faster.
#[must_use]
pub fn blocking(slots: u64, load: f64) -> f64 {
    let (slots, load) = scaled(slots, load);
    let (mut term, mut sum) = (1.0, 1.0);
    for left in (1..=slots).rev() {
        term *= servers(left) / load;
        sum += term;
        // Once it overflows, the probability is less than the smallest number.
        if !f64::is_finite(sum) || term < sum * NEGLIGIBLE {
            break;
        }
    }
    sum.recip()
}

/// Erlang C: the probability, 0 to 1, that a request has to wait for one of `slots`. `load` is in erlangs, 0 or more;
/// with a load of all slots or more every request waits in the end.
#[must_use]
pub fn waiting(slots: u64, load: f64) -> f64 {
    let (slots, load) = scaled(slots, load);
    // A load that is no number is one that nobody can carry.
    if load < servers(slots) { waiting_from(slots, load, blocking(slots as u64, load)) } else { 1.0 }
}

/// Mean wait of all requests, in mean service times; infinite where the load is all slots or more.
#[must_use]
pub fn mean_wait(slots: u64, load: f64) -> f64 {
    let spare = float(slots) - load;
    if spare > 0.0 { waiting(slots, load) / spare } else { f64::INFINITY }
}

/// The probability, 0 to 1, that a request waits for longer than `time`, in mean service times, 0 or more.
#[must_use]
pub fn waiting_longer(slots: u64, load: f64, time: f64) -> f64 {
    let spare = float(slots) - load;
    if spare > 0.0 { waiting(slots, load) * (-spare * time).exp() } else { 1.0 }
}

/// The fewest slots with which the probability of waiting is `limit` (0 to 1) or less, for a load in erlangs, 0 or more.
/// At least 1, and [`u64::MAX`] where no number is enough.
#[must_use]
pub fn slots_for(load: f64, limit: f64) -> u64 {
    if !load.is_finite() {
        return u64::MAX;
    }
    let enough = |slots: u64| load < float(slots) && waiting(slots, load) <= limit;
    // What is needed above the load is some square roots of it (S. Halfin and W. Whitt, 1981).
    let (mut few, mut step) = (load.floor(), load.sqrt().ceil().max(1.0));
    while !enough(whole(few + step)) {
        if whole(few + step) == u64::MAX {
            return u64::MAX;
        }
        (few, step) = (few + step, step * 2.0);
    }
    let (mut few, mut many) = (whole(few), whole(few + step));
    while many - few > 1 {
        let middle = few.midpoint(many);
        if enough(middle) { many = middle } else { few = middle }
    }
    many
}

/// The largest load in erlangs that `slots` can carry with a probability of blocking of `limit` (above 0, below 1) or
/// less.
#[must_use]
pub fn load_blocking(slots: u64, limit: f64) -> f64 {
    // What is carried is never more than the slots: load * (1 - limit) <= slots.
    largest(float(slots) / (1.0 - limit), |load| blocking(slots, load) <= limit)
}

/// The largest load in erlangs that `slots` can carry with a probability of waiting of `limit` (above 0, below 1) or less.
#[must_use]
pub fn load_waiting(slots: u64, limit: f64) -> f64 {
    largest(float(slots), |load| waiting(slots, load) <= limit)
}

/// [`waiting`] for `step`, twice `step`, ... `count` times `step` slots, in one go. No more than [`MAX_SLOTS`] are
/// reckoned with: above that it is what so many give.
#[must_use]
pub fn waiting_each(step: u32, count: u32, load: f64) -> Vec<f64> {
    let most = u64::from(step) * u64::from(count);
    let most = usize::try_from(most.min(u64::from(MAX_SLOTS))).unwrap_or(usize::MAX);
    let blocking: Vec<f64> = Recurrence::new(load).take(most + 1).collect();
    let at = |multiple: u32| {
        let slots = most.min(step as usize * multiple as usize);
        if load < servers(slots) { waiting_from(slots, load, blocking[slots]) } else { 1.0 }
    };
    (1..=count).map(at).collect()
}

/// Erlang B for 0, 1, 2, ... slots, without end. Never by factorials: they overflow from 171 up.
struct Recurrence {
    load: f64,
    slots: f64,
    blocking: f64,
}

impl Recurrence {
    fn new(load: f64) -> Self {
        Self { load, slots: 0.0, blocking: 1.0 }
    }
}

impl Iterator for Recurrence {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let blocking = self.blocking;
        self.slots += 1.0;
        let offered = self.load * blocking;
        self.blocking = offered / (self.slots + offered);
        Some(blocking)
    }
}

/// Erlang C from Erlang B, where `load` is less than `slots`.
fn waiting_from(slots: usize, load: f64, blocking: f64) -> f64 {
    let slots = servers(slots);
    slots * blocking / (slots - load * (1.0 - blocking))
}

/// As much of both as is reckoned with.
fn scaled(slots: u64, load: f64) -> (usize, f64) {
    let most = MAX_SLOTS as usize;
    match usize::try_from(slots) {
        Ok(slots) if slots <= most => (slots, load),
        _ => (most, load * f64::from(MAX_SLOTS) / float(slots)),
    }
}

/// The largest number from 0 to `most` for which `holds`, which must not hold again above one for which it does not.
fn largest(most: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, most);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}

fn servers(slots: usize) -> f64 {
    float(slots as u64)
}

/// Whether a version can carry a share of the load, and by what figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// Whether the gate is open.
    pub open: bool,
    /// What the version would get, at the peak, in erlangs.
    pub load: f64,
    /// Its healthy endpoints.
    pub healthy: u64,
    /// What they handle at a time at full speed.
    pub slots: u64,
    /// The probability, 0 to 1, that a request has to wait.
    pub wait_probability: f64,
    /// Load by slots; more than 1 where it is more than they can handle, infinite where there is none.
    pub utilization: f64,
    /// The fewest slots with which the gate opens.
    pub needed_slots: u64,
    /// The fewest endpoints that have them; at least 1.
    pub needed_endpoints: u64,
    gate: CapacityGate,
}

/// Whether the `healthy` endpoints of a version can carry `share` (0 to 1) of the requests that are `in_flight` now to all
/// versions together.
///
/// Without load the gate is open as soon as one endpoint is healthy. Without a healthy endpoint it is shut whatever the
/// load: Envoy obeys the weight of a cluster that has none. An `in_flight` that is no number is one that no version can
/// carry.
#[must_use]
pub fn check(gate: &CapacityGate, in_flight: f64, share: f64, healthy: u64) -> Room {
    let load = load(gate, in_flight, share);
    let slots = slots(gate, healthy);
    let needed_slots = needed(gate, load);
    let wait_probability = if slots == 0 { 1.0 } else { waiting(slots, load) };
    Room {
        open: holds(gate, slots, load),
        load,
        healthy,
        slots,
        wait_probability,
        utilization: if slots == 0 { f64::INFINITY } else { load / float(slots) },
        needed_slots,
        needed_endpoints: needed_slots.div_ceil(gate.concurrency_per_endpoint.max(1).into()).max(1),
        gate: *gate,
    }
}

/// The largest share of the requests that are `in_flight` now to all versions together that the `healthy` endpoints of a
/// version can carry, in parts of [`TOTAL_WEIGHT`].
#[must_use]
pub fn most(gate: &CapacityGate, in_flight: f64, healthy: u64) -> u32 {
    let slots = slots(gate, healthy);
    let carries = |parts: u32| holds(gate, slots, load(gate, in_flight, f64::from(parts) / f64::from(TOTAL_WEIGHT)));
    let (mut low, mut high) = (0, TOTAL_WEIGHT);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if carries(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

/// In erlangs, at the peak.
fn load(gate: &CapacityGate, in_flight: f64, share: f64) -> f64 {
    let load = in_flight * share * gate.peak_factor;
    if load.is_nan() { f64::INFINITY } else { load.max(0.0) }
}

fn slots(gate: &CapacityGate, healthy: u64) -> u64 {
    healthy.saturating_mul(gate.concurrency_per_endpoint.into())
}

fn holds(gate: &CapacityGate, slots: u64, load: f64) -> bool {
    slots > 0 && load / float(slots) <= gate.max_utilization && waiting(slots, load) <= gate.max_wait_probability
}

/// The fewest slots that hold.
fn needed(gate: &CapacityGate, load: f64) -> u64 {
    if load.is_infinite() {
        return u64::MAX;
    }
    // Dividing by the one or by the other may differ by a rounding.
    let about = whole((load / gate.max_utilization).ceil());
    let near = about.saturating_sub(1).max(1)..=about.saturating_add(1);
    let busy = near.into_iter().find(|slots| load / float(*slots) <= gate.max_utilization).unwrap_or(about);
    slots_for(load, gate.max_wait_probability).max(busy)
}

impl Room {
    /// How many endpoints are missing; 0 where the gate is open.
    #[must_use]
    pub fn missing(&self) -> u64 {
        if self.open { 0 } else { self.needed_endpoints.saturating_sub(self.healthy) }
    }
}

/// `needs 97 slots = 13 endpoints, has 12 (96 slots): probability of waiting 5.4 % > 5 %`
impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { healthy, slots, needed_slots, needed_endpoints, .. } = self;
        let counted = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let endpoints = |count: u64| counted(count, "endpoint");
        if self.load.is_infinite() {
            return f.write_str("how many requests are in flight is not known");
        }
        if self.open {
            let (wait, busy) = (percent(self.wait_probability, 1), percent(self.utilization, 0));
            let (has, of) = (endpoints(*healthy), counted(*slots, "slot"));
            write!(f, "{has} ({of}) for {:.1} in flight: ", self.load)?;
            return write!(f, "probability of waiting {wait} %, {busy} % used");
        }
        let needs = format!("needs {} = {}", counted(*needed_slots, "slot"), endpoints(*needed_endpoints));
        if *slots == 0 {
            return write!(f, "{needs}, has none that is healthy");
        }
        write!(f, "{needs}, has {healthy} ({}): ", counted(*slots, "slot"))?;
        let (wait, busy) = (self.wait_probability, self.utilization);
        let waits = beyond(wait, self.gate.max_wait_probability).map(|words| format!("probability of waiting {words}"));
        let used = beyond(busy, self.gate.max_utilization).map(|words| format!("utilisation {words}"));
        let why: Vec<String> = waits.into_iter().chain(used).collect();
        f.write_str(&why.join(", "))
    }
}

/// `5.4 % > 5 %`, with as many digits as it takes to see the difference; `None` where `value` is not above `limit`.
fn beyond(value: f64, limit: f64) -> Option<String> {
    let limit_shown = percent(limit, 4);
    let shown = (1..=6).map(|digits| percent(value, digits)).find(|shown| *shown != limit_shown);
    (value > limit).then(|| format!("{} % > {limit_shown} %", shown.unwrap_or_else(|| percent(value, 12))))
}

/// In percent, without zeros at the end.
fn percent(share: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", share * 100.0);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests;
