//! `serin bootstrap`: the file with which a proxy finds this control plane.
//!
//! Pure: arguments to a JSON document. [`envoy`] and [`grpc`] say what is in it and why.

mod envoy;
mod grpc;
mod latency;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::address::HostPort;
use super::node::NodeArgs;
use super::output::{Format, write_document};
use super::{Outcome, interval};

const EXAMPLES: &str = "\
Examples:
  serin bootstrap --id edge-1 --cluster edge > envoy.yaml && envoy -c envoy.yaml
  serin bootstrap --id edge-2 --cluster edge --mode sotw --admin-port 9902
  serin bootstrap --id edge-3 --cluster edge --xds serin:18000 --slo 250ms
  serin bootstrap --id shop-1 --cluster shop --mode grpc > xds.json

A second Envoy on one machine needs an admin port of its own, and another base id: \
`envoy -c FILE --use-dynamic-base-id`. A gRPC program finds its file by GRPC_XDS_BOOTSTRAP=xds.json.";

/// What a bootstrap depends on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BootstrapArgs {
    /// node.id: names this proxy, unique in the fleet
    #[arg(long, value_name = "ID")]
    id: String,
    /// node.cluster: names the kind of proxy; `nodes:` selectors look at it
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// The protocol to speak
    #[arg(long, value_enum, default_value_t = Mode::Delta)]
    mode: Mode,
    /// Where the proxy finds serin
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:18000")]
    xds: HostPort,
    /// How to print it [default: yaml, for grpc json]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Port of Envoy's own admin page on 127.0.0.1 (0 picks one)
    #[arg(long, value_name = "N", default_value_t = 9901)]
    admin_port: u16,
    #[command(flatten)]
    node: NodeArgs,
    /// Keep Envoy from telling the control plane what it measures: no analysis, no capacity gate
    #[arg(long)]
    no_telemetry: bool,
    /// As without it
    #[arg(long, hide = true, conflicts_with = "no_telemetry")]
    telemetry: bool,
    /// How often Envoy sends its counters and histograms, 100ms to 30s. (How often it reports its load: `serin serve
    /// --load-report-interval`)
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = interval::of_reports)]
    telemetry_interval: Duration,
    /// A latency that matters: histograms get a bucket that ends just there, and narrow ones around it; repeatable.
    /// Whole milliseconds in two digits (120ms, not 125ms): Envoy keeps no more
    #[arg(long, value_name = "DURATION", value_parser = latency::slo)]
    slo: Vec<u64>,
}

/// Which protocol, and with it which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Envoy, incremental: only what changed is sent
    Delta,
    /// Envoy, state of the world: whole lists are sent
    Sotw,
    /// A gRPC client without a proxy (xds:///...)
    Grpc,
}

/// Prints the bootstrap to `out`.
pub(super) fn run(args: &BootstrapArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let document = args.document();
    let default = if args.mode == Mode::Grpc { Format::Json } else { Format::Yaml };
    write_document(out, &document, args.format.unwrap_or(default))?;
    Ok(Outcome::Positive)
}

impl BootstrapArgs {
    fn document(&self) -> Value {
        match self.mode {
            Mode::Delta => envoy::bootstrap(self, "DELTA_GRPC"),
            Mode::Sotw => envoy::bootstrap(self, "GRPC"),
            Mode::Grpc => grpc::bootstrap(self),
        }
    }

    /// The node as both kinds of bootstrap write it; what was not given is left out.
    fn node(&self) -> Value {
        let mut node = serde_json::json!({"id": self.id, "cluster": self.cluster});
        let NodeArgs { metadata, region, zone, sub_zone } = &self.node;
        let locality: Map<String, Value> = [("region", region), ("zone", zone), ("sub_zone", sub_zone)]
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.as_deref()?.into())))
            .collect();
        if !locality.is_empty() {
            node["locality"] = locality.into();
        }
        if !metadata.is_empty() {
            node["metadata"] = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        }
        node
    }
}
