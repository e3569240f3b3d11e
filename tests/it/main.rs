//! The one integration binary: the protocol against a model client, and the built program against real Envoys.

mod fake_envoy;
mod sessions;
