//! The configuration that is served: so many services, each a rollout of two versions with two endpoints each.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

use crate::cell::Layout;

/// The share of the second version, in percent: before the first change, and after every other one.
const RESTING: u32 = 10;
const CHANGED: u32 = 20;

/// A directory that ends with its handle.
pub(crate) struct Site {
    dir: TempDir,
    /// The service whose weights are changed.
    pub(crate) service: u32,
}

impl Site {
    /// Writes the files.
    pub(crate) fn write(layout: Layout, services: u32) -> Result<Self> {
        let site = Self { dir: tempfile::tempdir()?, service: services / 2 };
        for folder in ["rollouts", "routes"] {
            fs::create_dir_all(site.config().join(folder))?;
        }
        for service in 0..services {
            fs::write(site.rollout_file(service), rollout(service, RESTING))?;
        }
        let mut listener = String::from(LISTENER);
        match layout {
            Layout::One => {
                listener.push_str(&filter_chain("all", "routes", None));
                let hosts: String = (0..services).map(virtual_host).collect();
                fs::write(site.config().join("routes/all.yaml"), routes("routes", &hosts))?;
            }
            Layout::Split => {
                for service in 0..services {
                    let name = format!("routes-{service}");
                    listener.push_str(&filter_chain(&name, &name, Some(1 + service)));
                    let path = site.config().join(format!("routes/{service}.yaml"));
                    fs::write(path, routes(&name, &virtual_host(service)))?;
                }
            }
        }
        fs::write(site.config().join("listener.yaml"), listener)?;
        Ok(site)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// Writes what comes in the place of the service's file with change `number`, and says where it stands and goes to.
    pub(crate) fn prepare(&self, number: u64) -> Result<(PathBuf, PathBuf)> {
        let next = self.dir.path().join("next.yaml");
        fs::write(&next, rollout(self.service, if number.is_multiple_of(2) { RESTING } else { CHANGED }))?;
        Ok((next, self.rollout_file(self.service)))
    }

    fn rollout_file(&self, service: u32) -> PathBuf {
        self.config().join(format!("rollouts/{service}.yaml"))
    }
}

fn rollout(service: u32, share: u32) -> String {
    let [_, _, high, low] = service.to_be_bytes();
    let endpoints =
        |version: u32| format!("[\"10.{version}{high}.{low}.1:8080\", \"10.{version}{high}.{low}.2:8080\"]");
    format!(
        "apiVersion: serin.dev/v1
kind: Rollout
metadata: {{name: service-{service}}}
spec:
  cluster: {{connect_timeout: 1s, lb_policy: LEAST_REQUEST}}
  versions:
    v1: {{endpoints: {}}}
    v2: {{endpoints: {}}}
  target: v1
  strategy: {{weights: {{v1: {}, v2: {share}}}}}
",
        endpoints(1),
        endpoints(2),
        100 - share,
    )
}

const LISTENER: &str = r#"resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: http
  address: {socket_address: {address: 127.0.0.1, port_value: 10000}}
  filter_chains:
"#;

fn filter_chain(name: &str, routes: &str, port: Option<u32>) -> String {
    let mut text = format!("  - name: {name}\n");
    if let Some(port) = port {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    filter_chain_match: {{destination_port: {port}}}");
    }
    text + &format!(
        r#"    filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: {name}
        rds: {{route_config_name: {routes}, config_source: {{ads: {{}}, resource_api_version: V3}}}}
        http_filters:
        - name: envoy.filters.http.router
          typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"#
    )
}

fn routes(name: &str, hosts: &str) -> String {
    format!(
        r#"resources:
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: {name}
  virtual_hosts:
{hosts}"#
    )
}

fn virtual_host(service: u32) -> String {
    format!(
        "  - name: service-{service}
    domains: [service-{service}.default.svc.cluster.local, service-{service}]
    routes:
    - name: service-{service}
      match: {{prefix: /}}
      route: {{cluster: service-{service}, timeout: 15s}}
"
    )
}
