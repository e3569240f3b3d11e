//! Documents and traffic to resources.

use serin::translate::World;
use serin::xds::{Assign, Node};

use crate::claim::{Claim, Claims};
use crate::services::{Services, moved, served};

/// One step of one rollout costs about the same among ten thousand services as among ten: what the others make is not
/// made again.
const STEP: Claim = Claim { name: "translate one step", sizes: [10, 10_000], most: 3.0 };

pub(crate) fn bench(claims: &mut Claims) {
    claims.check(&STEP, |count| {
        let spec = Services::new(count).spec();
        let served = served(&spec);
        let moved = moved(&served);
        let world = World::new(&spec, &served);
        // A group of nodes is served, and has its snapshot made with each world.
        world.assign(&Node { id: "proxy".into(), ..Node::default() });
        move || world.next(&spec, &moved)
    });
}
