//! What users write: documents to a valid-by-construction model.
//!
//! Text comes in as (path, text) pairs and leaves as [`FileSpec`]s and, checked against each other, as one
//! [`SpecSet`]. Every mistake is reported as a [`Diagnostic`] with file, line and column; all of them, not the first.
//! This layer speaks of rollouts and Envoy resources as messages; it knows nothing of xDS sessions, and does no I/O.

mod admit;
mod analysis;
mod broken;
pub mod canonical;
mod check;
mod condition;
pub mod descriptor;
mod diagnostic;
mod document;
pub mod eds;
mod fields;
pub mod json;
pub mod message;
mod model;
pub mod nodes;
mod references;
pub mod resources;
mod rollout;
mod strategy;
pub mod suggest;
mod walk;
mod webhook;
mod weights;
mod window;
pub mod yaml;

pub use admit::{Admission, Admitted, Files, admit, check_files};
pub use analysis::{
    AnalysisTemplate, Good, Header, HeaderText, Judge, Limits, Metric, OnInconclusive, Provider, QueryRange, Question,
    Source, Test, ThresholdRange, WebMethod,
};
pub use check::Options;
pub use condition::Condition;
pub use diagnostic::{Diagnostic, Reporter, Severity};
pub use document::parse_file;
pub use model::{
    Backend, Broken, BrokenKind, Endpoint, FileChange, FileSpec, NodeIdentity, NodeSelector, Origin, Reference,
    Resource, ResourceKind, Role, Rollout, SpecSet, Version,
};
pub use strategy::{
    Affinity, BackgroundAnalysis, BlueGreen, Canary, CapacityGate, Convergence, HeaderMatch, HeaderRoute, MirrorRoute,
    OnNack, OnTimeout, Quorum, Served, Split, Step, Strategy, StringMatch, TOTAL_WEIGHT, Traffic,
};
pub use webhook::{Webhook, WebhookKind};
pub use window::{PromotionWindow, WindowKind, WindowVerdict, verdict};
