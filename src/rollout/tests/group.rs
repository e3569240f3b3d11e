use super::super::group::{Place, Word, judge};
use super::*;

/// Members of one group, by name.
struct Group(Vec<(Arc<str>, Stage)>);

impl Group {
    fn new(members: &[(&str, &[Step])]) -> Self {
        Self(
            members
                .iter()
                .map(|(name, steps)| {
                    let mut spec = rollout("blue", canary(steps));
                    spec.name = (*name).into();
                    spec.group = Some("shop".into());
                    ((*name).into(), Stage::of(spec))
                })
                .collect(),
        )
    }

    fn of(&mut self, name: &str) -> &mut Stage {
        &mut self.0.iter_mut().find(|(known, _)| **known == *name).expect("member").1
    }

    fn words(&self) -> Vec<(Arc<str>, Word)> {
        let places: Vec<_> = self.0.iter().map(|(name, stage)| (Arc::clone(name), stage.machine.place())).collect();
        judge("shop", &places)
    }

    /// Hands out words until they change nothing more.
    fn settle(&mut self) -> Vec<Arc<str>> {
        let mut aborted = Vec::new();
        loop {
            let before: Vec<_> = self.0.iter().map(|(_, stage)| stage.machine.record()).collect();
            for (name, word) in self.words() {
                aborted.extend(matches!(word, Word::Abort(_)).then(|| Arc::clone(&name)));
                self.of(&name).input(word.into());
            }
            if self.0.iter().map(|(_, stage)| stage.machine.record()).eq(before) {
                return aborted;
            }
        }
    }

    fn converge(&mut self, name: &str) {
        self.of(name).converge();
        self.settle();
    }

    fn start(&mut self, names: &[&str]) {
        for name in names {
            self.of(name).target("green");
        }
        self.settle();
    }

    fn weights(&self) -> Vec<u32> {
        self.0.iter().map(|(_, stage)| stage.weight("green")).collect()
    }
}

const FEW: &[Step] = &[Step::SetWeight(1_000)];
const MANY: &[Step] = &[Step::SetWeight(1_000), Step::SetWeight(2_000), Step::SetWeight(3_000)];

#[test]
fn members_enter_each_step_together_and_end_together() {
    let mut group = Group::new(&[("cart", MANY), ("checkout", MANY), ("search", FEW), ("stock", MANY)]);
    group.start(&["cart", "checkout", "search"]);
    assert_eq!(group.weights(), [1_000, 1_000, 1_000, 0], "stock is not under way");
    group.converge("cart");
    group.converge("search");
    assert_eq!(group.weights(), [1_000, 1_000, 1_000, 0]);
    assert_eq!(group.of("cart").message(), "waiting for checkout of group shop (0s)");
    assert_eq!((group.of("cart").phase(), group.of("checkout").phase()), (Phase::Paused, Phase::Progressing));
    let refusal = group.of("cart").refused(Verb::Promote);
    assert!(refusal.ends_with("waiting for checkout of group shop; promote --full does not wait for it"), "{refusal}");
    group.converge("checkout");
    assert_eq!(group.weights(), [2_000, 2_000, 1_000, 0], "search has no second step, and waits for the end");
    group.converge("checkout");
    group.converge("cart");
    assert_eq!(group.weights(), [3_000, 3_000, 1_000, 0]);
    assert_eq!(group.of("search").message(), "waiting for cart, checkout of group shop (0s)");
    group.of("cart").order(Verb::Pause);
    group.converge("checkout");
    group.converge("cart");
    assert_eq!(group.weights(), [3_000, 3_000, 1_000, 0], "one is held");
    group.of("cart").order(Verb::Resume);
    group.settle();
    assert_eq!(group.weights(), [10_000, 10_000, 10_000, 0]);
    for name in ["cart", "checkout", "search"] {
        group.converge(name);
        assert_eq!(group.of(name).phase(), Phase::Healthy);
    }
    assert_eq!(
        group.of("search").transcript(),
        "\
0s engine: seen for the first time: the file's target blue is taken as stable -> Healthy, blue stable, red 0 green 0 blue 100\n\
0s file: the file's target is green -> Progressing, green not begun, red 0 green 0 blue 100\n\
0s engine: starts -> Progressing, green step 1/1 setWeight 10, red 0 green 10 blue 90\n\
0s engine: 3/3 nodes have it after 0s; all steps are done; waits for cart, checkout of group shop -> Paused, green step 1/1 setWeight 10, red 0 green 10 blue 90\n\
0s engine: 3/3 nodes have it after 0s; all steps are done -> Progressing, all to green, red 0 green 100 blue 0\n\
0s engine: 3/3 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn one_that_starts_later_catches_up() {
    let mut group = Group::new(&[("cart", MANY), ("stock", MANY)]);
    group.start(&["cart"]);
    group.converge("cart");
    assert_eq!(group.weights(), [2_000, 0], "alone it need not wait");
    group.start(&["stock"]);
    group.converge("cart");
    assert_eq!(group.weights(), [2_000, 1_000]);
    group.converge("stock");
    group.converge("stock");
    assert_eq!(group.weights(), [3_000, 3_000]);
}

#[test]
fn one_failure_aborts_all_that_were_under_way_the_last_first() {
    let mut group = Group::new(&[("cart", MANY), ("checkout", MANY), ("search", MANY), ("stock", MANY)]);
    group.start(&["search", "checkout", "cart"]);
    group.of("checkout").nack("edge-1");
    assert_eq!(group.settle(), ["search".into(), "cart".into()]);
    let why = group.of("cart").entries.last().expect("entry").why.clone();
    assert_eq!(why, "aborted: group shop: checkout was aborted: edge-1 rejected RDS edge: unknown cluster");
    assert_eq!(group.weights(), [0; 4]);
    for (_, stage) in &mut group.0 {
        stage.now += secs(60);
        stage.input(Input::Tick);
    }
    group.start(&["stock"]);
    assert_eq!(group.weights(), [0, 0, 0, 1_000], "what failed before it began is not its concern");
    group.of("checkout").order(Verb::Retry);
    assert_eq!(group.settle(), [""; 0].map(Arc::from));
    assert_eq!(group.weights(), [0, 1_000, 0, 1_000]);
}

#[test]
fn a_failure_from_before_is_no_concern_whatever_the_clock_says() {
    let mut group = Group::new(&[("cart", MANY), ("checkout", MANY)]);
    group.start(&["checkout"]);
    group.of("checkout").order(Verb::Abort);
    group.of("cart").now -= secs(3_600);
    group.start(&["cart"]);
    assert_eq!(group.weights(), [1_000, 0]);
    group.of("cart").restart();
    group.of("checkout").order(Verb::Retry);
    group.settle();
    group.of("checkout").order(Verb::Abort);
    assert_eq!(group.settle(), ["cart".into()]);
}

#[test]
fn one_at_its_last_step_holds_up_nothing_but_the_end() {
    let mut group = Group::new(&[("cart", MANY), ("search", &[Step::SetWeight(1_000), Step::Pause(None)])]);
    group.start(&["cart", "search"]);
    group.converge("search");
    group.converge("cart");
    group.converge("cart");
    group.converge("cart");
    assert_eq!(group.weights(), [3_000, 1_000]);
    assert_eq!(group.of("cart").message(), "waiting for search of group shop (0s)");
    group.of("search").order(Verb::Promote);
    group.settle();
    assert_eq!(group.weights(), [10_000, 10_000]);
}

#[test]
fn of_many_the_first_three_are_named() {
    let names: Vec<_> = (0..6).map(|index| format!("m{index}")).collect();
    let members: Vec<_> = names.iter().map(|name| (name.as_str(), MANY)).collect();
    let mut group = Group::new(&members);
    group.start(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in ["m0", "m1"] {
        group.converge(name);
    }
    assert_eq!(group.of("m0").message(), "waiting for m2, m3, m4 and 1 more of group shop (0s)");
}

#[test]
fn a_member_on_the_way_back_is_idle() {
    let mut group = Group::new(&[("cart", MANY), ("stock", MANY)]);
    group.start(&["cart", "stock"]);
    group.of("stock").target("blue");
    assert_eq!(group.of("stock").machine.place(), Place::Idle);
    group.converge("cart");
    assert_eq!(group.weights(), [2_000, 0]);
}

#[test]
fn a_word_lets_one_step_pass() {
    let mut group = Group::new(&[("cart", &[Step::SetWeight(0), Step::SetWeight(0)])]);
    let stage = group.of("cart");
    stage.target("green");
    for step in [Some(1), Some(2), None] {
        stage.input(Input::Tick);
        stage.input(Input::Barrier(None));
        assert_eq!(
            stage.status().step.map(|step| step.index),
            step,
            "what its traffic leaves as it was is done at once"
        );
    }
}
