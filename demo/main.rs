//! `make demo`: a small fleet on this machine, under steady load, and a canary that is rolled out on it.
//!
//! Starts two colours of an upstream, `serin`, and three real Envoys (two speak delta, one SotW), and shows how the
//! rollout goes on, what is asked, what is seen and how soon the fleet follows. With `--seconds` it makes the edits and
//! gives the commands itself, prints one summary line, and fails if the rollout or its traffic was not as it should be
//! or a request failed. All it starts ends with it, however it ends.

mod feed;
mod rig;
mod rollout_file;
mod screen;
mod script;
mod stage;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use screen::Screen;
use script::Script;
use stage::Stage;
use story::Story;

/// A small fleet on this machine, and a canary that is rolled out on it.
#[derive(Parser)]
struct Arguments {
    /// An Envoy to run, as `tools/envoy.sh` finds one.
    #[arg(long, env = "ENVOY")]
    envoy: PathBuf,
    /// Play by itself, for about this many seconds; without it a person edits and promotes.
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
    let (scenes, shown) = watch::channel(feed::look(&stage, &file, Story::default()).await?);
    screen.introduce(&stage, &file, arguments.seconds.is_none())?;

    let mut script = Script { serin: &stage.serin, file: &file, scenes: shown.clone() };
    let play = async {
        match arguments.seconds {
            Some(seconds) => script.play(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        outcome = play => outcome,
        fed = feed::run(&stage, &file, &scenes) => fed,
        drawn = screen.run(&stage, shown) => drawn,
        () = stopped() => Ok(()),
    };
    let last = scenes.borrow();
    screen.finish(&last)?;
    outcome?;
    let total = last.total();
    if arguments.seconds.is_some() && total.failed > 0 {
        bail!("{} of {} requests failed, the first ones: {:?}", total.failed, total.requests, total.failures);
    }
    Ok(())
}

/// Completes when somebody wants this to end: Ctrl-C, `kill`, or the terminal closed.
async fn stopped() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    futures::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
}
