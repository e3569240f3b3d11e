//! The state of one resource type on one stream: what the client asked for, holds, and has not answered yet.
//!
//! Types are independent sub-streams of the protocol; how they wait for each other is [`super::session`]'s business.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::held::{Held, Holdings};
use super::subscription::{Change, Subscription, Wanted};
use super::{Rejection, Resource, TypeSet, Version};

/// Bound on the error words kept of a NACK, in bytes: Envoy quotes whole resources in them.
const MAX_ERROR: usize = 2_048;

/// A response the client has not answered yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) nonce: u64,
    pub(super) sent_at: Duration,
    /// Version on the wire.
    pub(super) version: Version,
    /// Version of the group's set it was made from.
    pub(super) target: Version,
    /// What it set.
    pub(super) set: Carried,
    /// The generation it brings the client up to, if it leaves nothing back.
    pub(super) covers: Option<u64>,
}

/// What a response set.
#[derive(Debug)]
pub(super) enum Carried {
    /// All that the client wants of this set, where it had nothing before.
    All(Arc<TypeSet>, Wanted),
    /// These.
    Some(Vec<(Arc<str>, Version)>),
}

impl Carried {
    /// By name.
    fn to_vec(&self) -> Vec<(Arc<str>, Version)> {
        match self {
            Self::All(set, wanted) => {
                let wanted = set.iter().filter(|resource| wanted.covers(&resource.name));
                wanted.map(|resource| (Arc::clone(&resource.name), resource.version)).collect()
            }
            Self::Some(set) => set.clone(),
        }
    }
}

/// Whether a type is spoken of on a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Opened {
    #[default]
    No,
    /// By this side: the client has yet to say what it has.
    Unasked,
    /// The client has asked for it.
    Asked,
}

/// The state of one type.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) opened: Opened,
    pub(super) subscription: Subscription,
    pub(super) held: Holdings,
    /// Names under which the client may have something else than it should: all that [`super::plan`] looks at, besides
    /// `asked`. Of every other name it has what the snapshot has, or needs nothing.
    pub(super) loose: BTreeSet<Arc<str>>,
    pub(super) in_flight: VecDeque<InFlight>,
    /// Names that must be answered even if nothing changed.
    pub(super) asked: BTreeSet<Arc<str>>,
    /// The client waits for a first answer, be it empty.
    pub(super) answer_due: bool,
    /// State of the world only: the client came with a state whose content this side does not know.
    pub(super) unknown_state: bool,
    /// Content that is not sent again.
    pub(super) rejections: Vec<Rejection>,
    /// The version of the group's set whose content was rejected: nothing is sent until it changes.
    pub(super) blocked_on: Option<Version>,
    /// The newest generation whose content of this type the client has acknowledged in full.
    pub(super) caught_up: u64,
    /// The set the client was last reported to be settled on.
    pub(super) settled: Option<Version>,
}

impl Channel {
    pub(super) fn is_open(&self) -> bool {
        self.opened != Opened::No
    }

    /// How many names the client has brought.
    pub(super) fn named(&self) -> usize {
        let names = self.subscription.names();
        names.len() + self.held.unknown().filter(|name| !names.contains(name)).count()
    }

    /// Whether `name` in `version` was rejected and must not be sent.
    pub(super) fn rejected(&self, name: &str, version: Version) -> bool {
        self.rejections.iter().any(|rejection| rejection.suspects.get(name) == Some(&version))
    }

    /// Goes from the snapshot's set `before` to `target`, which is of that generation.
    pub(super) fn retarget(&mut self, before: &TypeSet, target: &TypeSet, generation: u64) {
        // What this node rejected on an earlier stream may be gone by the first.
        let tainted: Vec<_> = if generation == 1 { self.held.names().cloned().collect() } else { Vec::new() };
        for name in target.changes_from(before).chain(&tainted) {
            if let Some(held) = self.held.get(name) {
                let vanished = match target.get(name) {
                    Some(_) => None,
                    None => held.vanished.or(Some(generation)),
                };
                if held.vanished != vanished {
                    self.held.entry(name).vanished = vanished;
                }
            } else if !self.subscription.covers(name) {
                continue;
            }
            self.loose.insert(Arc::clone(name));
        }
    }

    /// Takes what a request changed about the subscription.
    pub(super) fn apply(&mut self, change: Change) {
        for name in &change.dropped {
            self.held.remove(name);
            self.asked.remove(name);
        }
        self.answer_due |= change.widened;
        if change.narrowed {
            self.held.retain(|name| self.subscription.covers(name));
        }
        self.asked.retain(|name| self.subscription.covers(name));
        self.asked.extend(change.asked);
        self.asked.extend(change.kept_by_wildcard);
    }

    /// Every name that the client wants or has.
    pub(super) fn all(&self, target: &TypeSet) -> BTreeSet<Arc<str>> {
        let wanted: BTreeSet<_> = if self.subscription.is_wildcard() {
            target.iter().map(|resource| Arc::clone(&resource.name)).collect()
        } else {
            self.subscription.names().iter().cloned().collect()
        };
        wanted.into_iter().chain(self.held.names().cloned()).chain(self.asked.iter().cloned()).collect()
    }

    /// Lets go of the names under which the client has what it should.
    pub(super) fn fasten(&mut self, target: &TypeSet) {
        let mut loose = std::mem::take(&mut self.loose);
        loose.retain(|name| {
            let held = self.held.get(name);
            match target.get(name).filter(|_| self.subscription.covers(name)) {
                Some(wanted) => {
                    held.and_then(|held| held.version) != Some(wanted.version) || self.rejected(name, wanted.version)
                }
                None => held.is_some_and(|held| held.vanished.is_some()),
            }
        });
        self.loose = loose;
    }

    /// Forgets rejections of content that `target` no longer has.
    pub(super) fn forgive(&mut self, target: &TypeSet) {
        let current = |name: &str, version: Version| target.get(name).is_some_and(|r| r.version == version);
        self.blocked_on = self.blocked_on.filter(|version| *version == target.version());
        let blocked = self.blocked_on.is_some();
        for rejection in &self.rejections {
            self.loose.extend(rejection.suspects.keys().cloned());
        }
        self.rejections.retain_mut(|rejection| {
            let before = rejection.suspects.len();
            rejection.suspects.retain(|name, version| current(name, *version));
            match rejection.suspects.len() {
                // What only removed something is held against the whole set.
                0 => before == 0 && blocked,
                after => rejection.named || after == before,
            }
        });
        // Where nothing of what was rejected is wanted any more, there is nothing to wait for.
        if self.rejections.is_empty() {
            self.blocked_on = None;
        }
    }

    /// Takes what the client says it has: it is as good as acknowledged.
    pub(super) fn adopt(&mut self, name: Arc<str>, version: Option<Version>, target: &TypeSet, generation: u64) {
        let current = target.get(&name);
        let body = current.filter(|resource| Some(resource.version) == version).cloned();
        let vanished = current.is_none().then_some(generation);
        let older = body.is_none();
        self.held.insert(name, Held { version, good: body.clone(), body, acked: true, older, vanished });
    }

    /// Takes what a state-of-the-world client has by the version it named. It may have more or less than that: a
    /// rejected response leaves the version as it was and is applied in part. So this is what it had, not what it has.
    pub(super) fn adopt_named(&mut self, resource: &Arc<Resource>, target: &TypeSet, generation: u64) {
        let body = Some(Arc::clone(resource));
        let vanished = target.get(&resource.name).is_none().then_some(generation);
        let held = Held { good: body.clone(), body, vanished, ..Held::default() };
        self.held.insert(Arc::clone(&resource.name), held);
    }

    /// Notes a response as sent: from here on the client may have it, whatever it answers.
    pub(super) fn sent(&mut self, in_flight: InFlight, resources: &[Arc<Resource>]) {
        match &in_flight.set {
            Carried::All(set, wanted) => self.held.sent_all(set, wanted),
            Carried::Some(_) => {
                for resource in resources {
                    let held = self.held.entry(&resource.name);
                    if held.version != Some(resource.version) {
                        held.acked = false;
                    }
                    held.version = Some(resource.version);
                    held.body = Some(Arc::clone(resource));
                }
            }
        }
        self.answer_due = false;
        self.unknown_state = false;
        self.in_flight.push_back(in_flight);
    }

    /// Takes the response of that nonce. The answer speaks for the older ones too: of several responses that came
    /// while clusters were warming, a state-of-the-world Envoy answers only the last.
    pub(super) fn answered(&mut self, nonce: &str) -> Option<InFlight> {
        let nonce: u64 = nonce.parse().ok()?;
        let index = self.in_flight.iter().position(|response| response.nonce == nonce)?;
        self.in_flight.drain(..=index).reduce(|older, mut newer| {
            let mut set = newer.set.to_vec();
            let replaced: BTreeSet<Arc<str>> = set.iter().map(|(name, _)| Arc::clone(name)).collect();
            set.extend(older.set.to_vec().into_iter().filter(|(name, _)| !replaced.contains(name)));
            newer.set = Carried::Some(set);
            newer.covers = newer.covers.max(older.covers);
            newer
        })
    }

    /// The client has what `response` carried.
    pub(super) fn acked(&mut self, response: &InFlight) {
        let all = if let Carried::All(set, _) = &response.set { self.held.acked_all(set) } else { false };
        let each = if all { Vec::new() } else { response.set.to_vec() };
        for (name, version) in each {
            if let Some(held) = self.held.get_mut(&name).filter(|held| held.version == Some(version)) {
                held.acked();
            }
        }
        if let Some(generation) = response.covers {
            self.caught_up = self.caught_up.max(generation);
        }
    }

    /// The client rejected `response`; it may have applied it in part. Returns the rejection.
    pub(super) fn nacked(&mut self, response: &InFlight, mut rejection: Rejection) -> Rejection {
        let changed = |(name, version): &&(Arc<str>, Version)| {
            self.held.get(name).is_none_or(|held| held.good.is_none_or(|good| good.version != *version))
        };
        let set = response.set.to_vec();
        let mut suspects: Vec<_> = set.iter().filter(changed).cloned().collect();
        if suspects.is_empty() {
            suspects.clone_from(&set);
        }
        // The words are not stable enough to act on, but where they name a resource they spare the others.
        rejection.named = suspects.iter().any(|(name, _)| mentions(&rejection.error, name));
        if rejection.named {
            suspects.retain(|(name, _)| mentions(&rejection.error, name));
        }
        let accused = |name: &Arc<str>| suspects.iter().any(|(suspect, _)| suspect == name);
        self.loose.extend(set.iter().map(|(name, _)| Arc::clone(name)));
        for (name, version) in &set {
            // What a newer response replaced is no longer what the client has.
            let Some(held) = self.held.get_mut(name).filter(|held| held.version == Some(*version)) else { continue };
            (held.version, held.acked) = (None, false);
            if !accused(name) {
                // Envoy and gRPC alike apply what is good in a response they reject for something else.
                held.good.clone_from(&held.body);
                continue;
            }
            held.body = None;
            if held.good.is_none() && !held.older {
                rejection.fresh.insert(Arc::clone(name));
            }
        }
        rejection.suspects = suspects.into_iter().collect();
        rejection.error = cut(&rejection.error);
        self.rejections.push(rejection.clone());
        self.blocked_on = Some(response.target);
        self.settled = None;
        rejection
    }

    /// When the oldest unanswered response went out.
    pub(super) fn waiting_since(&self) -> Option<Duration> {
        self.in_flight.back().map(|response| response.sent_at)
    }
}

/// Whether `text` has `name` as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
    !name.is_empty()
        && text.match_indices(name).any(|(start, _)| {
            // A full stop ends a sentence more often than it goes on with a name.
            let after = text[start + name.len()..].trim_start_matches('.');
            !text[..start].ends_with(part_of_name) && !after.starts_with(part_of_name)
        })
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_ERROR {
        return text.to_owned();
    }
    let mut end = MAX_ERROR;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ... (cut from {} bytes)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word() {
        let text = "Error adding/updating cluster(s) shop/blue: cannot create an EDS cluster without an EDS config";
        assert!(mentions(text, "shop/blue"));
        assert!(
            !mentions(text, "shop") && !mentions(text, "blue") && !mentions(text, "shop/bl") && !mentions(text, "")
        );
        assert!(mentions("route: unknown cluster 'nope'", "nope"));
        assert!(mentions("duplicate cluster green.", "green"));
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!(cut("short"), "short");
        assert!(cut(&"ä".repeat(MAX_ERROR)).len() < MAX_ERROR + 40);
    }
}
