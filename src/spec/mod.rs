//! What users write: documents to a valid-by-construction model.
//!
//! Text comes in as (path, text) pairs and leaves as [`FileSpec`]s and, checked against each other, as one
//! [`SpecSet`]. Every mistake is reported as a [`Diagnostic`] with file, line and column; all of them, not the first.
//! This layer speaks of rollouts and Envoy resources as messages; it knows nothing of xDS sessions, and does no I/O.

pub mod canonical;
pub mod descriptor;
mod diagnostic;
pub mod json;
pub mod message;
mod model;
pub mod resources;
pub mod suggest;
pub mod yaml;

pub use diagnostic::{Diagnostic, Reporter, Severity};
pub use model::{
    Backend, Endpoint, FileSpec, NodeIdentity, NodeSelector, Origin, Resource, ResourceKind, Rollout, SpecSet, Split,
    Strategy, TOTAL_WEIGHT, Version,
};
