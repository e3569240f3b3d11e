//! Histograms as they come in, and how they add up.

use super::Histogram;
use super::node::MOST;

/// Buckets of a histogram that are kept: three times what `serin bootstrap` asks for. Of more, every so many are left
/// out, which makes the others wider and loses no request.
const BUCKETS: usize = 128;

impl Histogram {
    /// The same with edges and counts that rise, at most [`BUCKETS`] of them, and a count that holds them all. `None` if
    /// nothing is in it, or more than anybody measures.
    pub(super) fn cleaned(mut self) -> Option<Self> {
        let (mut edge, mut below) = (f64::NEG_INFINITY, 0);
        self.buckets.retain(|(upper, count)| {
            let rises = upper.is_finite() && *upper > edge && *count >= below;
            if rises {
                (edge, below) = (*upper, *count);
            }
            rises
        });
        self.count = self.count.max(below);
        let step = self.buckets.len().div_ceil(BUCKETS);
        if step > 1 {
            let mut index = self.buckets.len();
            // The last stays.
            self.buckets.retain(|_| {
                index -= 1;
                index.is_multiple_of(step)
            });
        }
        (1..=MOST).contains(&self.count).then_some(self)
    }

    /// Adds another. Of different buckets those stay whose edges both have: their counts are exact.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        let mut theirs = other.buckets.iter().peekable();
        self.buckets.retain_mut(|(edge, below)| {
            while theirs.next_if(|(upper, _)| *upper < *edge).is_some() {}
            let Some((_, more)) = theirs.next_if(|(upper, _)| *upper <= *edge) else { return false };
            *below = below.saturating_add(*more);
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(count: u64, buckets: &[(f64, u64)]) -> Histogram {
        Histogram { count, buckets: buckets.to_vec() }
    }

    #[test]
    fn nonsense_is_left_out() {
        let nonsense = histogram(
            5,
            &[(f64::NAN, 1), (1.0, 2), (1.0, 3), (0.5, 3), (2.0, 1), (3.0, 9), (f64::INFINITY, 9), (4.0, 9)],
        );
        assert_eq!(nonsense.cleaned(), Some(histogram(9, &[(1.0, 2), (3.0, 9), (4.0, 9)])));
        assert_eq!(histogram(0, &[(1.0, 0)]).cleaned(), None);
    }

    #[test]
    fn too_many_buckets_become_wider() {
        let all: Vec<_> = (0..1000_u32).map(|edge| (f64::from(edge), u64::from(edge))).collect();
        let cleaned = histogram(1000, &all).cleaned().unwrap();
        assert!(cleaned.buckets.len() <= BUCKETS && cleaned.buckets.len() > BUCKETS / 2);
        assert_eq!((cleaned.count, *cleaned.buckets.last().unwrap()), (1000, (999.0, 999)));
        assert!(cleaned.buckets.iter().all(|bucket| all.contains(bucket)));
    }

    #[test]
    fn the_buckets_that_both_have_add_up() {
        let mut sum = histogram(10, &[(1.0, 1), (2.0, 5), (4.0, 9)]);
        sum.add(&histogram(20, &[(0.5, 1), (2.0, 2), (3.0, 3), (4.0, 20), (8.0, 20)]));
        assert_eq!(sum, histogram(30, &[(2.0, 7), (4.0, 29)]));
    }
}
