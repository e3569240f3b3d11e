//! What a node says of itself beside its id and cluster, as flags: the same for a bootstrap and for a question.

use clap::Args;

/// Metadata and locality.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct NodeArgs {
    /// node.metadata, one KEY=VALUE each; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) metadata: Vec<(String, String)>,
    /// node.locality.region
    #[arg(long)]
    pub(super) region: Option<String>,
    /// node.locality.zone
    #[arg(long)]
    pub(super) zone: Option<String>,
    /// `node.locality.sub_zone`
    #[arg(long)]
    pub(super) sub_zone: Option<String>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
