use super::*;

fn plan() -> Strategy {
    canary(&[
        header_route("qa"),
        Step::SetWeight(50),
        pause(60),
        mirror(35),
        Step::SetWeight(5_000),
        Step::Pause(None),
        mirror(0),
    ])
}

#[test]
fn a_whole_canary() {
    let mut stage = Stage::new(plan());
    stage.target("green");
    assert_eq!(stage.message(), "on its way to the fleet");
    assert_eq!(stage.machine.traffic().header_routes[0].1, "green".into());
    stage.converge();
    stage.now += secs(2);
    stage.evidence(&["edge-17"]);
    assert_eq!(stage.message(), "waiting for 1 of 3 nodes: edge-17");
    stage.converge();
    stage.wait(40);
    assert_eq!((stage.phase(), stage.message()), (Phase::Paused, "paused for 1m, 20s left".to_owned()));
    stage.wait(20);
    assert_eq!(stage.machine.traffic().mirrors[0].0.percentage, 35);
    stage.converge();
    stage.converge();
    assert_eq!(stage.message(), "paused until promoted: serin promote checkout");
    assert_eq!(stage.machine.next_deadline(), None);
    stage.now += secs(100);
    stage.order(Verb::Promote);
    assert!(stage.machine.traffic().mirrors.is_empty());
    stage.converge();
    assert_eq!(stage.phase(), Phase::Progressing);
    assert!(stage.machine.traffic().header_routes.is_empty());
    let generation = stage.machine.generation();
    stage.converge();
    assert_eq!(stage.machine.generation(), generation, "to become stable changes no traffic");
    assert_eq!(stage.message(), "green carries all traffic");
    assert_eq!(
        stage.transcript(),
        "\
0s engine: seen for the first time: the file's target blue is taken as stable -> Healthy, blue stable, red 0 green 0 blue 100\n\
0s file: the file's target is green -> Progressing, green step 1/7 setHeaderRoute qa, red 0 green 0 blue 100\n\
0s engine: 3/3 nodes have it after 0s -> Progressing, green step 2/7 setWeight 0.5, red 0 green 0.5 blue 99.5\n\
2s engine: 3/3 nodes have it after 2s -> Paused, green step 3/7 pause 1m, red 0 green 0.5 blue 99.5\n\
62s engine: the pause of 1m is over -> Progressing, green step 4/7 setMirrorRoute shadow 35, red 0 green 0.5 blue 99.5\n\
62s engine: 3/3 nodes have it after 0s -> Progressing, green step 5/7 setWeight 50, red 0 green 50 blue 50\n\
62s engine: 3/3 nodes have it after 0s -> Paused, green step 6/7 pause until promoted, red 0 green 50 blue 50\n\
162s alice: promoted past: pause until promoted -> Progressing, green step 7/7 setMirrorRoute shadow 0, red 0 green 50 blue 50\n\
162s engine: 3/3 nodes have it after 0s; all steps are done -> Progressing, all to green, red 0 green 100 blue 0\n\
162s engine: 3/3 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn without_steps_all_traffic_moves_at_once() {
    let mut stage = Stage::new(canary(&[]));
    stage.target("green");
    assert_eq!(stage.weight("green"), 10_000);
    assert_eq!(stage.phase(), Phase::Progressing);
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy);
}

#[test]
fn routes_and_mirrors_keep_their_order_and_can_be_taken_away() {
    let off = Step::SetHeaderRoute(HeaderRoute { name: "qa".into(), matches: Vec::new() });
    let mut stage = Stage::new(canary(&[
        header_route("qa"),
        header_route("beta"),
        Step::SetHeaderRoute(HeaderRoute { name: "qa".into(), matches: header("x-other") }),
        off,
        Step::Pause(None),
    ]));
    let names = |stage: &Stage| {
        let routes = &stage.machine.traffic().header_routes;
        routes.iter().map(|(route, _)| format!("{} {}", route.name, route.matches[0].header)).collect::<Vec<_>>()
    };
    stage.target("green");
    stage.converge();
    assert_eq!(names(&stage), ["qa x-canary", "beta x-canary"]);
    stage.converge();
    assert_eq!(names(&stage), ["qa x-other", "beta x-canary"]);
    stage.converge();
    assert_eq!(names(&stage), ["beta x-canary"]);
}

#[test]
fn affinity_is_in_the_traffic_also_when_nothing_is_under_way() {
    let affinity = Affinity::Header("x-user".into());
    let with =
        Canary { steps: Vec::new(), analysis: None, affinity: Some(affinity.clone()), scale_down_delay: secs(30) };
    let mut stage = Stage::new(Strategy::Canary(with));
    assert_eq!(stage.machine.traffic().affinity, Some(affinity.clone()));
    stage.target("green");
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy);
    assert_eq!(stage.machine.traffic().affinity, Some(affinity));
}

#[test]
fn a_first_step_of_weight_zero_asks_nothing_of_the_fleet() {
    let mut stage = Stage::new(canary(&[Step::SetWeight(0), Step::Pause(None)]));
    stage.target("green");
    assert_eq!(stage.status().step.map(|step| step.index), Some(2));
}

#[test]
fn waited_time_counts_across_a_restart() {
    let mut stage = Stage::new(canary(&[pause(60)]));
    stage.target("green");
    stage.wait(45);
    stage.now += secs(1_000);
    assert!(stage.restart().is_empty());
    assert_eq!(stage.message(), "paused for 1m, 15s left");
    assert_eq!(stage.machine.next_deadline(), Some(stage.now + secs(15)));
    stage.wait(15);
    assert_eq!(stage.weight("green"), 10_000);
}

#[test]
fn a_clock_that_goes_back_only_lengthens_a_pause() {
    let mut stage = Stage::new(canary(&[pause(60)]));
    stage.target("green");
    stage.wait(30);
    stage.now -= secs(20);
    stage.input(Input::Tick);
    assert_eq!(stage.message(), "paused for 1m, 30s left");
    stage.wait(29);
    assert_eq!(stage.weight("green"), 0);
    stage.wait(1);
    assert_eq!(stage.weight("green"), 10_000);
}
