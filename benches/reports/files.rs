//! The configuration: rollouts judged by what proxies measure, a route to each, and a template.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;

/// The one `RouteConfiguration`.
pub(crate) const ROUTES: &str = "routes";

/// Percent of the requests that the canary gets.
pub(crate) const WEIGHT: u64 = 10;

/// Both tests, on all that they are made of.
const TEMPLATE: &str = "apiVersion: serin.dev/v1
kind: AnalysisTemplate
metadata: {name: golden}
spec:
  metrics:
  - {name: errors, test: {type: errorRatio, pass: {maxIncrease: 2, maxRate: 0.01}}}
  - {name: latency, test: {type: latency, quantiles: [0.5, 0.9, 0.99], slo: 250ms}}
";

/// The name of a rollout.
pub(crate) fn name(rollout: u32) -> String {
    format!("shop-{rollout:04}")
}

/// The cluster of one of its versions, `blue` or `green`.
pub(crate) fn cluster(rollout: u32, version: &str) -> String {
    format!("{}/{version}", name(rollout))
}

/// Where a version is.
pub(crate) fn address(rollout: u32, version: &str) -> (String, u32) {
    let [_, _, high, low] = rollout.to_be_bytes();
    (format!("10.{}.{high}.{low}", if version == "blue" { 1 } else { 2 }), 8080)
}

/// Writes all of it; no rollout has anything under way.
pub(crate) fn write(dir: &Path, rollouts: u32) -> Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("template.yaml"), TEMPLATE)?;
    let mut routes = format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n  name: {ROUTES}\n  \
         virtual_hosts:\n"
    );
    for rollout in 0..rollouts {
        let name = name(rollout);
        writeln!(
            routes,
            "  - {{name: {name}, domains: [{name}], routes: [{{match: {{prefix: /}}, route: {{cluster: {name}}}}}]}}"
        )?;
    }
    fs::write(dir.join("routes.yaml"), routes)?;
    aim(dir, rollouts, "blue")
}

/// Has all rollouts go to a version: a canary that stays at its first step until somebody promotes it.
pub(crate) fn aim(dir: &Path, rollouts: u32, target: &str) -> Result<()> {
    let mut text = String::new();
    for rollout in 0..rollouts {
        let endpoints = |version| {
            let (ip, port) = address(rollout, version);
            format!("{version}: {{endpoints: [\"{ip}:{port}\"]}}")
        };
        writeln!(
            text,
            "---\napiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: {}}}\nspec:\n  versions: {{{}, {}}}\n  \
             target: {target}\n  strategy: {{canary: {{steps: [{{setWeight: {WEIGHT}}}, {{pause: {{}}}}], analysis: \
             {{templates: [{{templateName: golden}}]}}}}}}",
            name(rollout),
            endpoints("blue"),
            endpoints("green"),
        )?;
    }
    let staged = dir.with_extension("staged");
    fs::write(&staged, text)?;
    fs::rename(&staged, dir.join("rollouts.yaml"))?;
    Ok(())
}
