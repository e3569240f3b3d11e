//! serin: an Envoy control plane for progressive delivery.
//!
//! The layers, from the ground up: [`tree`] (a map that all share), [`spec`] and [`xds`] (two halves that never meet),
//! [`telemetry`], [`rollout`], [`analysis`], [`translate`], [`fleet`] and [`reconcile`] are pure; [`source`], [`store`], [`provider`], [`server`] and [`admin`] do
//! the I/O; [`app`] wires them and [`cli`] is what people type. The `architecture` test holds who may import whom.

pub mod admin;
pub mod analysis;
pub mod app;
pub mod cli;
pub mod fleet;
pub mod provider;
pub mod reconcile;
pub mod rollout;
pub mod server;
pub mod source;
pub mod spec;
pub mod store;
pub mod telemetry;
pub mod translate;
pub mod tree;
pub mod xds;
