//! The rig that the demo and the integration tests share: upstreams, real Envoys, the `serin` process and load.
//!
//! Everything listens on loopback and ends when its handle is dropped. Waiting is always for a condition, with a
//! deadline; nothing here sleeps and hopes.

pub(crate) mod envoy;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod serin;
pub(crate) mod upstream;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(2);

/// The one clock of the rig.
#[expect(clippy::disallowed_methods, reason = "a demo and a test measure real time; the ban is meant for the product")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Asks `probe` until it has an answer; an error when it has none within `limit`.
pub(crate) async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = now() + limit;
    loop {
        if let Some(answer) = probe().await.with_context(|| format!("while waiting for {what}"))? {
            return Ok(answer);
        }
        if now() >= deadline {
            bail!("{what}: not within {limit:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}
