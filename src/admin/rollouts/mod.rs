//! `/api/v1/rollouts`: how rollouts stand, what became of them, and commands to them.

mod documents;
mod order;
#[cfg(test)]
mod tests;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use super::{Failure, Sources, ask};
use crate::reconcile::{Message, suggest};

pub use documents::{
    ConvergenceReport, EntryReport, FiguresReport, HistoryReport, RolloutList, RolloutReport, SeenReport,
    StandingReport, StepReport, UserReport, WeightReport,
};
pub use order::Order;

/// How many entries of the journal are answered where nobody says how many.
const HISTORY: usize = 100;

/// No answer holds more entries of the journal than this.
const MAX_HISTORY: usize = 10_000;

pub(super) fn routes() -> Router<Sources> {
    Router::new()
        .route("/api/v1/rollouts", get(list))
        .route("/api/v1/rollouts/{name}", get(one))
        .route("/api/v1/rollouts/{name}/history", get(history))
        .route("/api/v1/rollouts/{name}/{verb}", post(command))
}

async fn list(State(sources): State<Sources>) -> Result<Json<RolloutList>, Failure> {
    let statuses = ask(&sources.rollouts, Message::List).await?;
    let at = sources.calendar();
    let rollouts = statuses.into_iter().map(|status| RolloutReport::new(at.clone(), status)).collect();
    Ok(Json(RolloutList { rollouts }))
}

async fn one(
    State(sources): State<Sources>,
    name: Result<Path<String>, PathRejection>,
    query: Pairs,
) -> Result<Json<Found>, Failure> {
    let Path(name) = name.map_err(|error| bad(error.body_text()))?;
    let Some(user) = only(query, "user", "expected no query, or ?user=ID")? else {
        let status = ask(&sources.rollouts, |reply| Message::Get(name.as_str().into(), reply)).await?;
        let status = found(&sources, &name, status).await?;
        return Ok(Json(Found::Rollout(Box::new(RolloutReport::new(sources.calendar(), status)))));
    };
    let version = ask(&sources.rollouts, |reply| Message::User(name.as_str().into(), user.clone(), reply)).await?;
    let (version, reason) = match found(&sources, &name, version).await? {
        Ok(version) => (Some(version.to_string()), None),
        Err(reason) => (None, Some(reason)),
    };
    Ok(Json(Found::User(UserReport { rollout: name, user, version, reason })))
}

/// What is known of one rollout.
#[derive(Serialize)]
#[serde(untagged)]
enum Found {
    Rollout(Box<RolloutReport>),
    User(UserReport),
}

async fn history(
    State(sources): State<Sources>,
    name: Result<Path<String>, PathRejection>,
    query: Pairs,
) -> Result<Json<HistoryReport>, Failure> {
    let Path(rollout) = name.map_err(|error| bad(error.body_text()))?;
    let expected = format!("expected no query, or ?limit=N with N from 1 to {MAX_HISTORY}");
    let limit = match only(query, "limit", &expected)? {
        None => HISTORY,
        Some(limit) => {
            let limit = limit.parse().ok().filter(|limit| (1..=MAX_HISTORY).contains(limit));
            limit.ok_or_else(|| bad(expected))?
        }
    };
    let entries = ask(&sources.rollouts, |reply| Message::History(rollout.as_str().into(), limit, reply)).await?;
    let entries = found(&sources, &rollout, entries).await?;
    let entries = entries.map_err(|words| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, words))?;
    let entries = entries.into_iter().map(EntryReport::new).collect();
    Ok(Json(HistoryReport { at: sources.calendar(), rollout, entries }))
}

async fn command(
    State(sources): State<Sources>,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<RolloutReport>, Failure> {
    let Path((name, verb)) = path.map_err(|error| bad(error.body_text()))?;
    if !order::VERBS.contains(&verb.as_str()) {
        return Err(Failure::new(StatusCode::NOT_FOUND, order::unknown_verb(&verb)));
    }
    let body = body.map_err(|error| Failure::new(error.status(), error.body_text()))?;
    let command = Order::read(&body).and_then(|order| order.command(&verb)).map_err(bad)?;
    let outcome = ask(&sources.rollouts, |reply| Message::Command(name.as_str().into(), command, reply)).await?;
    match found(&sources, &name, outcome).await? {
        Ok(status) => Ok(Json(RolloutReport::new(sources.calendar(), status))),
        Err(refusal) => Err(Failure::new(StatusCode::CONFLICT, refusal.to_string())),
    }
}

/// A query as it came.
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// The value of the only key that a query may have.
fn only(query: Pairs, key: &str, expected: &str) -> Result<Option<String>, Failure> {
    let Query(mut pairs) = query.map_err(|_| bad(expected))?;
    match (pairs.pop(), pairs.is_empty()) {
        (None, _) => Ok(None),
        (Some((given, value)), true) if given == key && !value.is_empty() => Ok(Some(value)),
        _ => Err(bad(expected)),
    }
}

/// The answer about a rollout that is there; else names the one that was probably meant.
async fn found<T>(sources: &Sources, name: &str, answer: Option<T>) -> Result<T, Failure> {
    if let Some(answer) = answer {
        return Ok(answer);
    }
    let known = ask(&sources.rollouts, Message::List).await?;
    let known = known.iter().map(|status| &*status.name);
    let help = suggest::or_list(name, "there are", known).map(|help| format!("; {help}")).unwrap_or_default();
    Err(Failure::new(StatusCode::NOT_FOUND, format!("no rollout {name:?}{help}")))
}

fn bad(words: impl Into<String>) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, words)
}
