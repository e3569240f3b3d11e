//! HTTP/1.1 connections, for the admin interfaces and for the load.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, ToSocketAddrs};

/// One keep-alive connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    peer: SocketAddr,
}

impl Connection {
    /// Connects to an address, or to a name and port that are looked up.
    pub(crate) async fn open(peer: impl ToSocketAddrs) -> Result<Self> {
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; what went wrong on it is what `send` returns.
        tokio::spawn(connection);
        Ok(Self { sender, peer })
    }

    /// Whether the peer has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// One GET, whole answer.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes)> {
        self.send(Request::get(path).body(Full::default())?).await
    }

    /// One request to a path of this peer, whole answer.
    pub(crate) async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        request.headers_mut().insert(header::HOST, HeaderValue::try_from(self.peer.to_string())?);
        // The answer before may have been read sooner than the connection knows.
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// The body of a 200 answer to one GET on a connection of its own.
pub(crate) async fn get(peer: SocketAddr, path: &str) -> Result<String> {
    let (status, body) = exchange(peer, Request::get(path).body(Full::default())?).await?;
    if status != StatusCode::OK {
        bail!("GET http://{peer}{path}: {status}: {body}");
    }
    Ok(body)
}

/// The answer to one request on a connection of its own, whatever its status.
pub(crate) async fn exchange(peer: SocketAddr, request: Request<Full<Bytes>>) -> Result<(StatusCode, String)> {
    let what = format!("{} http://{peer}{}", request.method(), request.uri());
    let (status, body) = async { Connection::open(peer).await?.send(request).await }.await.context(what)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
