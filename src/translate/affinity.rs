//! Users keep their version: Envoy picks it by a hash of the user's id, and so can we.
//!
//! Envoy takes `xxh64(id) % total` and walks the weights in the order of the list until their sum is above it. Total and
//! list are constant over a rollout, an entry of weight 0 included, so each version owns an interval and only its
//! borders move. While one version's weight rises and no other's does, its interval only grows, wherever it stands in
//! the list: its users stay with it, and whoever changes to it comes from a version that shrinks. With two versions
//! under way, as an engine has them, nobody else moves. Where three or more carry traffic, users may also move between
//! two of those that do not grow.
//!
//! The id is salted with the rollout's name, so that two rollouts do not pick the same users first. Only a header's hash
//! can be salted (`regex_rewrite`), so a cookie is read out of the `cookie` header.
//!
//! Our policy comes before the user's and is terminal: where the id is there, it alone decides the version, and also the
//! endpoint where the cluster balances by hash. Requests without the id are split at random, or by the user's own
//! policies where the id is a header. gRPC clients ignore all this and split at random.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_action::HashPolicy;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::{Header, PolicySpecifier};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher, StringMatcher};
use twox_hash::XxHash64;

use super::replacement::weights;
use crate::spec::{Affinity, Rollout, Traffic};

/// The version that Envoy picks for requests of `user`, the value of the header or cookie. `None` where nothing keeps
/// users with a version: no affinity, or no weights. Header routes come before it and are not reckoned with.
#[must_use]
pub fn version_of_user<'a>(rollout: &'a Rollout, traffic: &Traffic, user: &str) -> Option<&'a Arc<str>> {
    traffic.affinity.as_ref()?;
    let total: u64 = weights(rollout, &traffic.split).map(|(_, weight)| u64::from(weight)).sum();
    let picked = XxHash64::oneshot(0, format!("{}:{user}", rollout.name).as_bytes()).checked_rem(total)?;
    let mut ends = weights(rollout, &traffic.split).scan(0, |end, (version, weight)| {
        *end += u64::from(weight);
        Some((version, *end))
    });
    ends.find(|(_, end)| picked < *end).map(|(version, _)| &version.name)
}

/// Makes Envoy hash the salted id.
pub(super) fn hash_policy(affinity: &Affinity, rollout: &str) -> HashPolicy {
    let (header_name, id) = match affinity {
        Affinity::Header(name) => (name.to_string(), "^(.*)$".to_owned()),
        Affinity::Cookie(name) => ("cookie".to_owned(), format!("^{}([^;]+).*$", before_value(name))),
    };
    let rewrite = RegexMatchAndSubstitute {
        pattern: Some(regex(id)),
        // `\1` is the id; a backslash of the name's own stands for itself.
        substitution: format!("{}:\\1", rollout.replace('\\', r"\\")),
    };
    HashPolicy {
        terminal: true,
        policy_specifier: Some(PolicySpecifier::Header(Header { header_name, regex_rewrite: Some(rewrite) })),
    }
}

/// Matches requests that carry `cookie` with a value. Without it the pattern of [`hash_policy`] would leave the header
/// as it is, and whoever has the same other cookies, or none but a common one, would move as one user.
pub(super) fn carries(cookie: &str) -> HeaderMatcher {
    let pattern = MatchPattern::SafeRegex(regex(format!("{}[^;]+.*", before_value(cookie))));
    HeaderMatcher {
        name: "cookie".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        })),
        ..HeaderMatcher::default()
    }
}

/// What stands before the value of the first cookie of that name.
fn before_value(cookie: &str) -> String {
    let mut pattern = "(?:.*?; *)??".to_owned();
    for character in cookie.chars() {
        if character.is_ascii_punctuation() && character != '_' {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('=');
    pattern
}

pub(super) fn regex(regex: String) -> RegexMatcher {
    RegexMatcher { regex, ..RegexMatcher::default() }
}

#[cfg(test)]
mod tests;
