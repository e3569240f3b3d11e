use super::*;

fn colours(options: BlueGreen) -> Strategy {
    Strategy::BlueGreen(options)
}

#[test]
fn with_default_options_the_switch_is_immediate() {
    let mut stage = Stage::new(colours(BlueGreen::default()));
    let generation = stage.machine.generation();
    stage.target("green");
    assert_eq!((stage.weight("green"), stage.machine.generation()), (10_000, generation + 1));
    stage.converge();
    assert_eq!(
        stage.transcript(),
        "\
0s engine: seen for the first time: the file's target blue is taken as stable -> Healthy, blue stable, red 0 green 0 blue 100\n\
0s file: the file's target is green -> Progressing, green preview, red 0 green 0 blue 100\n\
0s engine: switch: nothing to wait for -> Progressing, all to green, red 0 green 100 blue 0\n\
0s engine: 3/3 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn a_whole_colour_switch_with_preview_timer_and_instant() {
    let mut stage = Stage::new(colours(BlueGreen {
        preview: header("x-preview"),
        auto_promotion: Some(secs(300)),
        switch_at: Some(START + secs(1_000)),
        ..BlueGreen::default()
    }));
    stage.target("green");
    assert_eq!(stage.machine.traffic().header_routes[0].0.name, "preview".into());
    stage.wait(10);
    stage.converge();
    assert_eq!(stage.message(), "preview of green: switches in 5m");
    stage.wait(300);
    assert_eq!(stage.message(), "preview of green: switchAt is 11m30s away");
    assert_eq!(stage.machine.next_deadline(), Some(START + secs(1_000)));
    stage.wait(690);
    assert!(stage.machine.traffic().header_routes.is_empty());
    stage.converge();
    assert_eq!(
        stage.transcript(),
        "\
0s engine: seen for the first time: the file's target blue is taken as stable -> Healthy, blue stable, red 0 green 0 blue 100\n\
0s file: the file's target is green -> Progressing, green preview, red 0 green 0 blue 100\n\
10s engine: 3/3 nodes have it after 10s -> Paused, green preview, red 0 green 0 blue 100\n\
1000s engine: switch: autoPromotionSeconds is over: 5m -> Progressing, all to green, red 0 green 100 blue 0\n\
1000s engine: 3/3 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn without_auto_promotion_somebody_decides_and_the_instant_still_counts() {
    let options = BlueGreen { auto_promotion_enabled: false, ..BlueGreen::default() };
    let mut stage = Stage::new(colours(options.clone()));
    stage.target("green");
    assert_eq!(stage.message(), "preview of green, paused until promoted: serin promote checkout");
    assert_eq!(stage.machine.next_deadline(), None);
    stage.order(Verb::Promote);
    assert_eq!(stage.weight("green"), 10_000);

    let mut stage = Stage::new(colours(BlueGreen { switch_at: Some(START + secs(60)), ..options }));
    stage.target("green");
    stage.order(Verb::Promote);
    assert_eq!(stage.weight("green"), 0);
    assert!(stage.refused(Verb::Promote).contains("switchAt is 1m away"));
    stage.order(Verb::PromoteFull);
    assert_eq!(stage.weight("green"), 10_000);
}

#[test]
fn the_colour_before_comes_back_at_once_while_it_is_warm() {
    let options = BlueGreen { auto_promotion_enabled: false, scale_down_delay: secs(600), ..BlueGreen::default() };
    for (later, back, restart) in [(599, 10_000, false), (600, 0, false), (599, 10_000, true), (600, 0, true)] {
        let mut stage = Stage::new(colours(options.clone()));
        stage.target("green");
        stage.order(Verb::PromoteFull);
        stage.converge();
        assert_eq!(stage.phase(), Phase::Healthy);
        stage.now += secs(later);
        stage.spec.target = Some("blue".into());
        if restart {
            stage.restart();
        } else {
            stage.edit(|_| {});
        }
        assert_eq!(stage.weight("blue"), back, "{later} s after the switch");
    }
}

#[test]
fn undo_and_abort_switch_back_at_once() {
    let mut stage = Stage::new(colours(BlueGreen { auto_promotion_enabled: false, ..BlueGreen::default() }));
    stage.target("green");
    stage.order(Verb::PromoteFull);
    assert_eq!(stage.order(Verb::Abort).len(), 1);
    assert_eq!(stage.weight("blue"), 10_000);
    stage.converge();
    stage.order(Verb::Retry);
    stage.order(Verb::Promote);
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy);
    stage.now += secs(100_000);
    stage.order(Verb::Undo(None));
    assert_eq!(stage.weight("blue"), 10_000);
    stage.converge();
    assert_eq!(stage.message(), "blue carries all traffic by undo; the file still names green");
}
