//! Any schedule of snapshots, requests and time, on the session of one state-of-the-world client: see [`serin_fuzz`].
//!
//! `cargo +nightly fuzz run session_sotw fuzz/corpus/session_sotw fuzz/seeds/session_sotw`; `cargo +nightly fuzz fmt`
//! prints what an input means, and with `TRANSCRIPT=1` a run says what passes between the two sides.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serin::xds::Variant;
use serin_fuzz::{Script, run};

fuzz_target!(|script: Script| run(Variant::Sotw, &script));
