//! What goes over the wire is the message that a codec would have written, and is not copied.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use proptest::prelude::*;
use prost::Message;
use tonic::Code;

use super::*;
use crate::server::Clock;
use crate::server::bodies::Bodies;
use crate::server::outlet::{Outgoing, outlet};
use crate::server::proto::envoy::service::discovery::v3 as discovery;
use crate::server::proto::google::protobuf::Any;
use crate::xds::{Resource, ResourceType, Response, Variant, Version};

const INSTANCE: &str = "serin-test";

/// A fresh copy: nothing in it stands where it stands in another.
fn response(ty: ResourceType, nonce: u64, resources: &[(String, Vec<u8>)], removed: &[String]) -> Response {
    let resource = |(name, body): &(String, Vec<u8>)| Arc::new(Resource::new(&**name, Bytes::from(body.clone())));
    Response {
        ty,
        nonce,
        version: Version::of(b"set"),
        resources: resources.iter().map(resource).collect(),
        removed: removed.iter().map(|name| Arc::from(&**name)).collect(),
    }
}

/// As the message would be if it were written in one piece.
fn expected_sotw(response: &Response) -> discovery::DiscoveryResponse {
    discovery::DiscoveryResponse {
        version_info: response.version.to_string(),
        resources: response.resources.iter().map(|resource| wrapped(response.ty, resource)).collect(),
        type_url: response.ty.type_url(),
        nonce: response.nonce.to_string(),
        control_plane: Some(discovery::ControlPlane { identifier: INSTANCE.to_owned() }),
    }
}

fn expected_delta(response: &Response) -> discovery::DeltaDiscoveryResponse {
    let resource = |resource: &Arc<Resource>| discovery::Resource {
        version: resource.version.to_string(),
        resource: Some(wrapped(response.ty, resource)),
        name: resource.name.to_string(),
        aliases: Vec::from_iter((response.ty == ResourceType::VirtualHost).then(|| resource.name.to_string())),
    };
    discovery::DeltaDiscoveryResponse {
        system_version_info: response.version.to_string(),
        resources: response.resources.iter().map(resource).collect(),
        type_url: response.ty.type_url(),
        nonce: response.nonce.to_string(),
        removed_resources: response.removed.iter().map(ToString::to_string).collect(),
        control_plane: Some(discovery::ControlPlane { identifier: INSTANCE.to_owned() }),
    }
}

fn wrapped(ty: ResourceType, resource: &Resource) -> Any {
    Any { type_url: ty.type_url(), value: resource.body.clone() }
}

/// The pieces a stream writes for these outgoing things, and the trailers behind them.
async fn written(outgoing: Vec<Outgoing>) -> (Vec<Bytes>, HeaderMap) {
    let clock: Clock = Arc::new(|| Duration::ZERO);
    let (outlet, drain) = outlet(&clock);
    let sending = async move {
        for one in outgoing {
            outlet.room().await.unwrap();
            outlet.send(one);
        }
    };
    let mut body = Frames::new(drain);
    let (written, ()) = tokio::join!(read(&mut body), sending);
    written
}

async fn read(body: &mut Frames) -> (Vec<Bytes>, HeaderMap) {
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.unwrap().into_data() {
            Ok(piece) => pieces.push(piece),
            Err(frame) => return (pieces, frame.into_trailers().unwrap()),
        }
    }
    panic!("a stream that ends without trailers")
}

/// The message in these pieces, as gRPC reads it.
fn message(pieces: &[Bytes]) -> Bytes {
    let whole = pieces.concat();
    let (prefix, message) = whole.split_at(PREFIX);
    assert_eq!(prefix[0], 0, "not compressed");
    assert_eq!(prefix[1..], u32::try_from(message.len()).unwrap().to_be_bytes());
    Bytes::copy_from_slice(message)
}

#[tokio::main(flavor = "current_thread")]
async fn on_the_wire(variant: Variant, response: &Response) -> Bytes {
    let body = Bodies::new(INSTANCE).body(variant, response.clone());
    let frame = Frame::new(response.nonce, &body).unwrap();
    let (pieces, _) = written(vec![Ok(frame)]).await;
    message(&pieces)
}

proptest! {
    #[test]
    fn both_variants_decode_to_the_whole_message(
        ty in prop::sample::select(&ResourceType::ALL[..]),
        nonce in any::<u64>(),
        // On both sides of what is copied behind its nonce.
        resources in prop::collection::vec((".{0,20}", prop::collection::vec(any::<u8>(), 0..600)), 0..6),
        removed in prop::collection::vec(".{0,20}", 0..4),
    ) {
        let sotw = response(ty, nonce, &resources, &[]);
        let decoded = discovery::DiscoveryResponse::decode(on_the_wire(Variant::Sotw, &sotw));
        prop_assert_eq!(decoded.unwrap(), expected_sotw(&sotw));
        let delta = response(ty, nonce, &resources, &removed);
        let decoded = discovery::DeltaDiscoveryResponse::decode(on_the_wire(Variant::Delta, &delta));
        prop_assert_eq!(decoded.unwrap(), expected_delta(&delta));
    }
}

fn heavy() -> Vec<(String, Vec<u8>)> {
    vec![("routes".to_owned(), vec![7; JOINED]), ("more".to_owned(), vec![8; 10])]
}

#[tokio::test]
async fn streams_in_one_state_write_the_same_bytes_at_the_same_place() {
    let bodies = Bodies::new(INSTANCE);
    let mut written_by = Vec::new();
    for nonce in [3, 12_345] {
        let body = bodies.body(Variant::Delta, response(ResourceType::Route, nonce, &heavy(), &[]));
        let (pieces, _) = written(vec![Ok(Frame::new(nonce, &body).unwrap())]).await;
        let decoded = discovery::DeltaDiscoveryResponse::decode(message(&pieces)).unwrap();
        assert_eq!((decoded.nonce, decoded.resources.len()), (nonce.to_string(), 2));
        written_by.push(pieces);
    }
    let [one, two] = [&written_by[0], &written_by[1]];
    assert_eq!((one.len(), two.len()), (2, 2), "what is of one stream, and what all share");
    assert_eq!(one[1].as_ptr(), two[1].as_ptr(), "not copied");
    assert!(one[0].len() <= PREFIX + NONCE_BYTES && two[0].len() <= PREFIX + NONCE_BYTES);
}

#[test]
fn only_equal_content_has_one_body() {
    let bodies = Bodies::new(INSTANCE);
    let of = |variant, response| bodies.body(variant, response);
    let make = |ty, removed: &[String]| response(ty, 1, &heavy(), removed);
    let first = of(Variant::Delta, make(ResourceType::Route, &[]));
    let mut other_version = make(ResourceType::Route, &[]);
    other_version.version = Version::of(b"another set");
    let mut fewer = make(ResourceType::Route, &[]);
    fewer.resources.truncate(1);
    for (what, other) in [
        ("variant", of(Variant::Sotw, make(ResourceType::Route, &[]))),
        ("type", of(Variant::Delta, make(ResourceType::Listener, &[]))),
        ("removed", of(Variant::Delta, make(ResourceType::Route, &["gone".to_owned()]))),
        ("version", of(Variant::Delta, other_version)),
        ("resources", of(Variant::Delta, fewer)),
    ] {
        assert_ne!(first, other, "{what}");
    }
    assert_eq!(of(Variant::Delta, make(ResourceType::Route, &[])).as_ptr(), first.as_ptr());
}

#[tokio::test]
async fn a_small_response_is_one_piece_and_a_stream_ends_with_its_status() {
    let frame = |nonce| Ok(Frame::new(nonce, &Bytes::from_static(b"\x22\x01t")).unwrap());
    let (pieces, trailers) = written(vec![frame(1), frame(2), Err(Status::unavailable("the end"))]).await;
    let nonces = pieces.iter().map(|piece| {
        let decoded = discovery::DiscoveryResponse::decode(message(std::slice::from_ref(piece))).unwrap();
        assert_eq!(decoded.type_url, "t");
        decoded.nonce
    });
    assert_eq!(nonces.collect::<Vec<_>>(), ["1", "2"]);
    let status = Status::from_header_map(&trailers).unwrap();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the end"));
    let (pieces, trailers) = written(Vec::new()).await;
    assert!(pieces.is_empty());
    assert_eq!(Status::from_header_map(&trailers).map(|status| status.code()), Some(Code::Ok));
}
