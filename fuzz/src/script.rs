//! Lists of operations, and the small world they are about: three names per type, some that nobody defines.

use std::collections::BTreeMap;
use std::sync::Arc;

use arbitrary::Arbitrary;
use bytes::Bytes;
use serin::xds::{Resource, ResourceType, Snapshot, TypeSet};

/// The names a request can hold; resources have the first three.
const NAMES: [&str; 6] = ["a", "b", "c", "gone", "", "*"];

/// How many names of each type can be defined.
const DEFINED: usize = 3;

/// One life of a client.
#[derive(Debug, Arbitrary)]
pub struct Script {
    /// Whether the client is an Envoy.
    pub envoy: bool,
    /// Whether its stream is aggregated.
    pub aggregated: bool,
    /// Whether the session keeps the order of types.
    pub ordered: bool,
    /// Whether everything is defined at first, or nothing.
    pub full: bool,
    /// What happens, in order.
    pub ops: Vec<Op>,
}

/// One thing that happens.
#[derive(Debug, Arbitrary)]
pub enum Op {
    /// The client answers a response that waits for an answer.
    Answer {
        /// Of this type.
        ty: Kind,
        /// The oldest such response; otherwise the newest.
        oldest: bool,
        /// Makes it a NACK.
        error: Option<Words>,
    },
    /// The client sends any request at all.
    Ask(Ask),
    /// One response may go out.
    Poll,
    /// Whatever is due goes out.
    PollAll,
    /// One resource will be another from the next [`Op::Publish`] on.
    Edit(Edit),
    /// The group has a new snapshot.
    Publish,
    /// Time passes, in units of 10 ms.
    Wait(u16),
    /// Time passes up to the session's next deadline.
    WaitForDeadline,
    /// The stream breaks and a new one begins.
    Reconnect,
}

/// A type; those with an order among them come up more often.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Kind(u8);

impl Kind {
    pub(crate) fn ty(self) -> ResourceType {
        let common = [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Listener, ResourceType::Route];
        let index = usize::from(self.0) % (ResourceType::COUNT + common.len());
        common.get(index).copied().unwrap_or_else(|| ResourceType::ALL[index - common.len()])
    }
}

/// A request.
#[derive(Debug, Arbitrary)]
pub struct Ask {
    /// Its type.
    pub ty: Kind,
    /// Its nonce.
    pub nonce: Nonce,
    /// Makes it a NACK.
    pub error: Option<Words>,
    /// SotW: the whole subscription.
    pub subscribe: Names,
    /// Delta only.
    pub unsubscribe: Names,
    /// Delta: what the client says it holds; SotW: all of it, if any.
    pub initial: Names,
    /// In which version.
    pub version: Claim,
}

/// A nonce as a request holds it.
#[derive(Debug, Arbitrary)]
pub enum Nonce {
    /// None.
    Empty,
    /// Of the newest response of the type.
    Newest,
    /// Of any response of the stream.
    Any(u8),
    /// A number.
    Number(u64),
    /// Nonsense.
    Text(String),
}

/// A version as a request holds it.
#[derive(Debug, Arbitrary)]
pub enum Claim {
    /// The newest.
    Current,
    /// One of before.
    Earlier(u8),
    /// The one that was sent last.
    Sent,
    /// One of ours in form.
    Number(u64),
    /// Nonsense.
    Text(String),
}

/// What a client says about what it rejects.
#[derive(Debug, Arbitrary)]
pub enum Words {
    /// A list of names.
    Names(Names),
    /// Anything.
    Text(String),
    /// Something so often that it gets long.
    Long(String, u16),
}

impl Words {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Names(names) => format!("Error adding/updating resource(s) {}: refused", names.list().join(", ")),
            Self::Text(text) => text.clone(),
            Self::Long(text, times) => text.repeat(usize::from(*times) % 4_096),
        }
    }
}

/// A list of names: one bit each, then one for the order and one for each name twice.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Names(u8);

impl Names {
    pub(crate) fn list(self) -> Vec<String> {
        let chosen = NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        let mut list: Vec<String> = chosen.map(|(_, name)| (*name).to_owned()).collect();
        if self.0 & 0x40 != 0 {
            list.reverse();
        }
        if self.0 & 0x80 != 0 {
            list.extend(list.clone());
        }
        list
    }
}

/// A change of one resource.
#[derive(Debug, Arbitrary)]
pub struct Edit {
    ty: Kind,
    name: u8,
    /// Two bits of content, 0 for none; then a bit per cluster it sends traffic to, of which a cluster takes the number
    /// of the endpoints it asks for.
    content: u8,
}

/// What the next snapshot will hold.
#[derive(Debug, Default)]
pub(crate) struct World {
    contents: BTreeMap<(ResourceType, usize), u8>,
    /// Part of every content.
    season: u32,
}

impl World {
    /// Everything is defined, and clusters take their own endpoints.
    pub(crate) fn full() -> Self {
        let all = ResourceType::ALL.into_iter().flat_map(|ty| (0..DEFINED).map(move |name| (ty, name)));
        let content = |(ty, name)| if ty == ResourceType::Cluster { 1 + 4 * (name as u8 + 1) } else { 1 + 4 * 0b001 };
        Self { contents: all.map(|key| (key, content(key))).collect(), season: 0 }
    }

    pub(crate) fn edit(&mut self, edit: &Edit) {
        let key = (edit.ty.ty(), usize::from(edit.name) % DEFINED);
        match edit.content % 32 {
            content if content % 4 == 0 => self.contents.remove(&key),
            content => self.contents.insert(key, content),
        };
    }

    /// Every content becomes one that was never there before, and no set stays empty.
    pub(crate) fn renew(&mut self) {
        self.season += 1;
        for ty in ResourceType::ALL {
            if !self.contents.keys().any(|(of, _)| *of == ty) {
                self.contents.insert((ty, 0), 1);
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let mut sets: BTreeMap<ResourceType, Vec<Arc<Resource>>> = BTreeMap::new();
        for ((ty, name), content) in &self.contents {
            let body = format!("{ty} {name} {content} {}", self.season);
            let mut resource = Resource::new(NAMES[*name], Bytes::from(body));
            let named = content >> 2;
            match ty {
                ResourceType::Cluster => {
                    let endpoints = usize::from(named % 4).checked_sub(1);
                    resource.endpoints = endpoints.map(|name| Arc::from(NAMES[name]));
                }
                ResourceType::Secret | ResourceType::Runtime | ResourceType::Endpoint => {}
                _ => {
                    let clusters = (0..DEFINED).filter(|bit| named & (1 << bit) != 0);
                    resource.clusters = clusters.map(|name| Arc::from(NAMES[name])).collect();
                }
            }
            sets.entry(*ty).or_default().push(Arc::new(resource));
        }
        Arc::new(Snapshot::new(sets.into_iter().map(|(ty, set)| (ty, Arc::new(TypeSet::new(set))))))
    }
}
