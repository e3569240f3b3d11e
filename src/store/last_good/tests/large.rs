//! Where what is remembered is large, so that changes are appended.

use proptest::prelude::*;

use super::*;

const CHANGES: &str = "last-good.changes.jsonl";

/// Eighty files, more than is written anew for one of them.
fn large() -> Files {
    let text: Arc<str> = "# a line of a rollout, quoted \"so\"\n".repeat(60).into();
    (0..80).map(|index| (format!("rollouts/{index}.yaml").into(), Arc::clone(&text))).collect()
}

fn edited(files: &Files, index: usize, text: &str) -> Files {
    let mut files = files.clone();
    files.insert(format!("rollouts/{index}.yaml").into(), text.into());
    files
}

/// With the large set saved, then one edit of it, then another.
fn appended() -> (Store, [Files; 3]) {
    let mut store = Store::new();
    let first = large();
    let second = edited(&first, 7, "a: 1");
    let third = edited(&second, 8, "a: 2");
    let all = [first, second, third];
    for files in &all {
        store.state.save_last_good(files).unwrap();
    }
    (store, all)
}

fn inode(store: &Store) -> u64 {
    fs::metadata(store.at(NAME)).unwrap().ino()
}

#[test]
fn an_edit_is_appended_and_nothing_else_written() {
    let (mut store, [_, second, third]) = appended();
    assert!(!store.at("last-good.json.1").exists(), "the document is the first");
    assert_eq!(fs::read_to_string(store.at(CHANGES)).unwrap().lines().count(), 2);
    assert_eq!(store.load(), undamaged(third.clone()));
    assert_eq!(store.state.load_before_last_good().unwrap(), second);
    assert_eq!(fs::metadata(store.at(CHANGES)).unwrap().permissions().mode() & 0o777, 0o600);
    // Another process goes on where this one ended.
    let before = inode(&store);
    store.state.saved = None;
    store.state.save_last_good(&third).unwrap();
    let mut fourth = third;
    fourth.remove("rollouts/9.yaml");
    store.state.save_last_good(&fourth).unwrap();
    assert_eq!((store.load(), inode(&store)), (undamaged(fourth), before));
}

#[test]
fn many_changes_make_a_new_document() {
    let (mut store, [.., mut files]) = appended();
    let (first, mut before) = (inode(&store), files.clone());
    let mut index = 0;
    while inode(&store) == first {
        assert_eq!(store.load(), undamaged(files.clone()));
        before = files.clone();
        files = edited(&files, index % 80, &"b: 1\n".repeat(1_000 + index));
        store.state.save_last_good(&files).unwrap();
        index += 1;
    }
    assert_eq!(store.load(), undamaged(files.clone()));
    assert_eq!(store.state.load_before_last_good().unwrap(), before, "the changes are kept as long as their document");
    let last = edited(&files, 1, "c: 1");
    store.state.save_last_good(&last).unwrap();
    assert_eq!(store.load(), undamaged(last));
    fs::write(store.at(NAME), "{").unwrap();
    assert_eq!(store.load().files, before, "the version before that document");
}

#[test]
fn cut_off_anywhere_leaves_the_changes_before() {
    let (mut store, [first, second, third]) = appended();
    let whole = fs::read(store.at(CHANGES)).unwrap();
    let line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in (0..whole.len()).step_by(17).chain(line - 2..line + 2).chain([whole.len() - 1]) {
        fs::write(store.at(CHANGES), &whole[..length]).unwrap();
        let wanted = if length < line { &first } else { &second };
        assert_eq!(store.load().files, *wanted, "cut off at {length}");
        assert_eq!(store.load().damaged.is_empty(), length <= line, "cut off at {length}");
    }
    // What somebody else has touched is not appended to.
    store.state.save_last_good(&third).unwrap();
    assert_eq!(store.load(), undamaged(third));
}

#[test]
fn a_changed_byte_never_gives_a_set_that_never_was() {
    let (store, all) = appended();
    let whole = fs::read(store.at(CHANGES)).unwrap();
    for at in (0..whole.len()).step_by(11) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(store.at(CHANGES), &changed).unwrap();
        assert!(all.contains(&store.load().files), "changed at {at}");
    }
}

/// The states in which a crash can leave the directory while a new document replaces one with changes.
#[test]
fn a_crash_between_the_renames_loses_nothing() {
    let (mut store, [.., third]) = appended();
    fs::rename(store.at(CHANGES), store.at(&format!("{CHANGES}.1"))).unwrap();
    assert_eq!(store.load(), undamaged(third.clone()), "the changes are set aside");
    fs::rename(store.at(NAME), store.at("last-good.json.1")).unwrap();
    assert_eq!(store.load(), undamaged(third.clone()), "and the document");
    store.state.save_last_good(&third).unwrap();
    assert_eq!(store.load(), undamaged(third));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Whatever is edited, and whenever the process ends: what was saved last is loaded, and what was saved before it.
    #[test]
    fn what_was_saved_last_is_loaded(
        edits in prop::collection::vec((0..80_usize, 0..4_usize, any::<bool>()), 1..16),
    ) {
        let mut store = Store::new();
        let (mut files, mut before) = (large(), None);
        store.state.save_last_good(&files).unwrap();
        for (index, size, restarts) in edits {
            let mut next = files.clone();
            match size {
                0 => drop(next.remove(&*format!("rollouts/{index}.yaml"))),
                _ => next = edited(&files, index, &"d: 1\n".repeat(size * size * 400)),
            }
            if next != files {
                before = Some(files);
            }
            files = next;
            if restarts {
                store.state.saved = None;
            }
            store.state.save_last_good(&files).unwrap();
            prop_assert_eq!(store.load(), undamaged(files.clone()));
            prop_assert_eq!(store.state.load_before_last_good().unwrap(), before.clone().unwrap_or_default());
        }
    }
}
