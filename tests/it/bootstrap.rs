//! A real Envoy runs what `serin bootstrap` prints and what `envoy-configs/` holds, as it is. (`split` does so with a
//! real gRPC client.)

use std::path::Path;

use http::StatusCode;

use crate::rig::envoy::Envoy;
use crate::rig::http::Connection;
use crate::rig::repository;
use crate::rig::serin::Serin;
use crate::site::{self, ENVOY, Site, rollout};

/// A site with one colour in service.
async fn site() -> (Site, Serin, [(&'static str, crate::rig::upstream::Upstream); 2]) {
    let site = Site::new();
    let colours = site::colours().await;
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    site.write("shop.yaml", &rollout("{}", &versions, "blue", "{blueGreen: {}}"));
    let serin = site.serve().await;
    (site, serin, colours)
}

/// The file of that name in `envoy-configs/`, as it is but for the ports: this test's own.
pub(crate) fn of_repository(name: &str, serin: &Serin) -> String {
    let text = std::fs::read_to_string(repository().join("envoy-configs").join(name)).unwrap();
    assert!(text.contains("18000"), "{name} does not lead to port 18000");
    text.replace("18000", &serin.xds().port().to_string()).replace("9901", "0").replace("9902", "0")
}

/// Starts an Envoy with `bootstrap` and asks it for something.
async fn runs(bootstrap: &Path) {
    let mut envoy = Envoy::start(&ENVOY, bootstrap).await.unwrap();
    let addr = envoy.listener("http").await.unwrap();
    let (status, body) = Connection::open(addr).await.unwrap().get("/").await.unwrap();
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"blue"[..]), "{}", bootstrap.display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_runs_what_is_printed() {
    let (site, serin, _colours) = site().await;
    for mode in ["delta", "sotw"] {
        for format in ["yaml", "json"] {
            let printed = serin.bootstrap(mode, mode, &["--format", format, "--admin-port", "0"]).unwrap();
            let path = site.path().join(format!("{mode}.{format}"));
            std::fs::write(&path, printed).unwrap();
            runs(&path).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_runs_the_files_of_the_repository() {
    let (site, serin, _colours) = site().await;
    for name in ["envoy-delta.yaml", "envoy-sotw.yaml"] {
        let path = site.path().join(name);
        std::fs::write(&path, of_repository(name, &serin)).unwrap();
        runs(&path).await;
    }
}
