//! What is other in one snapshot than in another.

use serin::xds::ResourceType;

use crate::claim::{Claim, Claims};
use crate::services::snapshots;

/// The difference between two snapshots of which one came from the other by one change is found in about the same time
/// among ten thousand services as among ten.
const ONE_CHANGE: Claim = Claim { name: "diff of one change", sizes: [10, 10_000], most: 4.0 };

pub(crate) fn bench(claims: &mut Claims) {
    claims.check(&ONE_CHANGE, |count| {
        let [before, after] = snapshots(count);
        move || ResourceType::ALL.map(|ty| after.set(ty).changes_from(before.set(ty)).count())
    });
}
