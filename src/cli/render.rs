//! `serin render`: the Envoy resources that would be served.

use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

use super::Outcome;
use super::files::FileArgs;
use super::node::NodeArgs;
use super::output::{Format, write_document};
use crate::reconcile::{Input, Reconciler};
use crate::spec::{Admitted, Severity, json};
use crate::translate::Rendered;
use crate::xds::Node;

const EXAMPLES: &str = "\
Prints the very resources that such a node would be sent, in push order, as a `resources:` document. A rollout is shown as it is before any step. Files with mistakes print those instead, and exit with 1.

Examples:
  serin render config/
  serin render config/ --node edge-1 --cluster edge --metadata tier=canary
  serin render config/ --format json | jq -r '.resources[].name'";

/// What to render, and for whom.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    files: FileArgs,
    /// node.id of the proxy to render for; without it, only what every proxy gets
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    node: String,
    /// node.cluster of that proxy
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    cluster: String,
    #[command(flatten)]
    place: NodeArgs,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
}

impl RenderArgs {
    fn node(&self) -> Node {
        let NodeArgs { metadata, region, zone, sub_zone } = self.place.clone();
        Node {
            id: self.node.clone(),
            cluster: self.cluster.clone(),
            metadata: metadata.into_iter().map(|(key, value)| (key, value.into())).collect(),
            region: region.unwrap_or_default(),
            zone: zone.unwrap_or_default(),
            sub_zone: sub_zone.unwrap_or_default(),
            ..Node::default()
        }
    }
}

/// Prints the resources to `out`, or the mistakes to `err`.
pub(super) fn run(args: &RenderArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let checked = args.files.check()?;
    checked.write_diagnostics(err)?;
    if checked.count(Severity::Error) > 0 {
        return Ok(Outcome::Negative);
    }
    let admitted = Admitted::restore(&checked.files, &checked.options)
        .map_err(|mistakes| anyhow!("files without mistakes were refused: {mistakes:?}"))?;
    let spec = admitted.spec_set().into();
    let node = args.node();
    let mut resources = Vec::new();
    let mut reconciler = Reconciler::default();
    reconciler.handle(Duration::ZERO, Input::Spec(spec));
    if let Some(publication) = reconciler.publish(true) {
        resources = publication.world.render(&node).iter().map(document).collect::<anyhow::Result<_>>()?;
    }
    write_document(out, &json!({ "resources": resources }), args.format)?;
    Ok(Outcome::Positive)
}

/// The resource as users write them.
fn document(resource: &Rendered) -> anyhow::Result<Value> {
    let mut document = json::to_value(&resource.message)?;
    document["@type"] = resource.ty.type_url().into();
    Ok(document)
}
