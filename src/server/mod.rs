//! The gRPC doors: ADS (SotW and delta), the services per type, client status, health, reflection.

mod limits;
mod wire;

/// The slim discovery messages and services, generated from `proto/`.
#[expect(
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/discovery.rs"));
}
