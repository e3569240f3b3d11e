//! What stands in place of a rollout's name: its traffic, with clusters for versions, as parts of Envoy's messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_action::{ClusterSpecifier, RequestMirrorPolicy};
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::{ClusterWeight, RandomValueSpecifier};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, RouteAction, WeightedCluster};
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use envoy_types::pb::envoy::r#type::v3::fractional_percent::DenominatorType;
use envoy_types::pb::google::protobuf::{BoolValue, UInt32Value};

use super::affinity;
use crate::spec::{Affinity, HeaderMatch, HeaderRoute, Rollout, Split, StringMatch, Traffic, Version};

/// By name of the rollout.
pub(super) type Replacements = BTreeMap<Arc<str>, Arc<Replacement>>;

/// What stands in place of a rollout's name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Replacement {
    pub(super) rollout: Arc<str>,
    /// Clusters in the order of the file. An entry of weight 0 stays, because sticky users hold their place only while
    /// list and total stay the same.
    pub(super) weights: Vec<(Arc<str>, u32)>,
    /// Each with its cluster.
    pub(super) header_routes: Vec<(HeaderRoute, Arc<str>)>,
    /// Clusters, with percent of the requests.
    pub(super) mirrors: Vec<(Arc<str>, u32)>,
    pub(super) affinity: Option<Affinity>,
}

/// Every version in the order of the file, with its weight.
pub(super) fn weights<'a>(rollout: &'a Rollout, split: &Split) -> impl Iterator<Item = (&'a Version, u32)> {
    let weight_of =
        |version: &str| split.0.iter().find(|(name, _)| **name == *version).map_or(0, |(_, weight)| *weight);
    rollout.versions.iter().map(move |version| (version, weight_of(&version.name)))
}

impl Replacement {
    /// A header route or mirror to a version that the file no longer has is left out.
    pub(super) fn new(rollout: &Rollout, traffic: &Traffic) -> Self {
        let cluster_of = |name: &str| {
            let version = rollout.versions.iter().find(|version| *version.name == *name);
            version.map(|version| Arc::clone(&version.cluster_name))
        };
        // Without a condition it would take everything.
        let header_routes = traffic.header_routes.iter().filter(|(route, _)| !route.matches.is_empty());
        let mirrors = traffic.mirrors.iter();
        Self {
            rollout: Arc::clone(&rollout.name),
            weights: weights(rollout, &traffic.split)
                .map(|(v, weight)| (Arc::clone(&v.cluster_name), weight))
                .collect(),
            header_routes: header_routes.filter_map(|(r, version)| Some((r.clone(), cluster_of(version)?))).collect(),
            mirrors: mirrors.filter_map(|(m, version)| Some((cluster_of(version)?, m.percentage))).collect(),
            affinity: traffic.affinity.clone(),
        }
    }

    /// The split and the mirrors.
    pub(super) fn at_random(&self) -> RouteAction {
        self.action(None)
    }

    /// The same, with the version by the user's id.
    pub(super) fn by_user(&self, affinity: &Affinity) -> RouteAction {
        let by_hash = RandomValueSpecifier::UseHashPolicy(BoolValue { value: true });
        RouteAction { hash_policy: vec![affinity::hash_policy(affinity, &self.rollout)], ..self.action(Some(by_hash)) }
    }

    fn action(&self, random_value_specifier: Option<RandomValueSpecifier>) -> RouteAction {
        let clusters = self.weights.iter().map(|(name, weight)| ClusterWeight {
            name: name.to_string(),
            weight: Some(UInt32Value { value: *weight }),
            ..ClusterWeight::default()
        });
        let weighted =
            WeightedCluster { clusters: clusters.collect(), random_value_specifier, ..WeightedCluster::default() };
        RouteAction {
            cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weighted)),
            request_mirror_policies: self.mirrors.iter().map(|(cluster, percent)| mirror(cluster, *percent)).collect(),
            ..RouteAction::default()
        }
    }
}

fn mirror(cluster: &str, percent: u32) -> RequestMirrorPolicy {
    let share = FractionalPercent { numerator: percent, denominator: DenominatorType::Hundred.into() };
    let share = RuntimeFractionalPercent { default_value: Some(share), ..RuntimeFractionalPercent::default() };
    RequestMirrorPolicy { cluster: cluster.to_owned(), runtime_fraction: Some(share), ..RequestMirrorPolicy::default() }
}

/// The condition in Envoy's words.
pub(super) fn header_matcher(condition: &HeaderMatch) -> HeaderMatcher {
    let pattern = match &condition.value {
        StringMatch::Exact(text) => MatchPattern::Exact(text.clone()),
        StringMatch::Prefix(text) => MatchPattern::Prefix(text.clone()),
        StringMatch::Regex(expression) => MatchPattern::SafeRegex(affinity::regex(expression.clone())),
    };
    let value = StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() };
    HeaderMatcher {
        name: condition.header.to_string(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(value)),
        ..HeaderMatcher::default()
    }
}
