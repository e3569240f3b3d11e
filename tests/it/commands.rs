//! The commands about rollouts, on the built program, as scripts and people call them; and promotion windows, which
//! commands go past.

use serde_json::json;

use crate::quiet::Quiet;
use crate::rig::eventually;
use crate::rig::process::Process;
use crate::site::LIMIT;

const STEPS: &str = "{canary: {steps: [{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {}}]}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_by_its_exit_code_how_it_ended() {
    let quiet = Quiet::new(STEPS).await;
    assert_eq!(quiet.run("status shop --timeout 0s").await.code, 0);
    assert_eq!(quiet.run("status nothing --timeout 0s").await.code, 2);
    assert_eq!(quiet.run("status shop --server http://127.0.0.1:1").await.code, 2);
    quiet.edit("green");
    quiet.says("paused until promoted").await;
    let waited = quiet.run("status shop --timeout 0s").await;
    assert_eq!(waited.code, 1, "{waited:?}");
    assert!(waited.err.contains("not done after 0s: paused until promoted: serin promote shop"), "{waited:?}");

    let mut command = quiet.cli("status shop --target green --timeout 5m");
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let full = quiet.run("promote shop --full --actor ann --reason tested").await;
    assert_eq!(full.code, 0, "{full:?}");
    assert_eq!(ended.await.unwrap().status.code(), Some(0));

    quiet.edit("blue");
    quiet.says("paused until promoted").await;
    assert_eq!(quiet.run("abort shop").await.code, 0);
    let degraded = quiet.run("status shop --timeout 5m").await;
    assert_eq!(degraded.code, 1, "{degraded:?}");
    assert!(degraded.out.contains("shop is Degraded"), "{degraded:?}");
    let history = quiet.run("history shop").await;
    assert!(history.out.contains("ann") && history.out.contains("(tested)"), "{history:?}");
    let why = quiet.run("why shop").await;
    assert!(why.out.starts_with("shop is Degraded"), "{why:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_promote_at_once_pass_one_pause() {
    let quiet = Quiet::new(STEPS).await;
    quiet.edit("green");
    let seen = quiet.says("paused until promoted").await["sequence"].clone();
    let line = format!("promote shop --seen {seen}");
    let (one, other) = tokio::join!(quiet.run(&line), quiet.run(&line));
    let (done, refused) = if one.code == 0 { (one, other) } else { (other, one) };
    assert_eq!((done.code, refused.code), (0, 1), "{done:?} {refused:?}");
    assert!(refused.err.contains(&format!("changed since you looked: you saw transition {seen}")), "{refused:?}");
    let status = quiet.until("the second pause", |status| status["step"]["index"] == 4).await;
    assert_eq!(status["weights"][1]["weight"], 60.0);
    for (line, words) in [
        ("resume shop", "not paused by a command: promote goes past the pause it is at"),
        ("retry shop", "not aborted"),
    ] {
        let refused = quiet.run(line).await;
        assert!(refused.code == 1 && refused.err.contains(words), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_prints_a_line_for_each_change() {
    let quiet = Quiet::new(STEPS).await;
    let log = quiet.site.path().join("watch.log");
    let watch = Process::start(quiet.cli("get shop --watch"), &log).unwrap();
    let printed = async |words: &str| {
        let waited = eventually(words, LIMIT, async || Ok(watch.printed()?.contains(words).then_some(())));
        waited.await.unwrap_or_else(|error| panic!("{error:#}: {}", watch.printed().unwrap()));
    };
    printed("Message:     blue carries all traffic\n").await;
    quiet.edit("green");
    printed("shop is Paused at step 2/4 (pause until promoted), blue 80% green 20%").await;
    quiet.order("promote", json!({"actor": "test", "full": true})).await;
    printed("shop is Healthy, green 100%, no nodes: green carries all traffic\n").await;
    assert!(!watch.printed().unwrap().contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_stands_until_the_file_changes() {
    // Without the window it takes the steps, as `undo` of Argo Rollouts does.
    let mut quiet = Quiet::new(&format!("{STEPS}\n  rollbackWindow: {{revisions: 3}}")).await;
    quiet.edit("green");
    quiet.says("paused until promoted").await;
    assert_eq!(quiet.run("promote shop --full").await.code, 0);
    quiet.healthy("green").await;
    let undone = quiet.run("undo shop --reason leaks").await;
    assert_eq!(undone.code, 0, "{undone:?}");
    quiet.until("blue", |status| status["stable"] == "blue" && status["phase"] == "Healthy").await;
    quiet.restart(|| {}).await;
    let status = quiet.says("blue carries all traffic by undo; the file still names green").await;
    assert_eq!((&status["undone"], &status["target"]), (&json!(true), &json!("blue")));
    let refused = quiet.run("undo shop --to-revision 77").await;
    assert!(refused.code == 1 && refused.err.contains("no stable version is known from revision 77"), "{refused:?}");
    quiet.edit("blue");
    let status = quiet.until("the file's word", |status| status["undone"] == false).await;
    assert_eq!((&status["stable"], &status["phase"]), (&json!("blue"), &json!("Healthy")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promotion_window_holds_what_rises_and_nothing_else() {
    let window = "\n  promotionWindows: [{kind: Deny, rrule: \"FREQ=YEARLY\", duration: 8784h}]";
    let quiet = Quiet::new(&format!("{STEPS}{window}")).await;
    quiet.edit("green");
    let status = quiet.says("waiting for a promotion window: a Deny window is on (FREQ=YEARLY), at least ").await;
    assert_eq!((&status["phase"], &status["weights"][1]["weight"]), (&json!("Paused"), &json!(0.0)));
    let refused = quiet.run("promote shop").await;
    assert!(refused.code == 1 && refused.err.contains("promote --full does not wait for it"), "{refused:?}");
    assert_eq!(quiet.run("abort shop").await.code, 0);
    quiet.until("the abort", |status| status["phase"] == "Degraded").await;
    assert_eq!(quiet.run("retry shop").await.code, 0);
    quiet.says("waiting for a promotion window").await;
    assert_eq!(quiet.run("promote shop --full").await.code, 0);
    quiet.healthy("green").await;
    // What people undo is none of its business.
    assert_eq!(quiet.run("undo shop").await.code, 0);
    quiet.says("paused until promoted").await;
}
