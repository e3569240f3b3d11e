//! Where a stream's task hands its responses to the transport: room for one, in less memory than a queue of one takes,
//! and it is seen whether the transport moves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tonic::Status;

use super::Clock;
use super::frame::Frame;

/// A response, or why there will be no more.
pub(super) type Outgoing = Result<Frame, Status>;

/// The end of the stream's task. Dropping it ends the stream, with OK if no status was left.
pub(super) struct Outlet(Arc<Shared>);

/// The transport's end. Dropping it says that the client is gone.
pub(super) struct Drain(Arc<Shared>);

/// The client is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

struct Shared {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Waits for the transport.
    next: Option<Outgoing>,
    /// Since when the transport has had something to send without coming back for more; `None` while it has nothing.
    waiting_since: Option<Duration>,
    task_ended: bool,
    client_gone: bool,
    task: Option<Waker>,
    transport: Option<Waker>,
}

/// Both ends.
pub(super) fn outlet(clock: &Clock) -> (Outlet, Drain) {
    let shared = Arc::new(Shared { clock: Arc::clone(clock), state: Mutex::default() });
    (Outlet(Arc::clone(&shared)), Drain(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    /// Waits until the transport has taken all that was sent.
    pub(super) async fn room(&self) -> Result<(), Gone> {
        std::future::poll_fn(|context| {
            let mut state = self.0.lock();
            if state.client_gone {
                return Poll::Ready(Err(Gone));
            }
            if state.next.is_none() {
                return Poll::Ready(Ok(()));
            }
            wait(&mut state.task, context)
        })
        .await
    }

    /// Waits until the client is gone.
    pub(super) async fn gone(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.0.lock();
            if state.client_gone { Poll::Ready(()) } else { wait(&mut state.task, context) }
        })
        .await;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.lock().client_gone
    }

    /// Sends what there is room for. Without room it takes the place of what waits: a status does.
    pub(super) fn send(&self, outgoing: Outgoing) {
        let mut state = self.0.lock();
        state.next = Some(outgoing);
        state.waiting_since.get_or_insert_with(|| (self.0.clock)());
        let transport = state.transport.take();
        drop(state);
        transport.into_iter().for_each(Waker::wake);
    }

    /// Since when the transport has not moved, though it has something to send.
    pub(super) fn waiting_since(&self) -> Option<Duration> {
        self.0.lock().waiting_since
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.task_ended = true;
        let transport = state.transport.take();
        drop(state);
        transport.into_iter().for_each(Waker::wake);
    }
}

impl Drain {
    /// The transport has sent a part of what it has, and goes on.
    pub(super) fn moved(&self) {
        self.0.lock().waiting_since = Some((self.0.clock)());
    }

    /// What is to be sent next; `None` once the task has ended. The transport has sent all that it had.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let mut state = self.0.lock();
        if let Some(next) = state.next.take() {
            state.waiting_since = Some((self.0.clock)());
            let task = state.task.take();
            drop(state);
            task.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(next));
        }
        state.waiting_since = None;
        if state.task_ended {
            return Poll::Ready(None);
        }
        wait(&mut state.transport, context)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.client_gone = true;
        let (task, left) = (state.task.take(), state.next.take());
        drop(state);
        task.into_iter().for_each(Waker::wake);
        drop(left);
    }
}

fn wait<T>(place: &mut Option<Waker>, context: &mut Context<'_>) -> Poll<T> {
    match place {
        Some(waker) => waker.clone_from(context.waker()),
        None => *place = Some(context.waker().clone()),
    }
    Poll::Pending
}

#[cfg(test)]
mod tests;
