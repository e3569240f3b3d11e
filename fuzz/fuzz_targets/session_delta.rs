//! Any schedule of snapshots, requests and time, on the session of one incremental client: see [`serin_fuzz`].
//!
//! `cargo +nightly fuzz run session_delta fuzz/corpus/session_delta fuzz/seeds/session_delta`; `cargo +nightly fuzz fmt`
//! prints what an input means, and with `TRANSCRIPT=1` a run says what passes between the two sides.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serin::xds::Variant;
use serin_fuzz::{Script, run};

fuzz_target!(|script: Script| run(Variant::Delta, &script));
