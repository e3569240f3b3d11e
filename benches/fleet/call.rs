//! One ADS call on a connection of its own, as every sidecar has.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;

use anyhow::{Context, Result, anyhow, bail};
use bytes::buf::Take;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::FutureExt;
use h2::client::{Builder, Connection, ResponseFuture};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, StatusCode};
use tokio::net::TcpStream;

use crate::message::{Inbox, Request, Variant};

/// What may be on its way to a stream; more than any response has.
const WINDOW: u32 = 1 << 30;

/// Requests up to here go out in one piece: a copy costs less than a frame of its own.
const JOINED: usize = 1024;

/// One call.
pub(crate) struct Call {
    requests: SendStream<Bytes>,
    responses: Responses,
    inbox: Inbox,
    /// Bytes of responses that have come.
    pub(crate) received: u64,
}

enum Responses {
    /// Until the headers are there.
    Awaited(ResponseFuture),
    Open(RecvStream),
}

/// What moves a call's bytes, and nothing else does.
pub(crate) type Wire = Connection<TcpStream, Bytes>;

impl Call {
    /// Begins a call on `socket`, which is to be connected to `server`.
    pub(crate) async fn begin(socket: TcpStream, server: SocketAddr, variant: Variant) -> Result<(Wire, Self)> {
        socket.set_nodelay(true)?;
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (mut calls, wire) = builder.handshake(socket).await?;
        let request = http::Request::post(format!("http://{server}{}", variant.path()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (responses, requests) = calls.send_request(request, false)?;
        let responses = Responses::Awaited(responses);
        Ok((wire, Self { requests, responses, inbox: Inbox::default(), received: 0 }))
    }

    /// Queues a request.
    pub(crate) fn send(&mut self, request: &Request) -> Result<()> {
        let Request { own, shared } = request;
        let length = own.len() + shared.len();
        let joined = length <= JOINED;
        let mut head = BytesMut::with_capacity(5 + if joined { length } else { own.len() });
        head.put_u8(0);
        head.put_u32(u32::try_from(length)?);
        head.put_slice(own);
        if joined {
            head.put_slice(shared);
        }
        self.requests.send_data(head.freeze(), false)?;
        if !joined {
            self.requests.send_data(shared.clone(), false)?;
        }
        Ok(())
    }

    /// The next message, to be read to its end.
    pub(crate) async fn receive(&mut self) -> Result<Take<&mut Inbox>> {
        loop {
            if let Some(length) = self.inbox.whole_message() {
                return Ok((&mut self.inbox).take(length));
            }
            match &mut self.responses {
                Responses::Awaited(response) => {
                    let (head, body) = response.await?.into_parts();
                    if head.status != StatusCode::OK || head.headers.contains_key("grpc-status") {
                        bail!("refused with HTTP {}, {}", head.status, words(&head.headers));
                    }
                    self.responses = Responses::Open(body);
                }
                Responses::Open(body) => match body.data().await {
                    Some(piece) => {
                        let piece = piece?;
                        body.flow_control().release_capacity(piece.len())?;
                        self.received += u64::try_from(piece.len())?;
                        self.inbox.push(piece);
                    }
                    None => bail!("ended with {}", words(&body.trailers().await?.unwrap_or_default())),
                },
            }
        }
    }
}

/// How the server says that a call is over.
fn words(headers: &HeaderMap) -> String {
    let word = |name| headers.get(name).map_or("-".into(), |value| String::from_utf8_lossy(value.as_bytes()));
    format!("gRPC status {}: {}", word("grpc-status"), word("grpc-message"))
}

/// Connects to `server`.
pub(crate) async fn connect(server: SocketAddr) -> Result<TcpStream> {
    TcpStream::connect(server).await.with_context(|| format!("cannot connect to {server}"))
}

/// Does `work` with a call whose bytes go over `wire`. One task for both costs half of what two would.
pub(crate) async fn over<T>(wire: Wire, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        end = wire => {
            // What was said before the end says more than the end.
            let end = end.err().map_or(anyhow!("the server closed the connection"), Into::into);
            work.as_mut().now_or_never().unwrap_or(Err(end))
        }
        done = &mut work => done,
    }
}
