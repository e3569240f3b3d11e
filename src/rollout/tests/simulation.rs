use super::*;
use crate::rollout::simulate::{Row, Setting, simulate};

fn timeline(strategy: Strategy, setting: &Setting) -> String {
    let (rows, end) = simulate(&Arc::new(rollout("blue", strategy)), &"green".into(), setting);
    let row = |row: &Row| {
        let green = row.weights.0.iter().find(|(name, _)| **name == *"green").expect("version").1;
        format!("{:?} {:?}, {}, green {}: {}\n", row.at, row.phase, row.step, green / 100, row.what)
    };
    rows.iter().map(row).collect::<String>() + &end
}

fn plan() -> Strategy {
    canary(&[Step::SetWeight(1_000), pause(600), Step::SetWeight(5_000), Step::Pause(None)])
}

#[test]
fn stops_where_somebody_is_waited_for() {
    assert_eq!(
        timeline(plan(), &Setting::default()),
        "\
0ns Progressing, green step 1/4 setWeight 10, green 10: the file's target is green\n\
1s Paused, green step 2/4 pause 10m, green 10: 10/10 nodes have it after 1s\n\
601s Progressing, green step 3/4 setWeight 50, green 50: the pause of 10m is over\n\
602s Paused, green step 4/4 pause until promoted, green 50: 10/10 nodes have it after 1s\n\
paused until promoted: serin promote checkout"
    );
}

#[test]
fn goes_to_the_end_when_told_to() {
    assert_eq!(
        timeline(plan(), &Setting { promote: true, ..Setting::default() }),
        "\
0ns Progressing, green step 1/4 setWeight 10, green 10: the file's target is green\n\
1s Paused, green step 2/4 pause 10m, green 10: 10/10 nodes have it after 1s\n\
601s Progressing, green step 3/4 setWeight 50, green 50: the pause of 10m is over\n\
602s Paused, green step 4/4 pause until promoted, green 50: 10/10 nodes have it after 1s\n\
602s Progressing, all to green, green 100: promoted past: pause until promoted\n\
603s Healthy, green stable, green 100: 10/10 nodes have it after 1s\n\
green carries all traffic"
    );
}

#[test]
fn a_rejection_on_the_way() {
    let setting = Setting { nack: Some(("edge-3".to_owned(), 3)), ..Setting::default() };
    assert_eq!(
        timeline(plan(), &setting),
        "\
0ns Progressing, green step 1/4 setWeight 10, green 10: the file's target is green\n\
1s Paused, green step 2/4 pause 10m, green 10: 10/10 nodes have it after 1s\n\
601s Progressing, green step 3/4 setWeight 50, green 50: the pause of 10m is over\n\
602s Degraded, green aborted, green 0: aborted: edge-3 rejected RDS: simulated rejection\n\
603s Degraded, green aborted, green 0: 10/10 nodes have it after 1s\n\
aborted: edge-3 rejected RDS: simulated rejection; all traffic on blue: 10/10 nodes have it after 1s; the file still names green: serin retry checkout, or edit target"
    );
}
