//! What passes on a stream: requests that are encoded once for all streams, and as much of the responses as a load
//! client has to know.

use std::collections::VecDeque;

use anyhow::Result;
use bytes::{Buf, Bytes};
use clap::ValueEnum;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field, string};

/// The two variants of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// State of the world.
    Sotw,
    /// Incremental.
    Delta,
}

impl Variant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sotw => "sotw",
            Self::Delta => "delta",
        }
    }

    /// The call that a proxy makes.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Sotw => "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
            Self::Delta => "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
        }
    }
}

/// What a proxy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Cluster,
    Endpoint,
    Listener,
    Route,
}

impl Type {
    /// In the order in which an Envoy that starts asks for them, each once it has the one before.
    pub(crate) const ALL: [Self; 4] = [Self::Cluster, Self::Endpoint, Self::Listener, Self::Route];

    pub(crate) fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }
}

/// What the streams ask for of one type.
pub(crate) struct Subscription {
    variant: Variant,
    /// How many resources answer it; one of a wildcard, which has as many as there are.
    pub(crate) expected: usize,
    /// Type and names: what is the same in the first request of every stream.
    first: Bytes,
    /// The same of every later request.
    later: Bytes,
}

impl Subscription {
    /// No names stand for all there are.
    pub(crate) fn new(variant: Variant, ty: Type, names: Vec<String>) -> Self {
        let expected = names.len().max(1);
        let type_url = ty.url().to_owned();
        match variant {
            Variant::Sotw => {
                let request = DiscoveryRequest { type_url, resource_names: names, ..Default::default() };
                let every = Bytes::from(request.encode_to_vec());
                Self { variant, expected, first: every.clone(), later: every }
            }
            Variant::Delta => {
                let later = DeltaDiscoveryRequest { type_url, ..Default::default() };
                let first = DeltaDiscoveryRequest { resource_names_subscribe: names, ..later.clone() };
                let (first, later) = (first.encode_to_vec().into(), later.encode_to_vec().into());
                Self { variant, expected, first, later }
            }
        }
    }

    /// The first request; that of a stream's first type names the node.
    pub(crate) fn subscribe(&self, node: Option<Node>) -> Request {
        let own = match self.variant {
            Variant::Sotw => DiscoveryRequest { node, ..Default::default() }.encode_to_vec(),
            Variant::Delta => DeltaDiscoveryRequest { node, ..Default::default() }.encode_to_vec(),
        };
        Request { own, shared: self.first.clone() }
    }

    /// Says that a response was taken.
    pub(crate) fn acknowledge(&self, response: &Response) -> Request {
        let response_nonce = response.nonce.clone();
        let own = match self.variant {
            Variant::Sotw => {
                let version_info = response.version.clone();
                DiscoveryRequest { version_info, response_nonce, ..Default::default() }.encode_to_vec()
            }
            Variant::Delta => DeltaDiscoveryRequest { response_nonce, ..Default::default() }.encode_to_vec(),
        };
        Request { own, shared: self.later.clone() }
    }
}

/// An encoded request in two parts; protobuf takes the fields of a message in any order.
pub(crate) struct Request {
    pub(crate) own: Vec<u8>,
    pub(crate) shared: Bytes,
}

/// A response of either variant, whose fields have the same numbers in both.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) type_url: String,
    pub(crate) nonce: String,
    /// How many it carries.
    pub(crate) resources: usize,
}

impl Response {
    /// Reads a whole message, and passes over its resources.
    pub(crate) fn read(message: &mut impl Buf) -> Result<Self> {
        let mut response = Self::default();
        while message.has_remaining() {
            let (tag, wire_type) = decode_key(message)?;
            let text = match tag {
                1 => &mut response.version,
                4 => &mut response.type_url,
                5 => &mut response.nonce,
                _ => {
                    response.resources += usize::from(tag == 2);
                    skip_field(wire_type, tag, message, DecodeContext::default())?;
                    continue;
                }
            };
            string::merge(wire_type, text, message, DecodeContext::default())?;
        }
        Ok(response)
    }

    /// `None` of a type that no stream asks for.
    pub(crate) fn ty(&self) -> Option<Type> {
        Type::ALL.into_iter().find(|ty| ty.url() == self.type_url)
    }
}

/// What has come of a call and is not read yet, in the pieces in which it came: nothing is copied.
#[derive(Default)]
pub(crate) struct Inbox {
    pieces: VecDeque<Bytes>,
    length: usize,
    /// Of the message that begins here, once its prefix is read.
    message: Option<usize>,
}

impl Inbox {
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Of the message that has come whole, which is to be read to its end.
    pub(crate) fn whole_message(&mut self) -> Option<usize> {
        /// Whether it is compressed, which nobody asked for, and its length.
        const PREFIX: usize = 5;
        if self.message.is_none() && self.length >= PREFIX {
            self.advance(1);
            self.message = usize::try_from(self.get_u32()).ok();
        }
        self.message.take_if(|length| *length <= self.length)
    }
}

impl Buf for Inbox {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}
