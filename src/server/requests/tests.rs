//! What is read is what a whole decoder would have read, whatever pieces it comes in.

use std::convert::Infallible;

use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;

use super::*;

/// A body of these bytes in pieces of at most that length.
fn body(bytes: &[u8], piece: usize) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin + use<> {
    let pieces: Vec<_> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
    StreamBody::new(tokio_stream::iter(pieces.into_iter().map(|piece| Ok(Frame::data(piece)))))
}

fn framed<M: Message>(messages: &[M]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.push(0);
        bytes.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
        bytes.extend(message.encode_to_vec());
    }
    bytes
}

#[tokio::main(flavor = "current_thread")]
async fn read(variant: Variant, bytes: &[u8], piece: usize) -> Result<Vec<Inbound>, Status> {
    let mut requests = Requests::new(body(bytes, piece), variant, None);
    let mut read = Vec::new();
    while let Some(inbound) = requests.next().await? {
        read.push(inbound);
    }
    Ok(read)
}

fn node() -> discovery::Node {
    discovery::Node { id: "n".into(), ..Default::default() }
}

fn sotw(names: &[&str]) -> discovery::DiscoveryRequest {
    discovery::DiscoveryRequest {
        version_info: "v".into(),
        node: Some(node()),
        resource_names: names.iter().map(ToString::to_string).collect(),
        type_url: ResourceType::Endpoint.type_url(),
        response_nonce: "not a number".into(),
        error_detail: Some(discovery::Status { code: 13, message: "bad".into() }),
    }
}

#[test]
fn sotw_request_keeps_every_field() {
    let [inbound] = &read(Variant::Sotw, &framed(&[sotw(&["a", ""])]), 7).unwrap()[..] else { panic!("not one") };
    assert_eq!(inbound.node.as_ref().map(|node| &*node.id), Some("n"));
    assert_eq!((&*inbound.type_url, &*inbound.nonce), (&*ResourceType::Endpoint.type_url(), "not a number"));
    assert_eq!(inbound.error.as_deref(), Some("bad"));
    assert_eq!(inbound.body, RequestBody::Sotw { version: "v".into(), names: vec!["a".into(), String::new()] });
}

#[test]
fn a_nack_without_words_stays_a_nack() {
    let request = discovery::DeltaDiscoveryRequest {
        initial_resource_versions: [("a".to_owned(), "1".to_owned())].into(),
        error_detail: Some(discovery::Status { code: 3, message: String::new() }),
        ..Default::default()
    };
    let [inbound] = &read(Variant::Delta, &framed(&[request]), 7).unwrap()[..] else { panic!("not one") };
    assert_eq!(inbound.error.as_deref(), Some("no reason given (code 3)"));
    let RequestBody::Delta { initial, .. } = &inbound.body else { panic!("not delta") };
    assert_eq!(*initial, [("a".to_owned(), "1".to_owned())].into());
}

#[test]
fn names_are_read_again_when_they_are_others() {
    let (a, b) = (["ab", "c"], ["a", "bc"]);
    let of_another_type = discovery::DiscoveryRequest { type_url: ResourceType::Route.type_url(), ..sotw(&a) };
    let unknown = discovery::DiscoveryRequest { type_url: "unheard-of".into(), ..sotw(&a) };
    let requests =
        [sotw(&a), sotw(&a), of_another_type.clone(), sotw(&b), of_another_type, sotw(&[]), unknown.clone(), unknown];
    let read = read(Variant::Sotw, &framed(&requests), usize::MAX).unwrap();
    let named = read.iter().map(|inbound| match &inbound.body {
        RequestBody::Sotw { names, .. } => Some(names.concat()),
        RequestBody::SotwSameNames { version } if version == "v" => None,
        other => panic!("{other:?}"),
    });
    let named: Vec<_> = named.collect();
    let named: Vec<_> = named.iter().map(Option::as_deref).collect();
    assert_eq!(named, [Some("abc"), None, Some("abc"), Some("abc"), None, Some(""), Some("abc"), Some("abc")]);
    assert!(read[0].node.is_some() && read[1..].iter().all(|inbound| inbound.node.is_none()), "its node is read once");
}

#[test]
fn what_cannot_be_read_is_said() {
    let whole = framed(&[sotw(&["a"])]);
    let refused = |bytes: &[u8]| read(Variant::Sotw, bytes, usize::MAX).unwrap_err().message().to_owned();
    assert_eq!(refused(&whole[..whole.len() - 1]), "the last one is cut short");
    assert_eq!(refused(&[1, 0, 0, 0, 0]), "they are compressed");
    assert_eq!(refused(&[0, 0xff, 0, 0, 0]), "one of 4278190080 bytes is over the limit of 33554432");
    assert_eq!(refused(&[0, 0, 0, 0, 2, 0x0a, 0x7f]), "a field is longer than its message");
    assert_eq!(refused(&[0, 0, 0, 0, 3, 0x0a, 1, 0xff]), "a text is not UTF-8");
}

proptest! {
    #[test]
    fn delta_requests_are_read_whatever_pieces_they_come_in(
        requests in prop::collection::vec(
            (
                prop::collection::vec(".{0,9}", 0..4),
                prop::collection::vec(".{0,9}", 0..4),
                prop::collection::btree_map(".{0,9}", ".{0,9}", 0..4),
                ".{0,9}",
            ),
            0..5,
        ),
        piece in 1..40_usize,
    ) {
        let sent: Vec<_> = requests.iter().map(|(subscribe, unsubscribe, initial, nonce)| {
            discovery::DeltaDiscoveryRequest {
                node: Some(node()),
                type_url: ResourceType::Endpoint.type_url(),
                resource_names_subscribe: subscribe.clone(),
                resource_names_unsubscribe: unsubscribe.clone(),
                initial_resource_versions: initial.clone(),
                response_nonce: nonce.clone(),
                error_detail: None,
            }
        }).collect();
        let read = read(Variant::Delta, &framed(&sent), piece).unwrap();
        let expected: Vec<_> = requests.into_iter().enumerate().map(|(i, (subscribe, unsubscribe, initial, nonce))| {
            Inbound {
                node: (i == 0).then(node),
                type_url: ResourceType::Endpoint.type_url(),
                nonce,
                error: None,
                body: RequestBody::Delta { subscribe, unsubscribe, initial },
            }
        }).collect();
        prop_assert_eq!(read, expected);
    }
}
