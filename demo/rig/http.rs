//! HTTP/1.1 connections, for the admin interfaces and for the load.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One keep-alive connection.
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    peer: SocketAddr,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(peer: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; what went wrong on it is what `get` returns.
        tokio::spawn(connection);
        Ok(Self { sender, peer })
    }

    /// Whether the peer has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// One GET, whole answer.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes)> {
        let request = Request::get(path).header("host", self.peer.to_string()).body(Empty::new())?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// The body of a 200 answer to one GET on a connection of its own.
pub(crate) async fn get(peer: SocketAddr, path: &str) -> Result<String> {
    let (status, body) = async { Connection::open(peer).await?.get(path).await }
        .await
        .with_context(|| format!("GET http://{peer}{path}"))?;
    let body = String::from_utf8_lossy(&body).into_owned();
    if status != StatusCode::OK {
        bail!("GET http://{peer}{path}: {status}: {body}");
    }
    Ok(body)
}
