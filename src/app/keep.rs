//! The task that owns the fleet view, and has remembered what proxies reject.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::{error, warn};

use super::{Clock, news};
use crate::fleet::{Fleet, Message, StreamEvent};
use crate::store::Rejections;
use crate::xds::Event;

/// Folds what happens on streams until nobody is left to tell.
pub(super) async fn keep(
    mut fleet: Fleet,
    mut messages: mpsc::Receiver<Message>,
    rejections: Rejections,
    clock: Clock,
) {
    let rejections = Arc::new(rejections);
    while let Some(message) = messages.recv().await {
        let mut changes = false;
        if let Message::Event(stream, event) = &message {
            news::tell(&fleet, *stream, event);
            changes = matches!(event, StreamEvent::Session(Event::Nacked { .. } | Event::Forgiven { .. }));
        }
        fleet.handle_message(clock.now(), message);
        if changes {
            let now = serde_json::to_value(fleet.all_rejections());
            let rejections = Arc::clone(&rejections);
            let saved = spawn_blocking(move || anyhow::Ok(rejections.save(&now?)?)).await;
            if let Err(error) = saved.map_err(anyhow::Error::from).flatten() {
                error!("{error:#}; a restart would send proxies again what they have rejected");
            }
        }
    }
}

/// What proxies rejected before this process; nothing, with a word, where that cannot be read.
pub(super) fn remembered(rejections: &Rejections) -> anyhow::Result<Fleet> {
    let (remembered, damage) = rejections.load()?;
    if let Some(damage) = damage {
        warn!("{damage}; what proxies have rejected is forgotten");
    }
    let nodes: Option<_> = serde_json::from_value(remembered).unwrap_or_else(|error| {
        warn!("{error}; what proxies have rejected is forgotten");
        None
    });
    Ok(nodes.map(Fleet::after).unwrap_or_default())
}
