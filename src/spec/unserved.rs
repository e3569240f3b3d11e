//! What is read and not served yet: the engine that takes the steps of a rollout is not wired, and to move traffic
//! without them would be worse than to refuse.

use std::sync::Arc;

use super::check::{Finding, diagnostic};
use super::strategy::{BlueGreen, Convergence, Strategy};
use super::yaml::Position;
use super::{Rollout, Severity, SpecSet};

/// Rollouts of `set` that ask for more than a split or a switch at once.
pub(super) fn findings(set: &SpecSet) -> impl Iterator<Item = Finding> {
    set.files.values().flat_map(|file| &file.rollouts).filter_map(finding)
}

fn finding(rollout: &Arc<Rollout>) -> Option<Finding> {
    let (severity, message, help) = match &rollout.strategy {
        Strategy::Canary(_) => {
            (Severity::Error, "canary is read but not served yet", Some("use weights or blueGreen: {}".to_owned()))
        }
        Strategy::BlueGreen(options) if *options != BlueGreen::default() => (
            Severity::Error,
            "the options of blueGreen are read but not served yet",
            Some("blueGreen: {} switches at once".to_owned()),
        ),
        _ if rollout.convergence != Convergence::default() || rollout.progress_deadline_abort => {
            (Severity::Warning, "convergence and progressDeadlineAbort are read but have no effect yet", None)
        }
        _ => return None,
    };
    let at = Position { line: rollout.origin.line, column: rollout.origin.column };
    let diagnostic = diagnostic(&rollout.origin.file, at, severity, message.to_owned(), &rollout.name, help);
    Some(Finding { diagnostic, other: None, undefined: None })
}

#[cfg(test)]
mod tests {
    use crate::spec::{Files, Options, check_files};

    fn told(strategy: &str) -> Vec<String> {
        let text = format!(
            "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: shop}}\nspec:\n  versions:\n    a: {{endpoints: \
             [\"10.0.0.1:80\"]}}\n    b: {{endpoints: [\"10.0.0.2:80\"]}}\n  target: a\n  strategy: {strategy}\n"
        );
        let files = Files::from([("shop.yaml".into(), text.into())]);
        check_files(&files, &Options::default()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_served_is_refused_and_what_is_goes_through() {
        assert_eq!(told("{blueGreen: {}}"), [""; 0]);
        assert_eq!(told("{weights: {a: 10, b: 90}}"), [""; 0]);
        let error = "shop.yaml:3:18: error: canary is read but not served yet (use weights or blueGreen: {})";
        assert_eq!(told("{canary: {steps: [{setWeight: 5}]}}"), [error]);
        let error = "shop.yaml:3:18: error: the options of blueGreen are read but not served yet (blueGreen: {} switches \
                     at once)";
        assert_eq!(told("{blueGreen: {autoPromotionEnabled: false}}"), [error]);
    }
}
