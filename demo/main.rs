//! `make demo`: a small fleet on this machine, under steady load, that follows the edits of one file.
//!
//! Starts two colours of an upstream, `serin`, and three real Envoys (two speak delta, one SotW), and shows what is
//! asked, what is seen and how soon the fleet follows. With `--seconds` it makes the edits itself, prints one summary
//! line, and fails if an Envoy did not follow or a request failed. All it starts ends with it, however it ends.

mod edits;
mod rig;
mod rollout_file;
mod screen;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use edits::Scene;
use rollout_file::RolloutFile;
use screen::Screen;
use stage::Stage;

/// A small fleet on this machine that follows the edits of one file.
#[derive(Parser)]
struct Arguments {
    /// An Envoy to run, as `tools/envoy.sh` finds one.
    #[arg(long, env = "ENVOY")]
    envoy: PathBuf,
    /// Make the edits itself, for about this many seconds; without it a person makes them.
    #[arg(long, env = "DEMO_SECONDS")]
    seconds: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut screen = Screen::new();
    match run(&Arguments::parse(), &mut screen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that cannot be written there is nobody to be told so.
            let _ = screen.say(&format!("demo: error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments, screen: &mut Screen) -> Result<()> {
    screen.say("starting two upstreams, serin and three Envoys")?;
    let (stage, file) = tokio::select! {
        started = Stage::start(&arguments.envoy) => started?,
        () = stopped() => return Ok(()),
    };
    let (scene, shown) = watch::channel(Scene::new(file.asked()?));
    screen.introduce(&stage, &file, arguments.seconds.is_none())?;

    let outcome = tokio::select! {
        outcome = direct(&stage, file, arguments.seconds, &scene) => outcome,
        drawn = screen.run(&stage, shown) => drawn,
        () = stopped() => Ok(()),
    };
    let total = stage.tally();
    let last = scene.borrow();
    screen.finish(&last.summary(stage.edges.len(), &total))?;
    outcome?;
    if arguments.seconds.is_some() && total.failed > 0 {
        bail!("{} of {} requests failed, the first ones: {:?}", total.failed, total.requests, total.failures);
    }
    Ok(())
}

/// Makes the edits, or follows those that a person makes.
async fn direct(stage: &Stage, file: RolloutFile, seconds: Option<u64>, scene: &watch::Sender<Scene>) -> Result<()> {
    match seconds {
        Some(seconds) => edits::make(stage, file, Duration::from_secs(seconds), scene).await,
        None => edits::follow(stage, file, scene).await,
    }
}

/// Completes when somebody wants this to end: Ctrl-C, `kill`, or the terminal closed.
async fn stopped() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    futures::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
}
