//! Holdings beside a map that writes everything down.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::xds::subscription::Subscription;
use crate::xds::{ClientKind, ResourceType};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What happens to a client's holdings, by the index of a name and some content.
#[derive(Debug, Clone)]
enum Step {
    Sent(usize, u8),
    Acked(usize),
    Vanished(usize),
    Removed(usize),
    Narrowed(usize),
    /// Settled on a set with these contents, wanting these names of it (all, if none).
    Rebased([Option<u8>; 4], Vec<usize>),
    /// Sent all that it wants of such a set, having nothing; acknowledged after the steps between.
    SentAll([Option<u8>; 4], Vec<usize>),
    AckedAll,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let set = prop::array::uniform4(prop::option::of(0..3_u8));
    prop_oneof![
        4 => (name.clone(), 0..3_u8).prop_map(|(name, content)| Step::Sent(name, content)),
        4 => name.clone().prop_map(Step::Acked),
        1 => name.clone().prop_map(Step::Vanished),
        1 => name.clone().prop_map(Step::Removed),
        1 => name.clone().prop_map(Step::Narrowed),
        4 => (set.clone(), prop::collection::vec(name.clone(), 0..4)).prop_map(|(set, wanted)| Step::Rebased(set, wanted)),
        2 => (set, prop::collection::vec(name, 0..4)).prop_map(|(set, wanted)| Step::SentAll(set, wanted)),
        2 => Just(Step::AckedAll),
    ]
}

fn resource(name: usize, content: u8) -> Arc<Resource> {
    Arc::new(Resource::new(NAMES[name], Bytes::copy_from_slice(&[content])))
}

fn wanted(names: &[usize]) -> Wanted {
    let names: Vec<_> = names.iter().map(|name| NAMES[*name].to_owned()).collect();
    let mut subscription = Subscription::default();
    subscription.replace(ResourceType::Cluster, ClientKind::Other, &names);
    subscription.wanted().clone()
}

fn sent(held: &mut Held, resource: &Arc<Resource>) {
    (held.version, held.body, held.acked) = (Some(resource.version), Some(Arc::clone(resource)), false);
}

fn set(contents: [Option<u8>; 4]) -> Arc<TypeSet> {
    let resources = contents.iter().enumerate();
    Arc::new(TypeSet::new(resources.filter_map(|(name, content)| Some(resource(name, (*content)?)))))
}

proptest! {
    #[test]
    fn what_is_shared_is_what_was_written_down(steps in prop::collection::vec(step(), 0..40)) {
        let mut holdings = Holdings::default();
        let mut plain: BTreeMap<Arc<str>, Held> = BTreeMap::new();
        let mut in_flight = None;
        for step in steps {
            match step {
                Step::Sent(name, content) => {
                    let resource = resource(name, content);
                    sent(holdings.entry(&resource.name), &resource);
                    sent(plain.entry(Arc::clone(&resource.name)).or_default(), &resource);
                }
                Step::Acked(name) => {
                    holdings.get_mut(NAMES[name]).into_iter().for_each(Held::acked);
                    plain.get_mut(NAMES[name]).into_iter().for_each(Held::acked);
                }
                Step::Vanished(name) => {
                    holdings.get_mut(NAMES[name]).into_iter().for_each(|held| held.vanished = Some(1));
                    plain.get_mut(NAMES[name]).into_iter().for_each(|held| held.vanished = Some(1));
                }
                Step::Removed(name) => {
                    holdings.remove(&NAMES[name].into());
                    plain.remove(NAMES[name]);
                }
                Step::Narrowed(name) => {
                    holdings.retain(|held| held != NAMES[name]);
                    plain.retain(|held, _| &**held != NAMES[name]);
                }
                Step::Rebased(contents, names) => {
                    holdings.rebase(&set(contents), &wanted(&names));
                }
                Step::SentAll(contents, names) => {
                    let (set, wanted) = (set(contents), wanted(&names));
                    (holdings, plain) = Default::default();
                    holdings.sent_all(&set, &wanted);
                    for resource in set.iter().filter(|resource| wanted.covers(&resource.name)) {
                        sent(plain.entry(Arc::clone(&resource.name)).or_default(), resource);
                    }
                    in_flight = Some((set, wanted));
                }
                Step::AckedAll => {
                    let Some((set, wanted)) = in_flight.take() else { continue };
                    for resource in set.iter().filter(|resource| wanted.covers(&resource.name)) {
                        let same = |held: &&mut Held| held.version == Some(resource.version);
                        plain.get_mut(&resource.name).filter(same).into_iter().for_each(Held::acked);
                    }
                    if !holdings.acked_all(&set) {
                        for resource in set.iter().filter(|resource| wanted.covers(&resource.name)) {
                            let same = |held: &&mut Held| held.version == Some(resource.version);
                            holdings.get_mut(&resource.name).filter(same).into_iter().for_each(Held::acked);
                        }
                    }
                }
            }
            let mut told: Vec<_> = holdings.names().cloned().collect();
            told.sort();
            prop_assert_eq!(told, plain.keys().cloned().collect::<Vec<_>>());
            for name in NAMES {
                let look = |held: Having<'_>| format!("{held:?}");
                prop_assert_eq!(holdings.get(name).map(look), plain.get(name).map(|held| look(held.into())));
            }
        }
    }
}

#[test]
fn who_has_settled_keeps_nothing_of_its_own() {
    let set = Arc::new(TypeSet::new((0..NAMES.len()).map(|name| resource(name, 0))));
    let mut holdings = Holdings::default();
    for resource in set.iter() {
        sent(holdings.entry(&resource.name), resource);
        holdings.get_mut(&resource.name).into_iter().for_each(Held::acked);
    }
    holdings.rebase(&set, &wanted(&[]));
    assert!(holdings.own.is_empty());

    let changed = resource(1, 1);
    sent(holdings.entry(&changed.name), &changed);
    holdings.get_mut(&changed.name).into_iter().for_each(Held::acked);
    assert_eq!(holdings.own.len(), 1);
    holdings.rebase(&set.with([(&changed.name, Some(Arc::clone(&changed)))]), &wanted(&[]));
    assert!(holdings.own.is_empty());
}
