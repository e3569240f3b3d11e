//! Who is let in when many come at once: all proxies come back together when a process restarts.
//!
//! New streams are taken up at a bounded rate, and so many of them at a time are answered for the first time as there is
//! memory for: between the answer to a client that has nothing and its acknowledgement, a stream has all names twice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// New streams per second. Opening one costs a tenth of a millisecond: so many take one core.
const RATE: u32 = 10_000;

/// How many are taken up at once after a quiet time: a tenth of a second's.
const BURST: u32 = RATE / 10;

/// Longest wait for being taken up. Past it a client is better told to come back: it does so after a pause of its own,
/// and what it has goes on working.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Streams that are answered for the first time at once: with 1,000 services each takes half a megabyte meanwhile.
const FIRST_ANSWERS: usize = 256;

/// How long one stream may take of that number to itself: a client that does not take its answer keeps no other waiting
/// for longer.
pub(super) const FIRST_ANSWER_TIME: Duration = Duration::from_secs(1);

/// The way in.
pub(super) struct Admission {
    /// When the next stream is due at an even rate; in the past after a quiet time.
    next: Mutex<Duration>,
    answering: Arc<Semaphore>,
}

impl Admission {
    /// Nobody has come yet.
    pub(super) fn new() -> Self {
        Self { next: Mutex::default(), answering: Arc::new(Semaphore::new(FIRST_ANSWERS)) }
    }

    /// How long a new stream waits before it is taken up.
    pub(super) fn enter(&self, now: Duration) -> Result<Duration, Status> {
        let each = Duration::from_secs(1) / RATE;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = (*next).max(now.saturating_sub(each * BURST));
        let wait = due.saturating_sub(now);
        if wait > LONGEST_WAIT {
            return Err(Status::resource_exhausted("too many new streams at once; come back in a moment"));
        }
        *next = due + each;
        Ok(wait)
    }

    /// Waits for its turn to be answered for the first time; the turn ends when what is returned is dropped.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed; if it were, nothing would be to wait for.
        Arc::clone(&self.answering).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_up_at_once_and_the_rest_at_a_rate() {
        let admission = Admission::new();
        let now = Duration::from_secs(3600);
        let waits: Vec<_> = (0..=BURST + RATE).map(|_| admission.enter(now)).collect();
        assert!(waits[..=BURST as usize].iter().all(|wait| wait.as_ref().is_ok_and(Duration::is_zero)));
        assert_eq!(*waits[BURST as usize + 100].as_ref().unwrap(), Duration::from_millis(10));
        assert_eq!(*waits.last().unwrap().as_ref().unwrap(), LONGEST_WAIT);
        let refused = (0..10).map(|_| admission.enter(now)).last().unwrap().unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        let later = now + LONGEST_WAIT;
        assert!(admission.enter(later).unwrap() < Duration::from_millis(1), "who was refused does not count");
    }

    #[tokio::test]
    async fn a_turn_that_ends_is_the_next_ones() {
        let admission = Admission::new();
        let mut turns = Vec::new();
        for _ in 0..FIRST_ANSWERS {
            turns.push(admission.turn().await);
        }
        let mut next = std::pin::pin!(admission.turn());
        assert!(futures::poll!(&mut next).is_pending());
        turns.pop();
        assert!(next.await.is_some());
    }
}
