//! Both ends in one task, step by step.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use futures::task::noop_waker_ref;
use tonic::Code;

use super::*;

/// Both ends, and the seconds that their clock shows.
fn ends() -> (Outlet, Drain, Arc<AtomicU64>) {
    let seconds = Arc::new(AtomicU64::new(0));
    let time = Arc::clone(&seconds);
    let clock: Clock = Arc::new(move || Duration::from_secs(time.load(Ordering::Relaxed)));
    let (outlet, drain) = outlet(&clock);
    (outlet, drain, seconds)
}

fn frame() -> Frame {
    Frame::new(1, &Bytes::from_static(b"body")).unwrap()
}

fn next(drain: &mut Drain) -> Poll<Option<Outgoing>> {
    drain.poll_next(&mut Context::from_waker(noop_waker_ref()))
}

#[test]
fn there_is_room_again_when_the_transport_has_taken_what_waited() {
    let (outlet, mut drain, _) = ends();
    assert_eq!(outlet.room().now_or_never(), Some(Ok(())));
    outlet.send(Ok(frame()));
    assert_eq!(outlet.room().now_or_never(), None);
    assert!(matches!(next(&mut drain), Poll::Ready(Some(Ok(_)))));
    assert_eq!(outlet.room().now_or_never(), Some(Ok(())));
    assert!(next(&mut drain).is_pending());
}

#[tokio::test]
async fn each_end_wakes_the_other() {
    let (outlet, mut drain, _) = ends();
    let task = async {
        for _ in 0..3 {
            outlet.room().await.unwrap();
            outlet.send(Ok(frame()));
            tokio::task::yield_now().await;
        }
        outlet.gone().await;
    };
    let transport = async {
        for _ in 0..3 {
            std::future::poll_fn(|context| drain.poll_next(context)).await.unwrap().unwrap();
        }
        drop(drain);
    };
    tokio::join!(task, transport);
    assert_eq!(outlet.room().await, Err(Gone));
}

#[test]
fn a_status_takes_the_place_of_what_waits_and_is_the_last() {
    let (outlet, mut drain, _) = ends();
    outlet.send(Ok(frame()));
    outlet.send(Err(Status::unavailable("the end")));
    drop(outlet);
    let Poll::Ready(Some(Err(status))) = next(&mut drain) else { panic!("not the status") };
    assert_eq!(status.code(), Code::Unavailable);
    assert!(matches!(next(&mut drain), Poll::Ready(None)));
}

#[test]
fn a_transport_waits_from_its_last_move_on() {
    let (outlet, mut drain, seconds) = ends();
    let at = |time| Some(Duration::from_secs(time));
    assert_eq!(outlet.waiting_since(), None);
    seconds.store(1, Ordering::Relaxed);
    outlet.send(Ok(frame()));
    seconds.store(2, Ordering::Relaxed);
    assert_eq!(outlet.waiting_since(), at(1), "it has not come");
    assert!(next(&mut drain).is_ready());
    seconds.store(3, Ordering::Relaxed);
    assert_eq!(outlet.waiting_since(), at(2), "it has come and not sent it all");
    drain.moved();
    outlet.send(Ok(frame()));
    seconds.store(4, Ordering::Relaxed);
    assert_eq!(outlet.waiting_since(), at(3), "what waits behind it makes no difference");
    assert!(next(&mut drain).is_ready() && next(&mut drain).is_pending());
    assert_eq!(outlet.waiting_since(), None, "all is sent");
}

#[test]
fn a_task_that_waits_for_two_things_is_woken_by_either() {
    let (outlet, drain, _) = ends();
    outlet.send(Ok(frame()));
    let (mut room, mut gone) = (pin!(outlet.room()), pin!(outlet.gone()));
    let mut context = Context::from_waker(noop_waker_ref());
    assert!(room.as_mut().poll(&mut context).is_pending() && gone.as_mut().poll(&mut context).is_pending());
    drop(drain);
    assert_eq!(room.as_mut().poll(&mut context), Poll::Ready(Err(Gone)));
    assert_eq!(gone.as_mut().poll(&mut context), Poll::Ready(()));
}
