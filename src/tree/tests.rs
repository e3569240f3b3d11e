use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A step over a map and what a `BTreeMap` makes of it.
#[derive(Debug, Clone)]
enum Step {
    Insert(u16, u8),
    Remove(u16),
}

fn steps(keys: u16, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..keys, 0_u8..3).prop_map(|(key, value)| Step::Insert(key, value)),
        2 => (0..keys).prop_map(Step::Remove),
    ];
    proptest::collection::vec(step, 0..most)
}

fn walk(map: &mut Map<u16, u8>, model: &mut BTreeMap<u16, u8>, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Insert(key, value) => assert_eq!(map.insert(*key, *value), model.insert(*key, *value)),
            Step::Remove(key) => assert_eq!(map.remove(key), model.remove(key)),
        }
    }
}

fn as_model(map: &Map<u16, u8>) -> BTreeMap<u16, u8> {
    map.iter().map(|(key, value)| (*key, *value)).collect()
}

fn differences(before: &BTreeMap<u16, u8>, after: &BTreeMap<u16, u8>) -> Vec<(u16, Option<u8>, Option<u8>)> {
    let keys: BTreeSet<u16> = before.keys().chain(after.keys()).copied().collect();
    let pairs = keys.into_iter().map(|key| (key, before.get(&key).copied(), after.get(&key).copied()));
    pairs.filter(|(_, was, is)| was != is).collect()
}

fn shape<K: Ord, V>(node: &Node<K, V>, root: bool) -> usize {
    assert!(node.len() <= MAX && (root || node.len() > 0));
    let Node::Branch(children) = node else { return 0 };
    let heights: Vec<usize> = children.iter().map(|(_, child)| shape(child, false)).collect();
    assert!(heights.iter().all(|height| *height == heights[0]), "leaves of different depth");
    assert!(children.iter().all(|(first, child)| child.first() == Some(first)));
    heights[0] + 1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn is_a_map_and_tells_its_changes(
        start in proptest::collection::btree_map(0_u16..2_000, 0_u8..3, 0..900),
        first in steps(2_000, 1_200),
        then in steps(2_000, 60),
    ) {
        let (mut map, mut model): (Map<_, _>, _) = (start.clone().into_iter().collect(), start);
        walk(&mut map, &mut model, &first);
        let (before, before_model) = (map.clone(), model.clone());
        walk(&mut map, &mut model, &then);
        shape(&map.root, true);
        prop_assert_eq!((map.len(), map.iter().len()), (model.len(), model.len()));
        prop_assert_eq!(as_model(&map), model.clone());
        prop_assert_eq!(as_model(&before), before_model.clone(), "a copy changed with what was copied from it");
        for key in 0..2_000 {
            prop_assert_eq!(map.get(&key), model.get(&key));
        }
        let told: Vec<_> = map.changes_from(&before).map(|c| (*c.key, c.was.copied(), c.is.copied())).collect();
        prop_assert_eq!(told, differences(&before_model, &model));
        prop_assert_eq!(map == before, model == before_model);
        let alone: Map<_, _> = model.into_iter().collect();
        prop_assert!(alone == map && map.changes_from(&alone).next().is_none());
    }
}

thread_local! {
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn what_is_shared_is_not_looked_at() {
    let before: Map<u32, u32> = (0..20_000).map(|key| (key, 0)).collect();
    let mut after = before.clone();
    after.insert(7_000, 1);
    after.insert(20_001, 1);
    after.remove(&15_000);
    LOOKS.set(0);
    let told = after.changes_by(&before, |a, b| {
        LOOKS.set(LOOKS.get() + 1);
        a == b
    });
    assert_eq!(told.map(|change| *change.key).collect::<Vec<_>>(), [7_000, 15_000, 20_001]);
    assert!(LOOKS.get() <= 3 * MAX, "{} values were compared", LOOKS.get());
}
