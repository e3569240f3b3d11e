//! A service that answers every request with its colour.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One running upstream; takes no new connection after it is dropped.
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    server: JoinHandle<()>,
}

impl Upstream {
    /// Listens at `addr` (port 0 picks one) and answers with `colour`.
    pub(crate) async fn start(addr: SocketAddr, colour: &str) -> Result<Self> {
        let listener = TcpListener::bind(addr).await.with_context(|| format!("the upstream {colour} needs {addr}"))?;
        let addr = listener.local_addr()?;
        let colour = colour.to_owned();
        let service = Router::new().fallback(move || std::future::ready(colour.clone()));
        let server = tokio::spawn(async move {
            // Returns only when the task is aborted.
            let _ = axum::serve(listener, service).await;
        });
        Ok(Self { addr, server })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}
