//! One response as its stream sends it: the body that all streams in the same state share, behind what is this stream's
//! own, which is the length of the whole and the nonce.
//!
//! A protobuf message may be given in pieces and its fields in any order, so the two parts together are the message:
//! "Message Structure" of <https://protobuf.dev/programming-guides/encoding/>. The bytes before it are gRPC's
//! `Length-Prefixed-Message` of <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use tonic::Status;

use super::limits;
use super::outlet::Drain;

/// The field `nonce`, which has the same number in both variants.
const NONCE: u32 = 5;

/// Not compressed, and the length as four bytes.
const PREFIX: usize = 5;

/// Tag, length and digits of the longest nonce.
const NONCE_BYTES: usize = 2 + 20;

/// Bodies up to here are copied behind their nonce, larger ones are shared: copying so little costs less than an HTTP/2
/// frame of its own, which takes nine bytes on the wire and one more turn through the connection.
const JOINED: usize = 1024;

/// One response on its way to one stream.
#[derive(Debug)]
pub(super) struct Frame {
    own: Bytes,
    shared: Bytes,
}

impl Frame {
    /// `body` is the encoded message less its nonce.
    pub(super) fn new(nonce: u64, body: &Bytes) -> Result<Self, Status> {
        let joined = body.len() <= JOINED;
        let nonce = nonce.to_string();
        let length = prost::encoding::string::encoded_len(NONCE, &nonce) + body.len();
        let Ok(prefix) = u32::try_from(length) else {
            return Err(Status::resource_exhausted(format!(
                "a response of {length} bytes is more than gRPC can carry"
            )));
        };
        let mut own = BytesMut::with_capacity(PREFIX + NONCE_BYTES + if joined { body.len() } else { 0 });
        own.put_u8(0);
        own.put_u32(prefix);
        prost::encoding::string::encode(NONCE, &nonce, &mut own);
        if joined {
            own.put_slice(body);
        }
        let shared = if joined { Bytes::new() } else { body.clone() };
        Ok(Self { own: own.freeze(), shared })
    }

    /// How much goes over the wire, before HTTP/2 adds its own.
    pub(super) fn bytes(&self) -> usize {
        self.own.len() + self.shared.len()
    }
}

/// The body of a stream's HTTP/2 response. Ends with the status that comes, or with OK when its stream task has ended.
/// It is asked for more when the transport has sent what it was given, so it gives a little at a time.
pub(super) struct Frames {
    responses: Drain,
    /// What has not gone yet of a frame whose first part has.
    shared: Bytes,
    ended: bool,
}

impl Frames {
    pub(super) fn new(responses: Drain) -> Self {
        Self { responses, shared: Bytes::new(), ended: false }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if !self.shared.is_empty() {
            self.responses.moved();
            let piece = limits::PIECE.min(self.shared.len());
            return Poll::Ready(Some(Ok(http_body::Frame::data(self.shared.split_to(piece)))));
        }
        let status = match std::task::ready!(self.responses.poll_next(context)) {
            Some(Ok(Frame { own, shared })) => {
                self.shared = shared;
                return Poll::Ready(Some(Ok(http_body::Frame::data(own))));
            }
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.ended = true;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| http_body::Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests;
