//! One version of a service that takes its time, and that can be told to be bad.

use std::convert::Infallible;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};

/// Half of the requests of a good version take at most this long. Timers and Envoy's histograms count whole
/// milliseconds: a quarter more must be several of them.
const MEDIAN_MS: f64 = 20.0;

/// Of the logarithm of the time: one in six requests takes more than half as long again as the median.
const SIGMA: f64 = 0.4;

/// What is wrong with a version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// This share of its answers is 500.
    Fails(f64),
    /// This share of its answers takes so many times as long.
    Tail(f64, f64),
    /// All its answers take so many times as long.
    Slower(f64),
}

/// A running version; nothing listens there and no connection is left once it is dropped.
pub(crate) struct Service {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    server: JoinHandle<()>,
}

impl Service {
    /// Listens at `addr` (port 0 picks one). Each answer is the version's name, with ` slow` or ` failed` after it where
    /// the fault made it so. The same `seed` draws the same times and faults, in the order in which requests come.
    pub(crate) async fn start(addr: SocketAddr, version: &str, fault: Fault, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind(addr).await.with_context(|| format!("{version} needs {addr}"))?;
        let addr = listener.local_addr()?;
        let version: Arc<str> = version.into();
        let random = Arc::new(Mutex::new(Random(seed)));
        let server = tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (version, random) = (Arc::clone(&version), Arc::clone(&random));
                let answer = service_fn(move |_: Request<Incoming>| {
                    let drawn = random.lock().unwrap_or_else(PoisonError::into_inner).draw(fault);
                    answer(Arc::clone(&version), drawn)
                });
                // Without it small answers may wait for those before.
                if stream.set_nodelay(true).is_ok() {
                    let mut http = http1::Builder::new();
                    connections.spawn(http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer));
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { addr, server })
    }

    /// Drops dead, as a process does that is killed: connections break and new ones are refused for as long as what is
    /// returned is held. Nobody else can take the port meanwhile.
    pub(crate) async fn die(mut self) -> Result<TcpSocket> {
        self.server.abort();
        // An error says that it has been aborted.
        let _ = (&mut self.server).await;
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.addr).with_context(|| format!("cannot keep {}", self.addr))?;
        Ok(socket)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// How one request goes.
struct Drawn {
    takes: Duration,
    status: StatusCode,
    /// What is said after the name.
    mark: &'static str,
}

async fn answer(version: Arc<str>, drawn: Drawn) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(drawn.takes).await;
    let mut response = Response::new(Full::from(format!("{version}{}", drawn.mark)));
    *response.status_mut() = drawn.status;
    Ok(response)
}

/// `SplitMix64`
struct Random(u64);

impl Random {
    /// The same two numbers are drawn for every request, whatever the fault.
    fn draw(&mut self, fault: Fault) -> Drawn {
        let (luck, normal) = (self.uniform(), self.normal());
        let (factor, status, mark) = match fault {
            Fault::Fails(share) if luck < share => (1.0, StatusCode::INTERNAL_SERVER_ERROR, " failed"),
            Fault::Tail(share, factor) if luck < share => (factor, StatusCode::OK, " slow"),
            Fault::Slower(factor) => (factor, StatusCode::OK, " slow"),
            _ => (1.0, StatusCode::OK, ""),
        };
        let ms = MEDIAN_MS * (SIGMA * normal).exp() * factor;
        Drawn { takes: Duration::from_secs_f64(ms / 1e3), status, mark }
    }

    /// Above 0, below 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // 32 bits are plenty, and exact.
        let top = u32::try_from(z >> 32).unwrap_or(u32::MAX);
        (f64::from(top) + 0.5) / 4_294_967_296.0
    }

    /// Box and Muller, 1958.
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
    }
}
