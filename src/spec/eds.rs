//! Which endpoints a Cluster asks for: the one rule that checks and translation share.

use std::sync::Arc;

use prost_reflect::DynamicMessage;

/// `Cluster.DiscoveryType.EDS`.
const EDS: i32 = 3;

/// A ClusterLoadAssignment that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is asked for on the stream that brought the cluster (`ads` or `self`), and so of this server for
    /// certain. Any other source may be this server too, or not.
    pub over_ads: bool,
}

/// What `cluster` asks for; `None` unless it is of type EDS.
#[must_use]
pub fn asked(cluster: &DynamicMessage) -> Option<Asked> {
    if cluster.get_field_by_name("type")?.as_enum_number()? != EDS {
        return None;
    }
    let config = cluster.get_field_by_name("eds_cluster_config")?;
    let config = config.as_message()?;
    let service = config.get_field_by_name("service_name")?;
    let own = cluster.get_field_by_name("name")?;
    let name = service.as_str().filter(|name| !name.is_empty()).or(own.as_str())?.into();
    let source = config.get_field_by_name("eds_config")?;
    let source = source.as_message()?;
    let over_ads = source.has_field_by_name("ads") || source.has_field_by_name("self");
    Some(Asked { name, over_ads })
}
