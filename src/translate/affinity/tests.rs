use proptest::prelude::*;

use super::*;
use crate::spec::{Backend, BlueGreen, Convergence, Origin, Split, Strategy as RolloutStrategy, TOTAL_WEIGHT, Version};

fn rollout(name: &str, versions: &[String]) -> Rollout {
    let version = |name: &String| Version {
        name: name.as_str().into(),
        backend: Backend::Existing(name.as_str().into()),
        cluster_name: name.as_str().into(),
    };
    Rollout {
        name: name.into(),
        nodes: Arc::default(),
        versions: versions.iter().map(version).collect(),
        target: None,
        strategy: RolloutStrategy::BlueGreen(BlueGreen::default()),
        convergence: Convergence::default(),
        progress_deadline: std::time::Duration::from_secs(600),
        progress_deadline_abort: false,
        rollback_window: 0,
        webhooks: Vec::new(),
        promotion_windows: Vec::new(),
        group: None,
        capacity_gate: None,
        origin: Origin { file: "a.yaml".into(), line: 1, column: 1 },
    }
}

fn traffic(rollout: &Rollout, weights: &[u32]) -> Traffic {
    let names = rollout.versions.iter().map(|version| Arc::clone(&version.name));
    let affinity = Some(Affinity::Header("x-user-id".into()));
    Traffic { affinity, ..Traffic::of(Split(names.zip(weights.iter().copied()).collect())) }
}

fn two(name: &str) -> Rollout {
    rollout(name, &["blue".to_owned(), "green".to_owned()])
}

#[test]
fn the_hash_is_that_of_envoy() {
    // xxhsum -H64, seed 0
    for (text, hash) in [
        ("", 0xef46_db37_51d8_e999),
        ("a", 0xd24e_c4f1_a98c_6e5b),
        ("abc", 0x44bc_2cf5_ad77_0999),
        ("Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
    ] {
        assert_eq!(XxHash64::oneshot(0, text.as_bytes()), hash, "{text:?}");
    }
}

#[test]
fn without_affinity_or_weights_nobody_can_tell() {
    let rollout = two("shop");
    let mut traffic = traffic(&rollout, &[5_000, 5_000]);
    assert!(version_of_user(&rollout, &traffic, "u1").is_some());
    traffic.affinity = None;
    assert_eq!(version_of_user(&rollout, &traffic, "u1"), None);
    let nothing = Traffic { affinity: Some(Affinity::Cookie("id".into())), ..Traffic::of(Split(Vec::new())) };
    assert_eq!(version_of_user(&rollout, &nothing, "u1"), None);
}

#[test]
fn rollouts_do_not_pick_the_same_users() {
    let on_green = |name: &str| {
        let rollout = two(name);
        let traffic = traffic(&rollout, &[7_500, 2_500]);
        (0..10_000)
            .map(move |user| version_of_user(&rollout, &traffic, &user.to_string()).expect("a version").len() == 5)
    };
    let (a, b) = (on_green("checkout"), on_green("cart"));
    let both = a.zip(b).filter(|(a, b)| *a && *b).count();
    // Independent: 625 of 10,000, with a standard deviation of 24.
    assert!((500..750).contains(&both), "{both}");
}

#[test]
fn the_share_of_users_is_the_weight() {
    let rollout = two("shop");
    for weight in [1, 100, 500, 2_500, 5_000, 9_900, TOTAL_WEIGHT] {
        let traffic = traffic(&rollout, &[TOTAL_WEIGHT - weight, weight]);
        let users = 20_000;
        let on_green = |user: &u32| &**version_of_user(&rollout, &traffic, &user.to_string()).expect("one") == "green";
        let (seen, p) = ((0..users).filter(on_green).count(), f64::from(weight) / f64::from(TOTAL_WEIGHT));
        let seen = f64::from(u32::try_from(seen).expect("small"));
        let deviation = (f64::from(users) * p * (1.0 - p)).sqrt();
        assert!((seen - f64::from(users) * p).abs() <= 4.0 * deviation, "{weight}: {seen} of {users}");
    }
}

#[test]
fn names_are_taken_literally_in_patterns() {
    let pattern = |policy: HashPolicy| match policy.policy_specifier {
        Some(PolicySpecifier::Header(header)) => {
            let rewrite = header.regex_rewrite.expect("a rewrite");
            (header.header_name, rewrite.pattern.expect("a pattern").regex, rewrite.substitution)
        }
        other => panic!("{other:?}"),
    };
    let (header, regex, salt) = pattern(hash_policy(&Affinity::Cookie("a.b_c+1".into()), r"sh\1op"));
    assert_eq!((&*header, &*regex, &*salt), ("cookie", r"^(?:.*?; *)??a\.b_c\+1=([^;]+).*$", r"sh\\1op:\1"));
    let (header, regex, salt) = pattern(hash_policy(&Affinity::Header("x-user-id".into()), "shop"));
    assert_eq!((&*header, &*regex, &*salt), ("x-user-id", "^(.*)$", r"shop:\1"));
}

proptest! {
    /// Wherever the new version stands among any number of others: none of its users goes back while no other rises.
    #[test]
    fn nobody_loses_the_version_that_grows(
        mut weights in prop::collection::vec(0..3_000_u32, 2..6),
        at in any::<prop::sample::Index>(),
        gives in prop::collection::vec(0..=100_u32, 6),
        users in prop::collection::vec("[a-z0-9-]{0,20}", 50),
    ) {
        let new = at.index(weights.len());
        weights[new] += TOTAL_WEIGHT - weights.iter().sum::<u32>().min(TOTAL_WEIGHT);
        let names: Vec<String> = (0..weights.len()).map(|i| format!("v{i}")).collect();
        let rollout = rollout("shop", &names);
        let before = traffic(&rollout, &weights);
        let mut after = weights.clone();
        for old in (0..weights.len()).filter(|old| *old != new) {
            let given = weights[old] * gives[old] / 100;
            after[old] -= given;
            after[new] += given;
        }
        let after = traffic(&rollout, &after);
        let in_use = weights.iter().enumerate().filter(|(i, weight)| *i != new && **weight > 0).count();
        for user in users {
            let (was, is) = (version_of_user(&rollout, &before, &user), version_of_user(&rollout, &after, &user));
            if was == Some(&rollout.versions[new].name) {
                prop_assert_eq!(is, was, "{} lost the new version", user);
            }
            if in_use == 1 && is != was {
                prop_assert_eq!(is, Some(&rollout.versions[new].name), "{} moved between old versions", user);
            }
        }
    }
}
