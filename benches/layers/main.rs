//! The pure layers by themselves, each benchmark with the claim that it guards: how the cost grows with what there is. The
//! claim is a ratio within one run, so it holds on any machine; this ends with 1 when one does not.

mod claim;
mod diff;
mod encode;
mod engine;
mod services;
mod session;
mod translate;

use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;

use claim::Claims;

fn main() -> ExitCode {
    let criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut claims = Claims::new(criterion);
    translate::bench(&mut claims);
    encode::bench(&mut claims);
    diff::bench(&mut claims);
    session::bench(&mut claims);
    engine::bench(&mut claims);
    if claims.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
