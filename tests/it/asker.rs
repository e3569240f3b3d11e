//! Requests one after the other on one connection, with headers.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection that must answer 200.
pub(crate) struct Client(SendRequest<Empty<Bytes>>);

impl Client {
    /// To a proxy.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let (sender, connection) = handshake(TokioIo::new(TcpStream::connect(addr).await.unwrap())).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// The colour that answers.
    pub(crate) async fn get(&mut self, host: &str, headers: &[(&str, String)]) -> String {
        let request =
            headers.iter().fold(Request::get("/").header("host", host), |r, (name, value)| r.header(*name, value));
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// How many of `n` requests green answers.
    pub(crate) async fn on_green(&mut self, n: usize, host: &str, headers: &[(&str, String)]) -> usize {
        let mut green = 0;
        for _ in 0..n {
            green += usize::from(self.get(host, headers).await == "green");
        }
        green
    }
}
