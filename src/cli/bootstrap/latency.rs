//! The buckets of latency histograms.

use std::collections::BTreeSet;

/// Upper edges in milliseconds where nothing else is asked for: each 1.25 to 2 times the one before, where Envoy's own
/// (..., 25, 50, 100, 250, ...) are too coarse to tell two versions apart.
const EDGES: [u64; 32] = [
    1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 250, 300, 400, 500, 700, 1_000, 1_500, 2_000,
    3_000, 5_000, 7_000, 10_000, 15_000, 30_000, 60_000,
];

/// Edges around a latency that matters, in hundredths of it: each 1.25 times the one before.
const AROUND: [u64; 7] = [51, 64, 80, 100, 125, 156, 195];

/// Latencies that may matter, in milliseconds.
const MOST: u64 = 60_000;

/// Reads a latency that matters, in milliseconds.
pub(super) fn slo(text: &str) -> Result<u64, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let whole = u64::try_from(duration.as_millis()).ok().filter(|millis| (1..=MOST).contains(millis));
    let millis = whole.filter(|_| duration.subsec_nanos() % 1_000_000 == 0);
    let millis = millis.ok_or_else(|| "must be whole milliseconds, 1ms to 1m".to_owned())?;
    let rounded = rounded(millis);
    if rounded == millis {
        Ok(millis)
    } else {
        Err(format!("Envoy tells latencies apart by their first two digits: take {rounded}ms"))
    }
}

/// Upper edges in milliseconds, with one at each of `slos` and narrow buckets around it.
pub(super) fn edges(slos: &[u64]) -> BTreeSet<u64> {
    let near = |edge: u64, slo: u64| edge * 100 > slo * AROUND[0] && edge * 100 < slo * AROUND[AROUND.len() - 1];
    let mut edges: BTreeSet<u64> = EDGES.into_iter().filter(|edge| !slos.iter().any(|slo| near(*edge, *slo))).collect();
    for slo in slos {
        edges.extend(AROUND.map(|hundredths| rounded((slo * hundredths).div_ceil(100))));
    }
    edges
}

/// To the two leading digits that Envoy's histograms keep.
fn rounded(millis: u64) -> u64 {
    let unit = std::iter::successors(Some(1), |unit| Some(unit * 10)).find(|unit| millis < unit * 100).unwrap_or(1);
    (millis + unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_that_matters_has_its_edge() {
        assert_eq!(edges(&[]), EDGES.into());
        for slo in (1..100).chain((100..1000).step_by(10)).chain([1_000, 2_500, 60_000]) {
            let edges: Vec<_> = edges(&[slo, 300]).into_iter().collect();
            assert!(edges.contains(&slo) && edges.contains(&300), "{slo}: {edges:?}");
            assert!(edges.iter().all(|edge| rounded(*edge) == *edge), "{slo}: {edges:?}");
            for pair in edges.windows(2).filter(|pair| pair[0] * 2 > slo && pair[1] < slo * 2 && pair[0] >= 10) {
                assert!(pair[1] * 100 <= pair[0] * 150, "{slo}: {edges:?}");
            }
        }
        let around = [130, 160, 200, 250, 310, 390, 490];
        assert_eq!(edges(&[250]).range(120..500).copied().collect::<Vec<_>>(), [&around[..], &[]].concat());
    }

    #[test]
    fn latencies_that_envoy_cannot_tell_are_refused() {
        assert_eq!(slo("250ms"), Ok(250));
        assert_eq!(slo("1s 500ms"), Ok(1_500));
        assert_eq!(slo("1m"), Ok(60_000));
        assert_eq!(slo("125ms").unwrap_err(), "Envoy tells latencies apart by their first two digits: take 130ms");
        for bad in ["0s", "500us", "1500us", "61s", "fast", "10000000000000000000s"] {
            assert!(slo(bad).is_err(), "{bad}");
        }
    }
}
