//! The gRPC doors: ADS (SotW and delta), the services per type, client status, health, reflection.

/// The slim discovery messages and services, generated from `proto/`.
#[expect(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated code")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/discovery.rs"));
}
