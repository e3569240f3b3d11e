//! How often something is measured.

use std::time::Duration;

/// Faster than this measures the measuring.
const LEAST: Duration = Duration::from_millis(100);

/// What is older than 35 s is no news any more.
const MOST: Duration = Duration::from_secs(30);

/// Reads the interval of reports.
pub(super) fn of_reports(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (LEAST..=MOST).contains(&interval) { Ok(interval) } else { Err("must be 100ms to 30s".to_owned()) }
}
