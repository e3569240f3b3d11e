//! The encoded bodies of one world: each is made once, by the first stream that needs it, and shared by all the others.
//!
//! Streams in the same state (group, type, subscription, what they have, what they should have) get the same content
//! from their sessions, so the content itself is the key. Dropped with the last stream that has not taken a newer world.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use super::wire;
use crate::xds::{Response, Variant};

/// Bytes of resources kept encoded: the whole configuration of a large fleet in a few stages. Streams that come to more
/// ask for names that no other asks for, and there is nothing to share.
const KEPT: usize = 64 << 20;

/// Encoded bodies.
pub(super) struct Bodies {
    /// [`super::Config::instance`]
    identifier: String,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    /// The second is empty until the one who put it there has encoded it; others wait for that, not for all the rest.
    bodies: HashMap<Content, Arc<OnceLock<Bytes>>>,
    bytes: usize,
}

impl Bodies {
    /// None yet.
    pub(super) fn new(identifier: &str) -> Self {
        Self { identifier: identifier.to_owned(), made: Mutex::default() }
    }

    /// The encoded response, less its nonce: the same bytes at the same place for equal content.
    pub(super) fn body(&self, variant: Variant, response: Response) -> Bytes {
        let content = Content { variant, response: Response { nonce: 0, ..response } };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.bodies.get(&content) {
            let known = Arc::clone(known);
            drop(made);
            return known.get_or_init(|| content.encode(&self.identifier)).clone();
        }
        let bytes: usize = content.response.resources.iter().map(|resource| resource.body.len()).sum();
        if made.bytes + bytes > KEPT {
            *made = Made::default();
        }
        if bytes > KEPT {
            drop(made);
            return content.encode(&self.identifier);
        }
        let slot = Arc::<OnceLock<Bytes>>::default();
        made.bytes += bytes;
        made.bodies.insert(content.clone(), Arc::clone(&slot));
        drop(made);
        slot.get_or_init(|| content.encode(&self.identifier)).clone()
    }
}

/// All that decides the bytes.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    variant: Variant,
    /// Its nonce is 0.
    response: Response,
}

impl Content {
    fn encode(&self, identifier: &str) -> Bytes {
        wire::encode(self.variant, &self.response, identifier)
    }
}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Response { ty, nonce: _, version, resources, removed } = &self.response;
        (ty, version, resources.len()).hash(state);
        // Names and bodies are left to the comparison.
        for resource in resources {
            resource.version.hash(state);
        }
        removed.hash(state);
    }
}
