//! Asking a server again and again.

use std::io::Write;
use std::thread;
use std::time::Duration;

use super::Outcome;

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Shows the `first` answer and those that follow until `show` says how it ended. `show` is handed `err`, and nothing
/// for a question that was not answered.
pub(super) fn watch<T>(
    first: T,
    err: &mut dyn Write,
    ask: impl Fn() -> anyhow::Result<T>,
    mut show: impl FnMut(Option<T>, &mut dyn Write) -> anyhow::Result<Option<Outcome>>,
) -> anyhow::Result<Outcome> {
    let mut answer = Some(first);
    let mut reachable = true;
    loop {
        if let Some(outcome) = show(answer, err)? {
            return Ok(outcome);
        }
        thread::sleep(INTERVAL);
        answer = match ask() {
            Ok(answer) => {
                reachable = true;
                Some(answer)
            }
            // It may be restarting: a watch that ends then would have to be watched itself.
            Err(error) => {
                if reachable {
                    writeln!(err, "serin: {error:#}")?;
                }
                reachable = false;
                None
            }
        };
    }
}
