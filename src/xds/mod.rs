//! The xDS protocol without I/O: resources, versions, snapshots, and the session of one stream.
//!
//! A [`Session`] is driven by its owner: requests and snapshots go in with the time `now` (a monotonic duration since
//! the process started), responses are pulled out with [`Session::poll_response`] when the transport has room.
//! Rules are those of <https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol>.

mod channel;
mod held;
mod message;
mod names;
mod node;
mod order;
mod past;
mod plan;
mod resource;
mod session;
mod snapshot;
mod subscription;

pub use message::{ClientKind, Event, Rejection, Request, RequestBody, Response, Settings, Variant};
pub use names::Names;
pub use node::{Assign, Assignment, Node};
pub use resource::{Resource, ResourceType, Version};
pub use session::Session;
pub use snapshot::{Snapshot, TypeSet};

#[cfg(test)]
mod tests;
