//! The requests of one stream, looked into as little as can be.
//!
//! What most of them say is "as before": an acknowledgement in the state-of-the-world variant repeats every name the
//! client is subscribed to, and Envoy puts its node of 61 KB into each unless told otherwise. So a message stays the
//! bytes that came, a node is read once, and names are read when they are others than the last time. Nothing is kept
//! between two requests: tonic's own reader keeps a buffer as large as the largest of them for as long as a stream lives.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tonic::Status;

use super::limits;
use super::proto::envoy::service::discovery::v3 as discovery;
use crate::xds::{RequestBody, ResourceType, Variant};

/// Whether it is compressed, and the length as four bytes.
const PREFIX: usize = 5;

/// A request of either variant, before anything in it is judged.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Inbound {
    /// Of a stream's first request alone.
    pub(super) node: Option<discovery::Node>,
    pub(super) type_url: String,
    pub(super) nonce: String,
    pub(super) error: Option<String>,
    pub(super) body: RequestBody,
}

/// The requests as they come.
pub(super) struct Requests<B> {
    body: B,
    /// What has come of the next message, in pieces.
    come: VecDeque<Bytes>,
    reader: Reader,
}

impl<B> Requests<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    /// `only`: the one type of a stream that is not aggregated.
    pub(super) fn new(body: B, variant: Variant, only: Option<ResourceType>) -> Self {
        Self { body, come: VecDeque::new(), reader: Reader::new(variant, only) }
    }

    /// The next request; `None` once the client has said its last. Loses nothing when it is dropped half way.
    pub(super) async fn next(&mut self) -> Result<Option<Inbound>, Status> {
        loop {
            if let Some(message) = self.message()? {
                return self.reader.read(&message).map(Some);
            }
            let Some(frame) = self.body.frame().await else {
                let cut = !self.come.is_empty();
                return if cut { Err(Status::internal("the last one is cut short")) } else { Ok(None) };
            };
            let frame = frame.map_err(|error| Status::from_error(error.into()))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                self.come.push_back(data);
            }
        }
    }

    /// Takes the next message if it has come as a whole.
    fn message(&mut self) -> Result<Option<Bytes>, Status> {
        let mut prefix = self.come.iter().flatten().take(PREFIX).copied();
        let (Some(compressed), Some(a), Some(b), Some(c), Some(d)) =
            (prefix.next(), prefix.next(), prefix.next(), prefix.next(), prefix.next())
        else {
            return Ok(None);
        };
        if compressed != 0 {
            return Err(Status::unimplemented("they are compressed"));
        }
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > limits::REQUEST_BYTES {
            let limit = limits::REQUEST_BYTES;
            return Err(Status::resource_exhausted(format!("one of {length} bytes is over the limit of {limit}")));
        }
        let come: usize = self.come.iter().map(Bytes::len).sum();
        if come < PREFIX + length {
            return Ok(None);
        }
        let mut message = self.cut(PREFIX + length);
        message.advance(PREFIX);
        Ok(Some(message))
    }

    /// The first `count` of the bytes that have come, of which there are as many: as they are where they are in one piece.
    fn cut(&mut self, count: usize) -> Bytes {
        let mut whole = BytesMut::new();
        while let Some(mut piece) = self.come.pop_front() {
            let missing = count - whole.len();
            let taken = piece.split_to(missing.min(piece.len()));
            if !piece.is_empty() {
                self.come.push_front(piece);
            }
            if taken.len() == count {
                return taken;
            }
            whole.reserve(missing);
            whole.extend_from_slice(&taken);
            if whole.len() == count {
                break;
            }
        }
        whole.freeze()
    }
}

/// Reads messages, and remembers of each what the next may repeat.
struct Reader {
    variant: Variant,
    only: Option<ResourceType>,
    /// Whether none has been read yet.
    first: bool,
    /// What the names of the last request of each type come to.
    names: [Option<u64>; ResourceType::COUNT],
    hasher: RandomState,
}

impl Reader {
    fn new(variant: Variant, only: Option<ResourceType>) -> Self {
        Self { variant, only, first: true, names: [None; ResourceType::COUNT], hasher: RandomState::new() }
    }

    fn read(&mut self, message: &[u8]) -> Result<Inbound, Status> {
        let inbound = match self.variant {
            Variant::Sotw => self.sotw(message),
            Variant::Delta => self.delta(message),
        };
        self.first = false;
        inbound
    }

    /// `DiscoveryRequest`
    fn sotw(&mut self, message: &[u8]) -> Result<Inbound, Status> {
        let (mut inbound, mut version) = (Inbound::default(), String::new());
        let mut names = self.hasher.build_hasher();
        let mut rest = message;
        while let Some((tag, value)) = field(&mut rest)? {
            match tag {
                1 => version = text(value)?,
                2 => self.node(&mut inbound, value)?,
                3 => {
                    names.write_usize(value.len());
                    names.write(value);
                }
                4 => inbound.type_url = text(value)?,
                5 => inbound.nonce = text(value)?,
                6 => inbound.error = Some(error_words(value)?),
                _ => {}
            }
        }
        let names = Some(names.finish());
        let ty = self.only.or_else(|| ResourceType::from_type_url(&inbound.type_url));
        let before = ty.and_then(|ty| std::mem::replace(&mut self.names[ty.index()], names));
        inbound.body = if before == names {
            RequestBody::SotwSameNames { version }
        } else {
            RequestBody::Sotw { version, names: texts(message, 3)? }
        };
        Ok(inbound)
    }

    /// `DeltaDiscoveryRequest`
    fn delta(&mut self, message: &[u8]) -> Result<Inbound, Status> {
        let mut inbound = Inbound::default();
        let (mut subscribe, mut unsubscribe, mut initial) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut rest = message;
        while let Some((tag, value)) = field(&mut rest)? {
            match tag {
                1 => self.node(&mut inbound, value)?,
                2 => inbound.type_url = text(value)?,
                3 => subscribe.push(text(value)?),
                4 => unsubscribe.push(text(value)?),
                5 => initial.extend([entry(value)?]),
                6 => inbound.nonce = text(value)?,
                7 => inbound.error = Some(error_words(value)?),
                _ => {}
            }
        }
        inbound.body = RequestBody::Delta { subscribe, unsubscribe, initial };
        Ok(inbound)
    }

    fn node(&self, inbound: &mut Inbound, value: &[u8]) -> Result<(), Status> {
        if self.first {
            inbound.node = Some(discovery::Node::decode(value).map_err(|error| unreadable(&error))?);
        }
        Ok(())
    }
}

/// The presence of `error_detail` is what makes a NACK, so a client that gives no reason still NACKs.
fn error_words(value: &[u8]) -> Result<String, Status> {
    let status = discovery::Status::decode(value).map_err(|error| unreadable(&error))?;
    let silent = status.message.is_empty();
    Ok(if silent { format!("no reason given (code {})", status.code) } else { status.message })
}

/// One entry of a map from text to text.
fn entry(mut rest: &[u8]) -> Result<(String, String), Status> {
    let mut entry = (String::new(), String::new());
    while let Some((tag, value)) = field(&mut rest)? {
        match tag {
            1 => entry.0 = text(value)?,
            2 => entry.1 = text(value)?,
            _ => {}
        }
    }
    Ok(entry)
}

/// The values of a repeated field.
fn texts(mut rest: &[u8], wanted: u32) -> Result<Vec<String>, Status> {
    let mut values = Vec::new();
    while let Some((tag, value)) = field(&mut rest)? {
        if tag == wanted {
            values.push(text(value)?);
        }
    }
    Ok(values)
}

/// The next field that has a length, which all have that are declared; others are passed over.
fn field<'a>(rest: &mut &'a [u8]) -> Result<Option<(u32, &'a [u8])>, Status> {
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(rest).map_err(|error| unreadable(&error))?;
        if wire_type != WireType::LengthDelimited {
            skip_field(wire_type, tag, rest, DecodeContext::default()).map_err(|error| unreadable(&error))?;
            continue;
        }
        let length = decode_varint(rest).map_err(|error| unreadable(&error))?;
        let cut = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let (value, after) = cut.ok_or_else(|| Status::internal("a field is longer than its message"))?;
        *rest = after;
        return Ok(Some((tag, value)));
    }
    Ok(None)
}

fn text(value: &[u8]) -> Result<String, Status> {
    str::from_utf8(value).map(str::to_owned).map_err(|_| Status::internal("a text is not UTF-8"))
}

fn unreadable(error: &prost::DecodeError) -> Status {
    Status::internal(error.to_string())
}

#[cfg(test)]
mod tests;
