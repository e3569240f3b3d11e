use super::hooks::hook;
use super::windows::nights;
use super::*;
use crate::spec::{BackgroundAnalysis, OnNack, WebhookKind};

fn judged(starting_step: usize, steps: &[Step]) -> Strategy {
    let analysis = Some(BackgroundAnalysis { templates: vec!["golden".into()], starting_step });
    Strategy::Canary(Canary { steps: steps.into(), analysis, ..Canary::default() })
}

fn steps() -> [Step; 4] {
    [Step::SetWeight(1_000), pause(60), Step::SetWeight(5_000), Step::Pause(None)]
}

/// Green is under way and in its first step.
fn under_way(edit: impl FnOnce(&mut Rollout)) -> Stage {
    let mut spec = rollout("blue", judged(1, &steps()));
    edit(&mut spec);
    let mut stage = Stage::of(spec);
    stage.target("green");
    stage.transcript();
    stage
}

const ID: &str = "checkout/2/2/background/golden#1";

impl Stage {
    /// What is judged beside the steps.
    fn beside(&self) -> Option<Arc<str>> {
        let asks = self.machine.asks().into_iter();
        let mut asks = asks.filter(|ask| matches!(ask.question, Question::Analysis { background: true, .. }));
        asks.next().map(|ask| ask.decision)
    }

    fn verdict(&mut self, answer: Answer) -> Vec<Entry> {
        let decision = self.beside().expect("a background analysis");
        self.input(Input::Answer { decision, answer })
    }
}

fn inconclusive() -> Answer {
    Answer::Inconclusive("too few requests".to_owned())
}

#[test]
fn one_question_lasts_through_all_steps_and_ends_with_the_rollout() {
    let mut stage = under_way(|_| {});
    assert_eq!(stage.beside().as_deref(), Some(ID));
    let question = Question::Analysis { templates: vec!["golden".into()], background: true };
    assert_eq!(stage.machine.asks()[0].question, question);
    stage.converge();
    stage.restart();
    stage.wait(60);
    stage.converge();
    assert_eq!((stage.weight("green"), stage.beside().as_deref()), (5_000, Some(ID)));
    stage.order(Verb::Promote);
    assert_eq!((stage.weight("green"), stage.beside().as_deref()), (10_000, Some(ID)));
    stage.converge();
    assert_eq!((stage.phase(), stage.beside()), (Phase::Healthy, None));
    stage.target("red");
    assert_eq!(stage.beside().as_deref(), Some("checkout/3/8/background/golden#1"), "of another revision");
}

#[test]
fn it_begins_with_its_step() {
    let mut stage = Stage::new(judged(3, &steps()));
    stage.target("green");
    stage.converge();
    assert_eq!(stage.beside(), None);
    stage.wait(60);
    assert_eq!(stage.status().step.map(|step| step.index), Some(3));
    assert_eq!(stage.beside().as_deref(), Some(ID));
    stage.edit(|spec| spec.strategy = judged(4, &steps()));
    assert_eq!(stage.beside(), None, "not yet");
    stage.converge();
    assert_eq!(stage.beside().as_deref(), Some("checkout/2/2/background/golden#2"));
}

/// Its name, the file, how it is reached, and the phase it is.
type Case<'a> = (&'a str, fn(&mut Rollout), &'a dyn Fn(&mut Stage), Phase);

#[test]
fn one_that_fails_aborts_whatever_is_waited_for() {
    let held = |stage: &mut Stage| drop(stage.order(Verb::Pause));
    let late = |stage: &mut Stage| {
        stage.evidence(&["edge-1"]);
        stage.wait(30);
    };
    let rejected = |stage: &mut Stage| drop(stage.nack("edge-1"));
    let paused = |stage: &mut Stage| drop(stage.converge());
    let waits = |stage: &mut Stage| {
        stage.converge();
        stage.wait(60);
    };
    let undecided = |stage: &mut Stage| {
        stage.verdict(inconclusive());
        stage.order(Verb::Resume);
    };
    let last = |stage: &mut Stage| {
        for _ in 0..2 {
            stage.converge();
            stage.wait(60);
        }
        stage.order(Verb::Promote);
        assert_eq!(stage.weight("green"), 10_000);
    };
    let hooked = |spec: &mut Rollout| {
        spec.webhooks = vec![hook("more", WebhookKind::ConfirmTrafficIncrease)];
        spec.strategy = judged(1, &[mirror(5), pause(60), Step::SetWeight(5_000)]);
    };
    let small = |stage: &mut Stage| {
        stage.room(&[("green", 2_000, "small")]);
        stage.converge();
        stage.wait(60);
    };
    let cases: [Case; 11] = [
        ("on its way", |_| {}, &|_| {}, Phase::Progressing),
        ("held", |_| {}, &held, Phase::Paused),
        ("late", |_| {}, &late, Phase::Paused),
        ("rejected", |spec| spec.convergence.on_nack = OnNack::Pause, &rejected, Phase::Paused),
        ("a pause", |_| {}, &paused, Phase::Paused),
        ("a hook", hooked, &waits, Phase::Paused),
        ("a window", |spec| spec.promotion_windows = Vec::new(), &paused, Phase::Paused),
        ("canary nodes", |spec| spec.convergence.canary_nodes = Some(Arc::default()), &paused, Phase::Progressing),
        ("asked again", |_| {}, &undecided, Phase::Progressing),
        ("capacity", |_| {}, &small, Phase::Paused),
        ("the end", |_| {}, &last, Phase::Progressing),
    ];
    for (name, edit, reach, phase) in cases {
        let mut stage = under_way(edit);
        reach(&mut stage);
        if name == "a window" {
            stage.edit(|spec| spec.promotion_windows = nights());
            stage.wait(61);
        }
        assert_eq!(stage.phase(), phase, "{name}: {}", stage.message());
        let entries = stage.verdict(Answer::No("12 of 500 failed".to_owned()));
        let words: Vec<_> = entries.iter().map(|entry| entry.why.as_str()).collect();
        assert_eq!(words, ["aborted: background analysis golden fails: 12 of 500 failed"], "{name}");
        assert_eq!((stage.phase(), stage.weight("blue"), stage.beside()), (Phase::Degraded, 10_000, None), "{name}");
        assert!(stage.message().starts_with("aborted: background analysis golden fails: 12 of 500 failed; all"));
    }
}

#[test]
fn one_that_cannot_tell_pauses_until_somebody_decides() {
    let mut stage = under_way(|_| {});
    stage.converge();
    stage.now += secs(20);
    stage.verdict(inconclusive());
    assert_eq!((stage.phase(), stage.beside()), (Phase::Paused, None));
    let message = "inconclusive background analysis golden: too few requests (0s): serin resume checkout judges on, \
                   serin promote checkout goes past it";
    assert_eq!(stage.message(), message);
    stage.wait(100);
    assert_eq!(stage.weight("green"), 1_000, "the pause is over, and it stays");
    assert_eq!(stage.machine.next_deadline(), None);
    stage.restart();
    assert_eq!(stage.message(), message.replace("(0s)", "(1m40s)"));
    stage.order(Verb::Resume);
    assert_eq!((stage.weight("green"), stage.beside().as_deref()), (5_000, Some("checkout/2/2/background/golden#2")));
    stage.verdict(inconclusive());
    assert_eq!(stage.refused(Verb::Retry), "not aborted: retry starts an aborted rollout again");
    stage.order(Verb::Promote);
    assert_eq!(stage.phase(), Phase::Progressing);
    // Judged on, and not stopped for that again.
    assert!(stage.verdict(inconclusive()).is_empty());
    assert_eq!((stage.phase(), stage.beside()), (Phase::Progressing, None));
    stage.wait(10);
    stage.verdict(Answer::No("errors".to_owned()));
    assert_eq!(stage.phase(), Phase::Degraded);
    assert_eq!(
        stage.transcript(),
        "\
0s engine: 3/3 nodes have it after 0s -> Paused, green step 2/4 pause 1m, red 0 green 10 blue 90\n\
20s engine: background analysis golden is inconclusive: too few requests -> Paused, green step 2/4 pause 1m, red 0 green 10 blue 90\n\
120s alice: resumed -> Paused, green step 2/4 pause 1m, red 0 green 10 blue 90\n\
120s engine: the pause of 1m is over -> Progressing, green step 3/4 setWeight 50, red 0 green 50 blue 50\n\
120s engine: background analysis golden is inconclusive: too few requests -> Paused, green step 3/4 setWeight 50, red 0 green 50 blue 50\n\
120s alice: promoted past: background analysis golden: too few requests -> Progressing, green step 3/4 setWeight 50, red 0 green 50 blue 50\n\
130s engine: aborted: background analysis golden fails: errors -> Degraded, green aborted, red 0 green 0 blue 100\n\
"
    );
}

#[test]
fn one_that_passes_is_judged_on() {
    let mut stage = under_way(|_| {});
    stage.converge();
    assert!(stage.verdict(Answer::Yes).is_empty());
    assert_eq!((stage.beside(), stage.machine.next_deadline()), (None, Some(stage.now + secs(10))));
    stage.wait(10);
    assert_eq!(stage.beside().as_deref(), Some("checkout/2/2/background/golden#2"));
    assert_eq!(stage.message(), "paused for 1m, 50s left");
}

#[test]
fn straight_to_the_end_nothing_is_judged() {
    let mut stage = under_way(|_| {});
    stage.order(Verb::PromoteFull);
    assert_eq!((stage.weight("green"), stage.beside()), (10_000, None));
}

#[test]
fn a_verdict_on_a_switch_takes_it_back_also_while_it_is_held() {
    let templates: Vec<Arc<str>> = vec!["golden".into()];
    let judged = BlueGreen { post_promotion_analysis: templates.clone(), ..BlueGreen::default() };
    let mut stage = Stage::new(Strategy::BlueGreen(judged));
    stage.target("green");
    stage.converge();
    stage.converge();
    assert_eq!(stage.weight("green"), 10_000);
    let asks = stage.machine.asks();
    assert_eq!(asks[0].question, Question::Analysis { templates, background: false });
    stage.order(Verb::Pause);
    assert_eq!(stage.machine.asks(), asks);
    let decision = Arc::clone(&asks[0].decision);
    let entries = stage.input(Input::Answer { decision, answer: Answer::No("slow".to_owned()) });
    assert_eq!(entries[0].why, "aborted: analysis golden fails: slow");
    assert_eq!((stage.phase(), stage.weight("blue")), (Phase::Degraded, 10_000));
}

#[test]
fn a_simulation_has_it_fail_as_soon_as_it_begins() {
    use crate::rollout::simulate::{Setting, simulate};
    let spec = Arc::new(rollout("blue", judged(2, &steps())));
    let run = |passes| {
        let templates = [("golden".into(), passes)].into();
        simulate(&spec, &"green".into(), &Setting { templates, promote: true, ..Setting::default() }).end
    };
    assert_eq!(run(true).phase, Phase::Healthy);
    let end = run(false);
    assert_eq!((end.phase, end.at), (Phase::Degraded, secs(2)));
    assert!(end.message.starts_with("aborted: background analysis golden fails: simulated no; "), "{}", end.message);
}
