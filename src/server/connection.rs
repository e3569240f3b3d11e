//! Connections: accepted one by one, served over HTTP/2, and closed when they open no stream or are old.
//!
//! Not tonic's server: it keeps a connection that says nothing for ever, takes a whole core when file descriptors have run
//! out, and sizes buffers for a few busy connections, not for thousands of quiet ones.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::service::Routes;
use tonic::transport::server::TcpConnectInfo;
use tracing::{debug, info, warn};

use super::limits;
use super::stop::Stop;

/// The end of one connection, as its streams see it. Set once, by the connection's task.
#[derive(Clone)]
pub(super) struct Ending(Stop);

impl Ending {
    /// Waits for it; for ever where there is none.
    pub(super) async fn wait(ending: &mut Option<Self>) {
        match ending {
            Some(Self(stop)) => stop.wait().await,
            None => pending().await,
        }
    }

    /// Why streams end then.
    pub(super) fn status() -> Status {
        Status::unavailable("the connection has reached its age; connect again")
    }
}

/// What all connections are served with.
#[derive(Clone)]
pub(super) struct Connections {
    http: http2::Builder<TokioExecutor>,
    routes: Routes,
    /// How old a connection grows, give or take a fifth; without an end if `None`.
    max_age: Option<Duration>,
    /// [`limits::FIRST_STREAM`]
    first_stream: Duration,
    /// [`limits::ACCEPT_PAUSE`]
    accept_pause: Duration,
    /// The end of the server.
    stop: Stop,
}

impl Connections {
    pub(super) fn new(routes: Routes, max_age: Option<Duration>, stop: Stop) -> Self {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(limits::KEEPALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
            .max_concurrent_streams(limits::CONCURRENT_STREAMS)
            .initial_connection_window_size(limits::CONNECTION_WINDOW)
            .initial_stream_window_size(limits::STREAM_WINDOW)
            .max_send_buf_size(limits::SEND_BUFFER)
            .auto_date_header(false);
        let (first_stream, accept_pause) = (limits::FIRST_STREAM, limits::ACCEPT_PAUSE);
        Self { http, routes, max_age, first_stream, accept_pause, stop }
    }

    /// Serves what `accept` brings until the server stops, and returns when all connections are closed.
    pub(super) async fn serve(self, mut accept: impl AsyncFnMut() -> io::Result<(TcpStream, SocketAddr)>) {
        let mut stop = self.stop.clone();
        // Each connection holds a sender until it is closed; nothing is ever sent.
        let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = accept() => accepted,
                () = stop.wait() => break,
            };
            match accepted {
                Ok((socket, peer)) => {
                    if std::mem::take(&mut failing) {
                        info!("connections are accepted again");
                    }
                    let (connections, open) = (self.clone(), open.clone());
                    tokio::spawn(async move {
                        connections.connection(socket, peer).await;
                        drop(open);
                    });
                }
                // It says nothing of the next one, so it ends nothing.
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(%error, "cannot accept connections");
                    }
                    tokio::time::sleep(self.accept_pause).await;
                }
            }
        }
        drop(open);
        drop(accept);
        while all_closed.recv().await.is_some() {}
    }

    async fn connection(self, socket: TcpStream, peer: SocketAddr) {
        let Self { http, routes, max_age, first_stream, mut stop, .. } = self;
        // Without it an acknowledgement waits for the next packet of ours (Nagle's algorithm).
        drop(socket.set_nodelay(true));
        let info = TcpConnectInfo { local_addr: socket.local_addr().ok(), remote_addr: Some(peer) };
        let (ender, ending) = max_age.map(|_| Stop::new()).unzip();
        let opened = Arc::new(AtomicBool::new(false));
        let calls = Calls { routes, info, ending: ending.map(Ending), opened: Arc::clone(&opened) };
        let mut connection = pin!(http.serve_connection(TokioIo::new(socket), calls));
        tokio::select! {
            _ended = connection.as_mut() => return,
            () = silence(first_stream, &opened) => {
                debug!(%peer, "opened no stream; connection closed");
                return;
            }
            () = age(max_age) => end_streams(ender.as_ref()),
            () = stop.wait() => {}
        }
        connection.as_mut().graceful_shutdown();
        if let Err(error) = connection.await {
            debug!(%peer, %error, "connection ended");
        }
    }
}

/// Returns when a connection has not opened any stream in time.
async fn silence(time: Duration, opened: &AtomicBool) {
    tokio::time::sleep(time).await;
    if opened.load(Ordering::Relaxed) {
        pending::<()>().await;
    }
}

/// Returns when a connection is old. Those that began together, as they do when a replica has gone, do not end together.
async fn age(max_age: Option<Duration>) {
    match max_age {
        Some(max_age) => tokio::time::sleep(jittered(max_age, RandomState::new().hash_one(()))).await,
        None => pending().await,
    }
}

/// `age` give or take a fifth; evenly, if `random` is even over all its values.
fn jittered(age: Duration, random: u64) -> Duration {
    let part = u32::try_from(random >> 32).unwrap_or(u32::MAX);
    age * 4 / 5 + (age * 2 / 5).mul_f64(f64::from(part) / f64::from(u32::MAX))
}

fn end_streams(ender: Option<&watch::Sender<bool>>) {
    if let Some(ender) = ender {
        ender.send_replace(true);
    }
}

/// The calls of one connection.
struct Calls {
    routes: Routes,
    info: TcpConnectInfo,
    ending: Option<Ending>,
    /// Whether there has been one.
    opened: Arc<AtomicBool>,
}

impl hyper::service::Service<http::Request<Incoming>> for Calls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        self.opened.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.info.clone());
        if let Some(ending) = &self.ending {
            request.extensions_mut().insert(ending.clone());
        }
        // Routes are ready at any time. In a box, because it is done long before the stream whose task keeps its place.
        Box::pin(self.routes.clone().call(request))
    }
}

#[cfg(test)]
mod tests;
