use proptest::prelude::*;

use super::*;
use crate::spec::{Admitted, Options};

/// A rollout as the format has it, to be had under any name and in any file.
fn rollout(name: usize, share: usize) -> Arc<Rollout> {
    let text = format!(
        "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: r{name}}}\nspec:\n  versions:\n    \
         a: {{endpoints: [\"10.0.0.1:80\"]}}\n    b: {{endpoints: [\"10.0.0.2:80\"]}}\n  target: a\n  \
         strategy: {{weights: {{a: {}, b: {share}}}}}\n",
        100 - share
    );
    let files = [("f".into(), text.into())].into();
    let set = Admitted::restore(&files, &Options::default()).expect("good").spec_set();
    Arc::clone(&set.files["f"].rollouts[0])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is told of an edit is what a look at all files finds, also where two files define one rollout.
    #[test]
    fn an_edit_touches_what_its_files_name(
        edits in prop::collection::vec((0..4_usize, prop::collection::vec((0..3_usize, 0..3_usize), 0..3)), 1..12),
    ) {
        let made: Vec<Vec<_>> = (0..3).map(|name| (0..3).map(|share| rollout(name, share)).collect()).collect();
        let (mut defined, mut before, mut set) = (Defined::default(), None, SpecSet::default());
        for (file, rollouts) in edits {
            let path: Arc<str> = format!("f{file}").into();
            if rollouts.is_empty() {
                set.files.remove(&path);
            } else {
                let rollouts = rollouts.iter().map(|(name, share)| Arc::clone(&made[*name][*share])).collect();
                let spec = crate::spec::FileSpec { path: Arc::clone(&path), rollouts, ..Default::default() };
                set.files.insert(path, Arc::new(spec));
            }
            let told = defined.take(before.as_ref(), &set);
            let mut first: BTreeMap<&str, &Arc<Rollout>> = BTreeMap::new();
            for rollout in set.files.values().flat_map(|file| &file.rollouts) {
                first.entry(&rollout.name).or_insert(rollout);
            }
            for (name, rollout) in told.iter().flatten() {
                prop_assert_eq!(rollout.map(Arc::as_ptr), first.get(&**name).map(|rollout| Arc::as_ptr(rollout)));
            }
            let changes: Vec<_> = set.changes_from(before.as_ref().unwrap_or(&SpecSet::default())).map(|c| (c.was.cloned(), c.is.cloned())).collect();
            let files = changes.into_iter().flat_map(|(was, is)| was.into_iter().chain(is));
            let names: BTreeSet<_> = files.flat_map(|file| file.rollouts.clone()).map(|rollout| Arc::clone(&rollout.name)).collect();
            prop_assert_eq!(told.map(|told| told.into_keys().collect::<BTreeSet<_>>()).unwrap_or_default(), names);
            before = Some(set.clone());
        }
    }
}
