//! One stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serin::xds::{ClientKind, Request, RequestBody, ResourceType, Session, Settings, Snapshot, Variant};

use crate::claim::{Claim, Claims};
use crate::services::snapshots;

/// One change costs each stream about the same among ten thousand services as among ten: to take the snapshot, to make
/// the response and to take the acknowledgement. With a fleet of ten thousand this is what counts most.
const DELTA: Claim = Claim { name: "session step delta", sizes: [10, 10_000], most: 3.0 };

/// So it is with the state of the world, but that each acknowledgement repeats all names: in proportion at most.
const SOTW: Claim = Claim { name: "session step sotw", sizes: [10, 1_000], most: 150.0 };

pub(crate) fn bench(claims: &mut Claims) {
    claims.check(&DELTA, |count| steps(Variant::Delta, count));
    claims.check(&SOTW, |count| steps(Variant::Sotw, count));
}

/// A stream that has all its routes; each step is a change of one of them and its acknowledgement.
fn steps(variant: Variant, count: usize) -> impl FnMut() {
    let [before, after] = snapshots(count);
    let names: Vec<String> = before.set(ResourceType::Route).iter().map(|route| route.name.to_string()).collect();
    let settings = Settings {
        variant,
        client: ClientKind::Other,
        ack_timeout: Duration::from_secs(20),
        aggregated: true,
        ordered: true,
    };
    let mut session = Session::new(settings, Vec::new(), Vec::new());
    let now = Duration::ZERO;
    session.handle_snapshot(now, Arc::clone(&before));
    session.handle_request(now, request(variant, None, &names));
    let mut turn = move |snapshot: &Arc<Snapshot>| {
        session.handle_snapshot(now, Arc::clone(snapshot));
        let mut answered = false;
        while let Some(response) = session.poll_response(now) {
            let nonce = Some((response.nonce, response.version.to_string()));
            session.handle_request(now, request(variant, nonce, &names));
            answered = true;
        }
        while session.poll_event().is_some() {}
        assert!(answered, "a change is sent");
    };
    turn(&before);
    let mut forth = false;
    move || {
        forth = !forth;
        turn(if forth { &after } else { &before });
    }
}

/// The first for routes, or the one that takes the response of a nonce and version.
fn request(variant: Variant, taken: Option<(u64, String)>, names: &[String]) -> Request {
    let first = taken.is_none();
    let (nonce, version) = taken.map_or_else(Default::default, |(nonce, version)| (nonce.to_string(), version));
    let body = match variant {
        Variant::Sotw => RequestBody::Sotw { version, names: names.to_vec() },
        Variant::Delta => {
            let subscribe = if first { names.to_vec() } else { Vec::new() };
            RequestBody::Delta { subscribe, unsubscribe: Vec::new(), initial: BTreeMap::new() }
        }
    };
    Request { ty: ResourceType::Route, nonce, error: None, body }
}
