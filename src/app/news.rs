//! What happens to the fleet, in the log: who comes, who goes, who rejects what.
//!
//! Told where events fold, by the one task that owns the fleet, before it folds them. Names and words of proxies are
//! values of fields, which the log escapes.

use tracing::{info, warn};

use crate::fleet::{Fleet, StreamEvent, StreamId};
use crate::xds::{Event, Rejection};

/// The most of a proxy's words that is logged, in characters; `serin fleet` shows all of them.
const MAX_WORDS: usize = 500;

/// The most resources that are named in one line.
const MAX_NAMES: usize = 5;

/// Logs `event`, which `fleet` has not taken yet, if people should know.
pub(super) fn tell(fleet: &Fleet, stream: StreamId, event: &StreamEvent) {
    match event {
        StreamEvent::Opened { node, cluster, group, user_agent, variant: _, peer } if !fleet.is_connected(node) => {
            info!(node, cluster, group, user_agent, peer, "node connected");
        }
        StreamEvent::Session(Event::Nacked { rejection, .. }) => {
            if let Some(node) = fleet.node_of(stream).filter(|node| !fleet.rejections(node).contains(rejection)) {
                let (resources, words) = (names(rejection), cut(&rejection.error));
                warn!(node, ty = rejection.ty.short_name(), resources, words, "node rejected what it was sent");
            }
        }
        StreamEvent::Foreign => {
            if let Some(node) = fleet.node_of(stream) {
                warn!(node, "has routes that this serin, whose state directory is new, did not send; it keeps them");
            }
        }
        StreamEvent::Closed { reason } => {
            if let Some(node) = fleet.node_of(stream).filter(|node| fleet.is_last(node, stream)) {
                info!(node, reason, "node disconnected");
            }
        }
        StreamEvent::Opened { .. } | StreamEvent::Session(_) => {}
    }
}

fn names(rejection: &Rejection) -> String {
    let some: Vec<_> = rejection.suspects.keys().take(MAX_NAMES).map(|name| &**name).collect();
    match rejection.suspects.len() - some.len() {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

fn cut(words: &str) -> String {
    match words.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}...", &words[..end]),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::subscriber::with_default;

    use super::*;
    use crate::fleet::Message;
    use crate::xds::{ResourceType, Variant, Version};

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(events: Vec<(u64, StreamEvent)>) -> Vec<String> {
        let log = Log::default();
        let writer = log.clone();
        let lines =
            tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone()).finish();
        with_default(lines, || {
            let mut fleet = Fleet::default();
            for (stream, event) in events {
                tell(&fleet, StreamId(stream), &event);
                fleet.handle_message(Duration::ZERO, Message::Event(StreamId(stream), event));
            }
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn opened() -> StreamEvent {
        let (node, cluster, group) = ("edge-1".to_owned(), "edge".to_owned(), "all".to_owned());
        let (user_agent, peer) = ("envoy 1.40.0".to_owned(), "127.0.0.1:5".to_owned());
        StreamEvent::Opened { node, cluster, group, user_agent, variant: Variant::Delta, peer }
    }

    fn nacked(suspects: usize, error: &str) -> StreamEvent {
        let suspects = (0..suspects).map(|i| (format!("r{i}").into(), Version::of(b"bad"))).collect();
        let ty = ResourceType::Cluster;
        let rejection = Rejection { ty, suspects, named: false, fresh: BTreeSet::new(), error: error.to_owned() };
        StreamEvent::Session(Event::Nacked { nonce: 1, version: Version::of(b"bad"), rejection })
    }

    fn closed() -> StreamEvent {
        StreamEvent::Closed { reason: "the client went away".to_owned() }
    }

    #[test]
    fn a_node_comes_once_and_goes_once() {
        let lines =
            logged(vec![(1, opened()), (2, opened()), (1, opened()), (1, closed()), (2, closed()), (2, closed())]);
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].contains("node connected node=\"edge-1\" cluster=\"edge\""), "{lines:#?}");
        assert!(lines[1].contains("node disconnected node=\"edge-1\" reason=\"the client"), "{lines:#?}");
    }

    #[test]
    fn a_rejection_is_told_once_and_cannot_break_the_line() {
        let words = "no such\n\u{1b}[31m".to_owned() + &"x".repeat(2 * MAX_WORDS);
        let lines =
            logged(vec![(1, opened()), (1, nacked(7, &words)), (1, nacked(7, &words)), (1, nacked(1, "other"))]);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[1].starts_with(" WARN ") && lines[1].len() < 2 * MAX_WORDS, "{}", lines[1]);
        for part in ["ty=\"CDS\"", "resources=\"r0, r1, r2, r3, r4 and 2 more\"", "no such\\n\\u{1b}[31m", "x...\""] {
            assert!(lines[1].contains(part), "{part}: {}", lines[1]);
        }
    }
}
