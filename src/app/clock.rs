//! The one clock. Everything else is handed the time.

use std::time::{Duration, Instant, SystemTime};

/// Monotonic time since the process started, and the wall-clock time of that start.
///
/// Steps of the wall clock after the start change nothing: calendar times are the start plus a duration.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    started: SystemTime,
}

impl Clock {
    /// Starts at zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn start() -> Self {
        Self { start: Instant::now(), started: SystemTime::now() }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// What a calendar says, as RFC 3339 in UTC with milliseconds.
    #[must_use]
    pub fn calendar(&self) -> String {
        let now = self.started.checked_add(self.now()).unwrap_or(self.started);
        humantime::format_rfc3339_millis(now).to_string()
    }

    /// Wall-clock time of the start, since the Unix epoch.
    #[must_use]
    pub fn epoch(&self) -> Duration {
        self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// Wall-clock time of the start.
    #[must_use]
    pub fn started(&self) -> SystemTime {
        self.started
    }
}
