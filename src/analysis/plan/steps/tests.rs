use super::*;
use crate::analysis::plan::sample::Question;
use crate::analysis::tests::{close, printed};

const LEVELS: [u32; 6] = [100, 200, 500, 1_000, 2_000, 5_000];

/// So many parts of the whole, one period each.
fn stages(path: &[u32], total: u32) -> Vec<Stage> {
    let each = path.iter().map(|step| Stage { weight: step * TOTAL_WEIGHT / total, periods: 1.0 });
    each.collect()
}

/// In parts of `total`, period by period.
fn path(stages: &[Stage], total: u32) -> Vec<u32> {
    let times = |periods: f64| (1_u32..).take_while(move |count| f64::from(*count) <= periods);
    stages.iter().flat_map(|stage| times(stage.periods).map(|_| stage.weight * total / TOTAL_WEIGHT)).collect()
}

#[test]
fn small_cases_by_brute_force() {
    for (total, prior, hazard, harm, rollback, rise, cost, steps) in [
        (4, 0.2, 1.0, 50.0, 2.0, 2, 16.916_479_888_617_246, &[2][..]),
        (5, 0.1, 2.0, 100.0, 5.0, 2, 11.619_616_636_935_369, &[2, 3]),
        (10, 0.1, 2.0, 100.0, 5.0, 3, 11.910_326_261_061_202, &[3, 4, 7]),
    ] {
        let risk = Risk { prior, hazard, harm, period: 1.0, rollback };
        let levels: Vec<u32> = (1..total).map(|level| level * TOTAL_WEIGHT / total).collect();
        let planned = risk.plan(&levels, rise * TOTAL_WEIGHT / total).unwrap();
        assert_eq!(path(&planned, total), steps);
        close(risk.expect(&planned).cost, cost);
    }
    let risk = Risk { prior: 0.1, hazard: 2.0, harm: 100.0, period: 1.0, rollback: 5.0 };
    let cost = |steps: &[u32]| risk.expect(&stages(steps, 10)).cost;
    close(cost(&[3, 6, 9]), 12.370_706_905_993_616);
    close(cost(&[1, 4, 7]), 12.226_981_050_199_365);
    close(cost(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), 16.394_112_803_268_65);
    printed(cost(&[1, 2, 5, 8]), "12.7291");
}

/// By hand, from the beliefs of each period.
#[test]
fn costs_are_those_of_a_rollout_followed_period_by_period() {
    let risk = Risk { prior: 0.2, hazard: 1.0, harm: 50.0, period: 1.0, rollback: 2.0 };
    let (mut belief, mut goes_on, mut cost) = (risk.prior, 1.0, 0.0);
    for share in [0.25, 0.25, 0.5, 0.75] {
        let found = 1.0 - f64::exp(-risk.hazard * share);
        cost += goes_on * (risk.period + belief * (risk.harm * share + found * risk.rollback));
        goes_on *= 1.0 - belief * found;
        belief = belief * (1.0 - found) / (1.0 - belief * found);
    }
    let found = 1.0 - f64::exp(-risk.hazard);
    cost += goes_on * (risk.period + belief * (risk.harm / found + risk.rollback));
    let stages = [(2_500, 2.0), (5_000, 1.0), (7_500, 1.0)].map(|(weight, periods)| Stage { weight, periods });
    close(risk.expect(&stages).cost, cost);
}

/// All rising paths, none longer than is worth it.
fn least(risk: &Risk, total: u32, path: &mut Vec<u32>, longest: usize) -> f64 {
    let mut cost = risk.expect(&stages(path, total)).cost;
    if path.len() < longest {
        for level in path.last().copied().unwrap_or(1)..total {
            path.push(level);
            cost = cost.min(least(risk, total, path, longest));
            path.pop();
        }
    }
    cost
}

#[test]
fn no_path_costs_less() {
    for prior in [0.01, 0.1, 0.5] {
        for hazard in [0.05, 0.5, 3.0] {
            for harm in [0.1, 5.0, 30.0, 200.0] {
                let risk = Risk { prior, hazard, harm, period: 1.0, rollback: 3.0 };
                let planned = risk.plan(&[2_000, 4_000, 6_000, 8_000], TOTAL_WEIGHT).unwrap();
                if planned.iter().map(|stage| stage.periods).sum::<f64>() <= 8.0 {
                    close(risk.expect(&planned).cost, least(&risk, 5, &mut Vec::new(), 8));
                }
            }
        }
    }
}

fn risk(rps: f64, failed: f64) -> Risk {
    let (baseline, ratio, period) = (0.001, 3.0, 60.0);
    let question = Question { baseline, ratio, allowed_increase: 1.0, alpha: 0.01, beta: 0.05, max_increase: 2.0 };
    Risk {
        prior: 0.1,
        hazard: rps * period * question.alarm_per_request(),
        harm: rps * period * (ratio - 1.0) * baseline * failed,
        period: 1.0,
        rollback: 10.0,
    }
}

#[test]
fn the_ladder_and_the_bang() {
    let ladder = stages(&[5, 10, 20, 50], 100);
    for (rps, hazard, harm, steps, cost, of_ladder, at_once) in [
        (20.0, ".2326", 2.4, &[][..], "3.1564", "7.111", "3.156"),
        (200.0, "2.3262", 24.0, &[], "4.6598", "7.390", "4.660"),
        (2_000.0, "23.2624", 240.0, &[5, 10], "6.5168", "7.734", "26.0"),
        (20_000.0, "232.6245", 2_400.0, &[1, 2], "6.9022", "17.6", "242"),
    ] {
        let risk = risk(rps, 1.0);
        printed(risk.hazard, &format!("{}{hazard}", if rps < 21.0 { "0" } else { "" }));
        close(risk.harm, harm);
        let planned = risk.plan(&LEVELS, TOTAL_WEIGHT).unwrap();
        assert_eq!(path(&planned, 100), steps);
        printed(risk.expect(&planned).cost, cost);
        printed(risk.expect(&ladder).cost, of_ladder);
        printed(risk.expect(&[]).cost, at_once);
    }
    let risk = risk(2_000.0, 10.0);
    let planned = risk.plan(&LEVELS, TOTAL_WEIGHT).unwrap();
    let expected = [(200, 3.0), (500, 2.0), (1_000, 1.0)].map(|(weight, periods)| Stage { weight, periods });
    assert_eq!(planned, expected);
    printed(risk.expect(&planned).cost, "22.2924");
}

#[test]
fn what_fails_and_how_long_it_takes() {
    let risk = risk(2_000.0, 1.0);
    let expected = risk.expect(&[Stage { weight: 500, periods: 2.5 }, Stage { weight: 0, periods: 4.0 }]);
    // 5 % of 240 in each period that it goes on, then until it is found out at 100 %.
    let on = |periods: f64| f64::exp(-risk.hazard * 0.05 * periods);
    let at_end = on(2.5) * 240.0 / (1.0 - f64::exp(-risk.hazard));
    close(expected.harm_if_bad, 12.0 * (1.0 + on(1.0) + 0.5 * on(2.0)) + at_end);
    close(expected.periods, 6.5);
    close(risk.expect(&[Stage { weight: 1_000, periods: 0.0 }]).cost, risk.expect(&[]).cost);
    assert!(risk.expect(&[Stage { weight: 1, periods: 1e9 }]).cost.is_finite());
}

#[test]
fn weights_in_hundredths_of_a_percent() {
    let planned = risk(20_000.0, 100.0).plan(&[1, 25, 3_333], TOTAL_WEIGHT).unwrap();
    assert_eq!(planned.first().map(|stage| stage.weight), Some(25), "{planned:?}");
}

#[test]
fn what_cannot_be_planned() {
    let slow = Risk { prior: 0.1, hazard: 1e-6, harm: 5.0, period: 1.0, rollback: 0.0 };
    assert!(matches!(slow.plan(&LEVELS, TOTAL_WEIGHT), Err(Unplanned::TooSlow(factor)) if factor > 1.0));
    assert_eq!(risk(20.0, 1.0).plan(&LEVELS, 2_500), Err(Unplanned::Unreachable(2_000)));
    // Nothing at stake: there is nothing to wait for.
    let idle = Risk { harm: 0.0, ..slow };
    assert_eq!(idle.plan(&LEVELS, TOTAL_WEIGHT), Ok(vec![]));
}
