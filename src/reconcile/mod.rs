//! The pure root: inputs in, effects out. It routes and never decides: splits come from [`crate::rollout`], resources
//! from [`crate::translate`]. One task owns the [`Reconciler`], feeds it what happens and carries out what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::rollout;
use crate::spec::{Served, SpecSet, Traffic};
use crate::translate::World;

mod message;

pub use message::{Message, Reply};

/// For whoever passes messages on: the word that was probably meant.
pub use crate::spec::suggest;

/// What happens.
#[derive(Debug, Clone)]
pub enum Input {
    /// The documents in force, after each load. The first is the first full load: nothing is published before.
    Spec(Arc<SpecSet>),
}

/// What is to be done, in order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Serve this from now on.
    Publish(Arc<World>),
}

/// The pure root.
#[derive(Debug, Default)]
pub struct Reconciler {
    /// What was served before this process, by itself never published.
    before: World,
    /// What is published, and the documents it was made of.
    published: Option<(Arc<SpecSet>, Arc<World>)>,
}

impl Reconciler {
    /// Goes on after an earlier process that served these, oldest first: proxies that come back may still have them,
    /// and what they have decides in which order they are sent what is new.
    #[must_use]
    pub fn after(past: &[SpecSet]) -> Self {
        let before = past.iter().fold(World::default(), |world, spec| world.next(spec, &traffic(spec)));
        Self { before, published: None }
    }

    /// Takes one input at `now`, the time since the process started.
    pub fn handle(&mut self, _now: Duration, input: Input) -> Vec<Effect> {
        match input {
            Input::Spec(spec) => self.handle_spec(spec),
        }
    }

    fn handle_spec(&mut self, spec: Arc<SpecSet>) -> Vec<Effect> {
        let world = match &self.published {
            Some((published, _)) if *published == spec => return Vec::new(),
            Some((_, world)) => world.next(&spec, &traffic(&spec)),
            None => self.before.next(&spec, &traffic(&spec)),
        };
        let world = Arc::new(world);
        self.published = Some((spec, Arc::clone(&world)));
        vec![Effect::Publish(world)]
    }
}

/// By name. Of two rollouts with one name the first counts, as in [`World`].
fn traffic(spec: &SpecSet) -> BTreeMap<Arc<str>, Served> {
    let mut traffic = BTreeMap::new();
    for rollout in spec.files.values().flat_map(|file| &file.rollouts) {
        traffic.entry(Arc::clone(&rollout.name)).or_insert_with(|| Traffic::of(rollout::split(rollout)).into());
    }
    traffic
}

#[cfg(test)]
mod tests;
