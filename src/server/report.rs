//! What streams tell the fleet and ask of it, over the one bounded queue to the task that owns it.
//!
//! A sender waits while the queue is full: the fleet's counting is O(1) per event, and an event that is lost would
//! leave a node in the wrong state for good.

use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::stop::shutting_down;
use crate::fleet::{Message, Reply, StreamEvent, StreamId};

/// Asks the fleet a question. Fails only when its task is gone, which is the process shutting down.
pub(super) async fn ask<T: Send + 'static>(
    fleet: &mpsc::Sender<Message>,
    question: impl FnOnce(Reply<T>) -> Message,
) -> Result<T, Status> {
    let (answer, answered) = oneshot::channel();
    let reply: Reply<T> = Box::new(move |value| drop(answer.send(value)));
    fleet.send(question(reply)).await.map_err(|_| shutting_down())?;
    answered.await.map_err(|_| shutting_down())
}

/// One stream in the eyes of the fleet: whatever way its task ends, also by a panic, dropping this says that it closed.
pub(super) struct Presence {
    stream: StreamId,
    fleet: mpsc::Sender<Message>,
    reason: String,
}

impl Presence {
    /// Says that the stream opened.
    pub(super) async fn open(
        stream: StreamId,
        fleet: mpsc::Sender<Message>,
        opened: StreamEvent,
    ) -> Result<Self, Status> {
        let presence = Self { stream, fleet, reason: "the stream's task was dropped".to_owned() };
        presence.tell(opened).await?;
        Ok(presence)
    }

    /// Says that something happened.
    pub(super) async fn tell(&self, event: StreamEvent) -> Result<(), Status> {
        self.fleet.send(Message::Event(self.stream, event)).await.map_err(|_| shutting_down())
    }

    /// Says why it closed.
    pub(super) fn close(mut self, reason: &str) {
        reason.clone_into(&mut self.reason);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let closed = Message::Event(self.stream, StreamEvent::Closed { reason: std::mem::take(&mut self.reason) });
        if let Err(mpsc::error::TrySendError::Full(closed)) = self.fleet.try_send(closed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Dropping cannot wait. Nothing else of this stream can come behind, so the order holds.
            let fleet = self.fleet.clone();
            runtime.spawn(async move { drop(fleet.send(closed).await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn closing_is_told_even_when_the_queue_is_full() {
        let (fleet, mut queue) = mpsc::channel(1);
        let presence = Presence { stream: StreamId(1), fleet, reason: String::new() };
        presence.tell(StreamEvent::Closed { reason: "filler".to_owned() }).await.unwrap();
        presence.close("the end");
        let mut reasons = Vec::new();
        while let Some(Message::Event(StreamId(1), StreamEvent::Closed { reason })) = queue.recv().await {
            reasons.push(reason);
        }
        assert_eq!(reasons, ["filler", "the end"]);
    }

    #[tokio::test]
    async fn a_question_to_a_fleet_that_is_gone_is_unavailable() {
        let (fleet, queue) = mpsc::channel(1);
        drop(queue);
        let status = ask(&fleet, Message::View).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
    }
}
