//! The body of a command: who asks, why, and what they saw.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::reconcile::suggest;
use crate::rollout::{Command, Verb};

/// The verbs, as they stand in the path.
pub(super) const VERBS: [&str; 6] = ["promote", "pause", "resume", "abort", "retry", "undo"];

const FIELDS: [&str; 6] = ["full", "emergency", "toRevision", "actor", "reason", "seen"];

/// How the engine and edits are called in the journal: nobody else may be.
const RESERVED: [&str; 2] = ["engine", "file"];

/// An actor of more characters than this is no name.
const MAX_ACTOR: usize = 100;

/// A reason of more characters than this is no reason but a document.
const MAX_REASON: usize = 1_000;

/// What goes with `POST /api/v1/rollouts/NAME/VERB`. All of it may be left out, and so may the body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// With `promote`: straight to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// With `abort`: at once, whatever the stable version can carry; also what an abort has left so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<bool>,
    /// With `undo`: to the version that became stable with this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_revision: Option<u64>,
    /// Who asks; `unknown` if nobody says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, for the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `sequence` of the status that the actor saw: refused if there was a transition since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
}

impl Order {
    /// Reads a body. `Err` says what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let mut fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| format!("the body is not a JSON object: {error}"))?;
        let order = Self {
            full: take(&mut fields, "full")?,
            emergency: take(&mut fields, "emergency")?,
            to_revision: take(&mut fields, "toRevision")?,
            actor: take(&mut fields, "actor")?,
            reason: take(&mut fields, "reason")?,
            seen: take(&mut fields, "seen")?,
        };
        if let Some(unknown) = fields.keys().next() {
            let help = suggest::or_list(unknown, "expected one of", FIELDS.into_iter()).unwrap_or_default();
            return Err(format!("unknown field {unknown:?} in the body; {help}"));
        }
        line("actor", order.actor.as_deref(), MAX_ACTOR)?;
        line("reason", order.reason.as_deref(), MAX_REASON)?;
        match &order.actor {
            Some(actor) if RESERVED.contains(&actor.as_str()) => {
                Err(format!("actor {actor:?} is not taken: in the journal that is serin itself"))
            }
            _ => Ok(order),
        }
    }

    /// As a command of this verb. `Err` says what does not go with it.
    pub(super) fn command(self, verb: &str) -> Result<Command, String> {
        let given = [
            ("full", "promote", self.full.is_some()),
            ("emergency", "abort", self.emergency.is_some()),
            ("toRevision", "undo", self.to_revision.is_some()),
        ];
        if let Some((field, of, _)) = given.into_iter().find(|(_, of, given)| *given && *of != verb) {
            return Err(format!("{field} goes with {of}, not with {verb}"));
        }
        let verb = match verb {
            "promote" if self.full == Some(true) => Verb::PromoteFull,
            "promote" => Verb::Promote,
            "pause" => Verb::Pause,
            "resume" => Verb::Resume,
            "abort" if self.emergency == Some(true) => Verb::AbortEmergency,
            "abort" => Verb::Abort,
            "retry" => Verb::Retry,
            "undo" => Verb::Undo(self.to_revision),
            _ => return Err(unknown_verb(verb)),
        };
        let actor = self.actor.as_deref().unwrap_or("unknown").into();
        Ok(Command { verb, actor, reason: self.reason, seen: self.seen })
    }
}

/// Names the nearest verb.
pub(super) fn unknown_verb(verb: &str) -> String {
    let help = suggest::or_list(verb, "expected one of", VERBS.into_iter()).unwrap_or_default();
    format!("no command {verb:?}; {help}")
}

/// The value of one field; `null` counts as left out.
fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>, String> {
    let value = fields.remove(name).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| format!("{name} in the body: {error}"))
}

/// What is shown on one line must be one.
fn line(name: &str, text: Option<&str>, most: usize) -> Result<(), String> {
    match text {
        Some(text) if text.trim().is_empty() => Err(format!("{name} in the body is empty")),
        Some(text) if text.chars().any(char::is_control) => Err(format!("{name} in the body is more than one line")),
        Some(text) if text.chars().count() > most => Err(format!("{name} in the body has more than {most} characters")),
        _ => Ok(()),
    }
}
