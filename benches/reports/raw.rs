//! Streams of messages that are encoded already: a thousand proxies are not to cost more than what they talk to.

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// A message in two parts, of which the first may be a proxy's own and the second that of many.
pub(crate) type Message = (Bytes, Bytes);

/// What a message takes on the wire: gRPC puts five bytes before it. Frames of HTTP/2 are not counted.
pub(crate) fn length((own, shared): &Message) -> u64 {
    (5 + own.len() + shared.len()) as u64
}

/// Takes and gives bytes as they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Message;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Message;
    type Error = Status;

    fn encode(&mut self, (own, shared): Message, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(own.len() + shared.len());
        buffer.put(own);
        buffer.put(shared);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
