//! Connections over real sockets, with times so short that what they are for comes at once.

use std::net::Ipv4Addr;

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// How an HTTP/2 connection begins: the client's magic words, and SETTINGS without any.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn connections(max_age: Option<Duration>) -> (watch::Sender<bool>, Connections) {
    let (stopper, stop) = Stop::new();
    (stopper, Connections::new(Routes::default(), max_age, stop))
}

#[tokio::test]
async fn a_connection_that_opens_no_stream_is_closed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopper, connections) = connections(None);
    let connections = Connections { first_stream: Duration::from_millis(1), ..connections };
    let server = tokio::spawn(connections.serve(async move || listener.accept().await));
    for said in [b"".as_slice(), b"GET / HTTP/1.1\r\n", PREFACE] {
        let mut client = TcpStream::connect(address).await.unwrap();
        drop(client.write_all(said).await);
        // Bytes still unread at the other end make it an abrupt end. Otherwise it would come with the keepalive.
        let mut answer = Vec::new();
        drop(tokio::time::timeout(limits::KEEPALIVE_INTERVAL, client.read_to_end(&mut answer)).await.unwrap());
    }
    stopper.send_replace(true);
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_with_a_stream_may_be_silent() {
    let (opened, not_opened) = (AtomicBool::new(true), AtomicBool::new(false));
    silence(Duration::ZERO, &not_opened).await;
    tokio::time::timeout(Duration::from_millis(10), silence(Duration::ZERO, &opened)).await.unwrap_err();
}

#[tokio::test]
async fn a_failing_accept_is_tried_again_after_a_pause_and_ends_nothing() {
    let (_stopper, connections) = connections(None);
    let connections = Connections { accept_pause: Duration::from_millis(10), ..connections };
    let mut tries = 0_u32;
    let accept = async || {
        tries += 1;
        // Out of file descriptors.
        Err(io::Error::from_raw_os_error(24))
    };
    tokio::time::timeout(Duration::from_millis(100), connections.serve(accept)).await.unwrap_err();
    assert!((2..=10).contains(&tries), "{tries}");
}

#[tokio::test]
async fn the_end_waits_for_every_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopper, connections) = connections(None);
    let mut server = Box::pin(connections.serve(async move || listener.accept().await));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(PREFACE).await.unwrap();
    // Its SETTINGS say that the connection is served.
    let mut header = [0; 9];
    tokio::select! {
        () = &mut server => panic!("ended by itself"),
        read = client.read_exact(&mut header) => drop(read.unwrap()),
    }
    stopper.send_replace(true);
    assert!((&mut server).now_or_never().is_none(), "the client has not left yet");
    TcpStream::connect(address).await.unwrap_err();
    drop(client);
    server.await;
}

#[test]
fn ages_spread_over_a_fifth_on_both_sides() {
    let hour = Duration::from_secs(3600);
    assert_eq!(jittered(hour, 0), hour * 4 / 5);
    assert_eq!(jittered(hour, u64::MAX), hour * 6 / 5);
    let middle = jittered(hour, 1 << 63);
    assert!(middle.abs_diff(hour) < Duration::from_millis(1), "{middle:?}");
}
