//! New versions that are bad in four ways or fine, judged by what three real Envoys measure of them: one rollout of
//! each. `make verdicts` makes more of them, and prints how soon.

#[path = "../../demo/verdicts/case.rs"]
mod case;
#[path = "../../demo/verdicts/fleet.rs"]
mod fleet;
#[path = "../../demo/verdicts/garbage.rs"]
mod garbage;
#[path = "../../demo/verdicts/relay.rs"]
mod relay;
#[path = "../../demo/verdicts/service.rs"]
mod service;
#[path = "../../demo/verdicts/trial.rs"]
mod trial;
#[path = "../../demo/verdicts/visitors.rs"]
mod visitors;

use std::time::Duration;

use case::{Case, Trouble};
use trial::{Outcome, Plan};

use crate::site::ENVOY;

async fn judged(case: Case, trouble: Trouble) {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan {
        case,
        trouble,
        seed: 1,
        weight: 25,
        connections: 20,
        every: Duration::from_millis(50),
        serin: env!("CARGO_BIN_EXE_serin").into(),
        envoy: ENVOY.clone(),
    };
    let Outcome { promoted, message, took, length, total, wrongs, story } =
        trial::run(&plan, dir.path()).await.unwrap();
    assert!(wrongs.is_empty(), "after {length:?}: {wrongs:#?}: {message}{story}");
    assert_eq!(promoted, case == Case::Fine);
    assert_eq!((total.harmed() == 0, took.is_none()), (promoted, promoted), "{total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails() {
    judged(Case::Fails, Trouble::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_slower_in_its_tail() {
    judged(Case::Tail, Trouble::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_slower_throughout() {
    judged(Case::Slower, Trouble::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_drops_dead() {
    judged(Case::Dead, Trouble::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_fine() {
    judged(Case::Fine, Trouble::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_while_a_proxy_is_cut_off() {
    judged(Case::Fails, Trouble::CutOff).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_fine_while_a_proxy_starts_again() {
    judged(Case::Fine, Trouble::Restarted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_while_a_proxy_sends_garbage() {
    judged(Case::Fails, Trouble::Garbage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_fine_while_a_proxy_sends_garbage() {
    judged(Case::Fine, Trouble::Garbage).await;
}
