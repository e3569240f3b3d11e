//! What the session targets share: a fuzzer's bytes as a [`Script`], and what must hold while it is played.
//!
//! The client of a script keeps to no rule: it answers what it was never sent, says that it has what it cannot have,
//! and changes its mind while a response is on its way. So this is not the test of what a session is good for (that is
//! `tests/it/sessions.rs`, against a model of Envoy), but of what no client can make it do. At the end of a script the
//! client turns calm, and the session must bring it to rest.

mod client;
mod play;
mod script;

pub use play::run;
pub use script::Script;
