//! The process is killed at every point of a rollout: what clients see goes forward by the plan or stands still.

use super::rig::{Rig, document};
use super::*;
use crate::rollout::Phase;

const CANARY: &str = "{canary: {steps: [{setWeight: 5}, {pause: {duration: 5s}}, {setWeight: 25}, {setWeight: 50}, \
                      {pause: {duration: 2s}}, {setWeight: 80}]}}";
const PLAN: [u64; 6] = [0, 500, 2_500, 5_000, 8_000, 10_000];

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

/// One rollout to its end; how often it was killed on the way.
fn run(seed: u64) -> usize {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut rig = Rig::new(&document("blue", CANARY), 3);
    let mut kills = 0;
    // Time at a weight with the process alive, in milliseconds.
    let mut at: BTreeMap<u64, u128> = BTreeMap::new();
    let mut edited = false;
    let mut connected: BTreeSet<u64> = (1..=3).collect();
    for _ in 0..3_000 {
        // Before which of the next effects it is killed; the last stretch is left to it.
        if kills < 30 && rig.life.is_none() {
            rig.life = Some(usize::try_from(random.below(6)).expect("small"));
        }
        let alive = match random.below(8) {
            0 if !edited => {
                edited = true;
                rig.edit(&document("green", CANARY))
            }
            0..3 => {
                let time = Duration::from_millis(random.below(700));
                *at.entry(*rig.seen.last().expect("served")).or_default() += time.as_millis();
                rig.pass(time)
            }
            3..6 => {
                let node = 1 + random.below(3);
                if connected.insert(node) {
                    rig.connect(node);
                }
                rig.settle(node);
                rig.tell()
            }
            6 => {
                let node = 1 + random.below(3);
                if connected.remove(&node) {
                    rig.disconnect(node);
                }
                rig.tell()
            }
            _ => rig.tell(),
        };
        if !alive {
            kills += 1;
            connected.clear();
            rig.restart(Duration::from_millis(random.below(60_000)));
        }
        let mut weights = rig.seen.clone();
        weights.dedup();
        assert!(PLAN.starts_with(&weights), "seed {seed}: clients saw {weights:?} after {kills} kills");
        if edited && rig.status().phase == Phase::Healthy && weights.len() == PLAN.len() {
            assert!(at[&500] >= 5_000 && at[&5_000] >= 2_000, "seed {seed}: a pause was cut short: {at:?}");
            return kills;
        }
    }
    panic!("seed {seed}: does not come to its end: {:?}, seen {:?}", rig.status(), rig.seen);
}

#[test]
fn clients_see_a_prefix_of_the_plan_wherever_the_process_is_killed() {
    let kills: usize = (1..=150).map(run).sum();
    assert!(kills >= 1_000, "{kills} kills");
}
