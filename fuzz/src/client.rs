//! The client's side of one type on one stream: what it asked for, what it has, and what it has not answered.
//!
//! Subscriptions are read here once more from the protocol's page, not from the session.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serin::xds::{ClientKind, RequestBody, ResourceType, Response, Version};

/// The client's side of one type.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    wildcard: bool,
    names: BTreeSet<String>,
    /// It has named something on this stream.
    explicit: bool,
    /// Names it waits for an answer to.
    pub(crate) awaiting: BTreeSet<String>,
    /// What it has; `None` for a version nobody knows.
    pub(crate) state: BTreeMap<String, Option<Version>>,
    /// What it may have beside: it said so, or rejected it.
    pub(crate) claimed: BTreeSet<String>,
    /// What it accepted, or said it has.
    pub(crate) good: BTreeSet<(String, Version)>,
    /// It named a version, which may stand for anything.
    pub(crate) named_version: bool,
    pub(crate) unanswered: VecDeque<(Duration, Response)>,
    /// It asked for everything, and may be told that this is nothing.
    pub(crate) answer_due: bool,
    /// The newest version it was sent.
    pub(crate) version: Option<Version>,
    /// What it was last said to be settled on.
    pub(crate) settled: Option<Version>,
}

impl Asked {
    /// A client that is sent everything, unasked.
    pub(crate) fn everything() -> Self {
        Self { wildcard: true, ..Self::default() }
    }

    pub(crate) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// The subscription as a state-of-the-world request repeats it.
    pub(crate) fn list(&self) -> Vec<String> {
        let star = (self.wildcard && (self.explicit || !self.names.is_empty())).then(|| "*".to_owned());
        star.into_iter().chain(self.names.iter().cloned()).collect()
    }

    /// Sends a request.
    pub(crate) fn ask(&mut self, ty: ResourceType, client: ClientKind, first: bool, body: &RequestBody) {
        let legacy = matches!(ty, ResourceType::Cluster | ResourceType::Listener | ResourceType::ScopedRoute);
        let (was_wildcard, were_names) = (self.wildcard, self.names.clone());
        match body {
            RequestBody::Sotw { version, names } => {
                let star = names.iter().any(|name| name == "*");
                let names: BTreeSet<String> = names.iter().filter(|name| *name != "*").cloned().collect();
                // Envoy adds clusters on demand without repeating that it wants all of them.
                let adds = client == ClientKind::Envoy && self.wildcard && !self.explicit;
                self.wildcard = star || (!self.explicit && names.is_empty() && legacy) || (adds && !names.is_empty());
                self.explicit |= star || !(names.is_empty() || adds);
                self.awaiting.extend(names.difference(&self.names).cloned());
                self.names = names;
                self.named_version |= first && !version.is_empty();
            }
            RequestBody::SotwSameNames { version } => self.named_version |= first && !version.is_empty(),
            RequestBody::Delta { subscribe, unsubscribe, initial } => {
                self.wildcard |= (first && legacy && subscribe.is_empty()) || subscribe.iter().any(|name| name == "*");
                for name in subscribe.iter().filter(|name| *name != "*") {
                    self.names.insert(name.clone());
                    self.awaiting.insert(name.clone());
                }
                for (name, version) in initial.iter().filter(|_| first) {
                    let version = Version::parse(version);
                    self.awaiting.remove(name);
                    self.claimed.insert(name.clone());
                    self.good.extend(version.map(|version| (name.clone(), version)));
                    self.state.insert(name.clone(), version);
                }
                self.wildcard &= !unsubscribe.iter().any(|name| name == "*");
                for name in unsubscribe {
                    if self.names.remove(name) {
                        if self.wildcard {
                            self.awaiting.insert(name.clone());
                        } else {
                            self.state.remove(name);
                        }
                    }
                }
            }
        }
        self.answer_due |= self.wildcard && !was_wildcard;
        let (wildcard, names) = (self.wildcard, &self.names);
        // What it no longer wants is gone; what it said it has without wanting it is not.
        self.state.retain(|name, _| wildcard || names.contains(name) || !(was_wildcard || were_names.contains(name)));
        self.awaiting.retain(|name| wildcard || names.contains(name));
    }

    /// A response arrives, with all there is (`whole`) or a part. The client has what it was sent, until it rejects it.
    pub(crate) fn receive(&mut self, now: Duration, response: Response, whole: bool) {
        if whole {
            self.state.clear();
        }
        for name in &response.removed {
            self.state.remove(&**name);
            self.awaiting.remove(&**name);
        }
        for resource in &response.resources {
            self.state.insert(resource.name.to_string(), Some(resource.version));
            self.awaiting.remove(&*resource.name);
        }
        self.answer_due = false;
        self.version = Some(response.version);
        self.unanswered.push_back((now, response));
    }

    /// The responses up to `nonce`, which have now been answered.
    pub(crate) fn take(&mut self, nonce: u64) -> Vec<Response> {
        let mut taken = Vec::new();
        while self.unanswered.front().is_some_and(|(_, response)| response.nonce <= nonce) {
            taken.extend(self.unanswered.pop_front().map(|(_, response)| response));
        }
        taken
    }
}
