//! The steps with the least expected cost: when to learn from a little traffic, and when to stop learning.
//!
//! Nobody knows whether the new version is bad. While it is out, every period costs time; if it is bad, requests fail in
//! proportion to its weight, and the test finds it out at a rate in proportion to its weight too. What counts of the past
//! is the exposure alone, the sum of the weights of the periods without an alarm, and it only grows: no iteration is
//! needed, one sweep from the far end finds the best next weight for each weight and exposure.
//!
//! Each cost is taken times the probability that the rollout still goes on, so that costs of periods add up. Then what is
//! left to lose, which only shrinks, says when to stop looking: once it is less than the time of one more period, nothing
//! beats going to the end.

use crate::analysis::evidence::float;
use crate::analysis::figures::whole;
use crate::spec::TOTAL_WEIGHT;

/// More states than this are not looked at.
const MAX_STATES: f64 = 4_000_000.0;

/// Costs that differ by less are the same: the smaller weight is taken.
const TIE: f64 = 1e-12;

/// What a rollout is up against, per period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Risk {
    /// The probability that the new version is bad; above 0, below 1.
    pub prior: f64,
    /// If it is bad and has all traffic, alarms in one period, in the mean; above 0.
    pub hazard: f64,
    /// If it is bad and has all traffic, the cost of what fails in one period; 0 or more.
    pub harm: f64,
    /// The cost of the time of one period; above 0.
    pub period: f64,
    /// The cost of the way back; 0 or more. A bad version is found out in the end whatever the steps, so it is the same for
    /// all of them.
    pub rollback: f64,
}

/// One weight, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Parts of [`TOTAL_WEIGHT`].
    pub weight: u32,
    /// 0 or more.
    pub periods: f64,
}

/// What to expect of some steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Of all: time, harm, and the way back.
    pub cost: f64,
    /// The cost of what fails until it is found out, if the version is bad.
    pub harm_if_bad: f64,
    /// Periods until it has all traffic, if nothing stops it.
    pub periods: f64,
}

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Unplanned {
    /// There would be too many states.
    #[error("so little is learned in one period that a plan would take {0:.0} times as long to work out as is allowed")]
    TooSlow(f64),
    /// A weight cannot be left for a higher one.
    #[error("from {0} parts of 10,000 the next level is further than one rise may be")]
    Unreachable(u32),
}

impl Risk {
    /// What is left to lose, times the probability that the rollout still goes on, after an exposure in periods at 100 %.
    fn at_stake(&self, exposure: f64) -> f64 {
        self.bad(exposure) * self.harm_until_found()
    }

    /// The probability that it is bad and nothing was found yet.
    fn bad(&self, exposure: f64) -> f64 {
        self.prior * (-self.hazard * exposure).exp()
    }

    /// The probability that nothing was found yet.
    fn quiet(&self, exposure: f64) -> f64 {
        1.0 - self.prior + self.bad(exposure)
    }

    /// If it is bad and has all traffic: each period it goes on with the same probability.
    fn harm_until_found(&self) -> f64 {
        self.harm / -(-self.hazard).exp_m1()
    }

    /// What to expect of `stages` and then all traffic.
    #[must_use]
    pub fn expect(&self, stages: &[Stage]) -> Expected {
        let (mut cost, mut harm, mut exposure, mut periods) = (0.0, 0.0, 0.0, 0.0);
        for stage in stages {
            let share = f64::from(stage.weight) / f64::from(TOTAL_WEIGHT);
            // The whole periods and what is left of one: their number may be large, so they are summed as a series.
            let (whole, rest) = (stage.periods.floor(), stage.periods.fract());
            let rate = -self.hazard * share;
            let series = if rate < 0.0 { (rate * whole).exp_m1() / rate.exp_m1() } else { whole };
            let counted = series + rest * (rate * whole).exp();
            harm += self.bad(exposure) * self.harm * share * counted;
            cost += self.period * ((1.0 - self.prior) * stage.periods + self.bad(exposure) * counted);
            exposure += share * stage.periods;
            periods += stage.periods;
        }
        harm += self.at_stake(exposure);
        cost += self.period * self.quiet(exposure) + harm + self.prior * self.rollback;
        Expected { cost, harm_if_bad: harm / self.prior, periods }
    }

    /// The stages before all traffic that cost least: `levels` are the weights allowed below [`TOTAL_WEIGHT`], and none is
    /// higher than the one before by more than `max_rise`. None at all is all at once.
    ///
    /// # Errors
    ///
    /// When there are too many states, or a level is further from the one below than `max_rise`.
    pub fn plan(&self, levels: &[u32], max_rise: u32) -> Result<Vec<Stage>, Unplanned> {
        let sweep = Sweep::new(self, levels, max_rise)?;
        let mut stages: Vec<Stage> = Vec::new();
        for weight in sweep.path() {
            match stages.last_mut() {
                Some(stage) if stage.weight == weight => stage.periods += 1.0,
                _ => stages.push(Stage { weight, periods: 1.0 }),
            }
        }
        Ok(stages)
    }
}

/// For each exposure and level, the level to go to.
struct Sweep {
    /// In units; 0 first, all traffic last.
    levels: Vec<usize>,
    /// Parts of [`TOTAL_WEIGHT`] in a unit.
    unit: u32,
    /// By exposure in units, then by level.
    next: Vec<u16>,
}

impl Sweep {
    fn new(risk: &Risk, levels: &[u32], max_rise: u32) -> Result<Self, Unplanned> {
        let mut levels: Vec<u32> = levels.iter().copied().filter(|level| *level < TOTAL_WEIGHT).collect();
        levels.extend([0, TOTAL_WEIGHT]);
        levels.sort_unstable();
        levels.dedup();
        if let Some(pair) = levels.windows(2).find(|pair| pair[1] - pair[0] > max_rise) {
            return Err(Unplanned::Unreachable(pair[0]));
        }
        let unit = levels.iter().fold(max_rise.min(TOTAL_WEIGHT), |unit, level| common_divisor(unit, *level));
        let in_units = |parts: u32| (parts / unit) as usize;
        let (total, highest_rise) = (in_units(TOTAL_WEIGHT), in_units(max_rise.min(TOTAL_WEIGHT)));
        let levels: Vec<usize> = levels.into_iter().map(in_units).collect();
        let of_all = |exposure: usize| share(exposure, total);

        // From here on what is at stake is less than the time of one period.
        let horizon = (risk.at_stake(0.0) / (risk.period * (1.0 - risk.prior))).ln() / risk.hazard;
        let states = (horizon.max(0.0) + float(levels.len() as u64)) * float((total * levels.len()) as u64);
        if states > MAX_STATES || states.is_nan() {
            return Err(Unplanned::TooSlow(states / MAX_STATES));
        }
        let horizon = usize::try_from(whole((horizon.max(0.0) * float(total as u64)).ceil())).unwrap_or(usize::MAX);
        // After the horizon every period rises, which takes less than all levels.
        let exposures = horizon + total * levels.len() + 1;
        let width = levels.len();
        let mut costs = vec![f64::INFINITY; exposures * width];
        let mut next = vec![0_u16; exposures * width];
        for exposure in (0..exposures - total).rev() {
            let (bad, time) = (risk.bad(of_all(exposure)), risk.period * risk.quiet(of_all(exposure)));
            for from in 0..width - 1 {
                let (mut least, mut choice) = (f64::INFINITY, from);
                let first = if exposure < horizon { from.max(1) } else { from + 1 };
                for to in first..width {
                    if levels[to] - levels[from] > highest_rise {
                        break;
                    }
                    let cost = if to == width - 1 {
                        time + risk.at_stake(of_all(exposure))
                    } else {
                        let after = costs[(exposure + levels[to]) * width + to];
                        time + bad * risk.harm * of_all(levels[to]) + after
                    };
                    if cost < least - TIE * least.min(f64::MAX) {
                        (least, choice) = (cost, to);
                    }
                }
                costs[exposure * width + from] = least;
                next[exposure * width + from] = u16::try_from(choice).unwrap_or(u16::MAX);
            }
        }
        Ok(Self { levels, unit, next })
    }

    /// Period by period, from nothing up to the last weight before all traffic.
    fn path(&self) -> Vec<u32> {
        let width = self.levels.len();
        let (mut exposure, mut level) = (0, 0);
        let mut path = Vec::new();
        loop {
            level = self.next[exposure * width + level].into();
            if level >= width - 1 {
                return path;
            }
            exposure += self.levels[level];
            path.push(u32::try_from(self.levels[level]).unwrap_or(u32::MAX) * self.unit);
        }
    }
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

fn share(part: usize, total: usize) -> f64 {
    float(part as u64) / float(total as u64)
}

#[cfg(test)]
mod tests;
