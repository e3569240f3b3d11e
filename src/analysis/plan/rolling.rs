//! How many endpoints can be out at a time while all are replaced, some of which do not come back at the first try.
//!
//! A batch is out for one period. What is done only grows, or stays where it was when the whole batch failed, so the best
//! batch for each number of endpoints done is found from the last one back.

use crate::analysis::capacity;

/// Endpoints that are reckoned with.
pub const MAX_ENDPOINTS: u32 = 1_000;

/// What is to be replaced, under which load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rolling {
    /// 1 to [`MAX_ENDPOINTS`].
    pub endpoints: u32,
    /// Requests that one endpoint handles at a time at full speed; at least 1. Endpoints times this is at most
    /// [`capacity::MAX_SLOTS`].
    pub concurrency: u32,
    /// Requests in flight in all, in erlangs; 0 or more.
    pub load: f64,
    /// The probability that an endpoint comes back good; above 0, up to 1.
    pub success: f64,
    /// The cost of the time of one period; above 0.
    pub period: f64,
    /// The cost of one period in which every request has to wait; 0 or more.
    pub waiting: f64,
    /// No batch may leave a higher probability of waiting than this, 0 to 1.
    pub max_wait_probability: f64,
}

/// The batches that cost least.
#[derive(Debug, Clone, PartialEq)]
pub struct Batches {
    /// By how many are done, from none to all but one: how many to take out next.
    pub next: Vec<u32>,
    /// Of all periods.
    pub cost: f64,
    /// How many periods it takes in the mean.
    pub periods: f64,
}

impl Batches {
    /// The batches if every endpoint comes back good.
    #[must_use]
    pub fn if_all_is_well(&self) -> Vec<u32> {
        let mut batches = Vec::new();
        let mut done = 0;
        while let Some(batch) = self.next.get(done).filter(|batch| **batch > 0) {
            batches.push(*batch);
            done += *batch as usize;
        }
        batches
    }
}

/// One size of batches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Endpoints that are out at a time.
    pub batch: u32,
    /// The probability that a request has to wait meanwhile.
    pub wait_probability: f64,
    /// Whether that is allowed.
    pub allowed: bool,
}

impl Rolling {
    /// What batches of 1, 2, ... all endpoints would do to requests.
    #[must_use]
    pub fn sizes(&self) -> Vec<Size> {
        let each = capacity::waiting_each(self.concurrency, self.endpoints, self.load);
        // With b out there are endpoints - b left; with all out everybody waits.
        let left = each.iter().rev().skip(1).copied().chain([1.0]);
        (1..).zip(left).map(|(batch, wait)| self.size(batch, wait)).take(self.endpoints as usize).collect()
    }

    fn size(&self, batch: u32, wait_probability: f64) -> Size {
        Size { batch, wait_probability, allowed: wait_probability <= self.max_wait_probability }
    }

    /// The batches with the least expected cost, of all sizes that are allowed. `None` where not even one endpoint may be
    /// out.
    #[must_use]
    pub fn plan(&self) -> Option<Batches> {
        let sizes = self.sizes();
        let allowed: Vec<Size> = sizes.into_iter().take_while(|size| size.allowed).collect();
        if allowed.is_empty() { None } else { Some(self.batches(&allowed)) }
    }

    /// Batches of `size` as long as so many are left, then of what is left. `None` where that is not allowed.
    #[must_use]
    pub fn always(&self, size: u32) -> Option<Batches> {
        let sizes = self.sizes();
        let (last, smaller) = sizes.get(..size as usize)?.split_last()?;
        // A smaller batch is for the end alone: it is not taken while there is room for a larger one.
        last.allowed.then(|| {
            self.choose(sizes.len(), |left| {
                let batch = left.min(size as usize);
                std::slice::from_ref(if batch == size as usize { last } else { &smaller[batch - 1] })
            })
        })
    }

    fn batches(&self, allowed: &[Size]) -> Batches {
        self.choose(self.endpoints as usize, |left| &allowed[..left.min(allowed.len())])
    }

    /// The best of the sizes that `choices` has for so many endpoints that are left.
    fn choose<'a>(&self, endpoints: usize, choices: impl Fn(usize) -> &'a [Size]) -> Batches {
        let (mut costs, mut periods) = (vec![0.0; endpoints + 1], vec![0.0; endpoints + 1]);
        let mut next = vec![0; endpoints];
        let good = self.good(endpoints);
        for done in (0..endpoints).rev() {
            let mut least = f64::INFINITY;
            for size in choices(endpoints - done) {
                let good = &good[size.batch as usize];
                // A batch that fails as a whole is tried again.
                let again = 1.0 - good[0];
                let mean = |of: &[f64]| good[1..].iter().zip(&of[done + 1..]).map(|(p, value)| p * value).sum::<f64>();
                let cost = (self.period + self.waiting * size.wait_probability + mean(&costs)) / again;
                if cost < least {
                    least = cost;
                    next[done] = size.batch;
                    periods[done] = (1.0 + mean(&periods)) / again;
                }
            }
            costs[done] = least;
        }
        Batches { next, cost: costs[0], periods: periods[0] }
    }

    /// By size of the batch, the probability that 0, 1, ... of it come back good; each from the one before.
    fn good(&self, endpoints: usize) -> Vec<Vec<f64>> {
        let mut all = vec![vec![1.0]];
        for batch in 1..=endpoints {
            let before = &all[batch - 1];
            let at = |count: usize| before.get(count).copied().unwrap_or_default();
            let row = (0..=batch).map(|count| {
                let one_more = if count > 0 { at(count - 1) * self.success } else { 0.0 };
                at(count) * (1.0 - self.success) + one_more
            });
            all.push(row.collect());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::close;

    fn twelve(load: f64, waiting: f64) -> Rolling {
        Rolling { endpoints: 12, concurrency: 8, load, success: 0.95, period: 1.0, waiting, max_wait_probability: 0.3 }
    }

    #[test]
    fn batches_of_three() {
        let rolling = twelve(60.0, 5.0);
        let plan = rolling.plan().unwrap();
        close(plan.cost, 6.212_586_300_098_55);
        assert_eq!(plan.next, [3, 3, 3, 3, 3, 3, 3, 3, 2, 3, 2, 1]);
        assert_eq!(plan.if_all_is_well(), [3, 3, 3, 3]);
        let sizes = rolling.sizes();
        let costs = [1.002_226_488_768_734_4, 1.043_684_857_002_823, 1.447_737_380_980_076_6];
        for (size, cost) in sizes.iter().zip(costs) {
            close(rolling.period + rolling.waiting * size.wait_probability, cost);
        }
        let allowed: Vec<u32> = sizes.iter().filter(|size| size.allowed).map(|size| size.batch).collect();
        assert_eq!((allowed, sizes.len()), (vec![1, 2, 3], 12));
        assert_eq!(format!("{:.4}", rolling.always(3).unwrap().cost), "6.2977");
        assert_eq!(format!("{:.4}", rolling.always(1).unwrap().cost), "12.6597");
        assert_eq!((rolling.always(4), rolling.always(0), rolling.always(13)), (None, None, None));
    }

    #[test]
    fn busier_ones_go_one_by_one() {
        let plan = twelve(72.0, 20.0).plan().unwrap();
        close(plan.cost, 23.785_070_649_015_882);
        assert_eq!(plan.next, [1; 12]);
        let plan = twelve(72.0, 5.0).plan().unwrap();
        close(plan.cost, 14.647_692_233_095_324);
        assert_eq!(plan.if_all_is_well(), [2; 6]);
        assert_eq!(plan.next[..11], [2; 11], "of the last only one is left");
        let six = Rolling { endpoints: 6, concurrency: 16, success: 0.9, ..twelve(56.0, 5.0) };
        let plan = six.plan().unwrap();
        close(plan.cost, 6.719_819_780_858_174);
        assert_eq!(plan.next, [1; 6]);
        // 72 in flight: none, one, two and three of twelve out.
        let sizes = twelve(72.0, 5.0).sizes();
        let shown: Vec<String> = sizes[..3].iter().map(|size| format!("{:.3}", size.wait_probability)).collect();
        assert_eq!(shown, ["0.044", "0.263", "1.000"]);
    }

    #[test]
    fn where_nothing_can_be_spared() {
        assert_eq!(twelve(95.0, 5.0).plan(), None);
        let one = Rolling { endpoints: 1, ..twelve(0.0, 5.0) };
        assert_eq!(one.plan(), None, "the only one");
        let one = Rolling { max_wait_probability: 1.0, success: 1.0, ..one };
        assert_eq!(one.plan(), Some(Batches { next: vec![1], cost: 6.0, periods: 1.0 }));
    }

    #[test]
    fn a_thousand_endpoints_are_no_trouble() {
        let many = Rolling { endpoints: MAX_ENDPOINTS, concurrency: 1_000, ..twelve(800_000.0, 5.0) };
        let plan = many.plan().unwrap();
        assert_eq!(plan.next.len(), 1_000);
        let good = many.good(1_000);
        close(good[1_000].iter().sum(), 1.0);
        close(good[1_000].iter().zip(0_i32..).map(|(p, count)| p * f64::from(count)).sum(), 950.0);
        // 200 at a time, of which 190 come back in the mean; then about 50, and then about 2.
        assert!((7.0..7.5).contains(&plan.periods), "{}", plan.periods);
    }
}
