//! What the docker fleet runs beside serin and its Envoys: a service in two colours, and those who ask for it.

#[path = "../rig/mod.rs"]
#[expect(dead_code, reason = "the demo on one machine and the tests need more of it")]
mod rig;
#[path = "../verdicts/service.rs"]
#[expect(dead_code, reason = "the verdicts need more of it")]
mod service;
mod visits;

use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use http::StatusCode;
use tokio::signal::unix::{SignalKind, signal};

use rig::http::Connection;
use service::{Fault, Service};

/// A service in two colours, and those who ask for it.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer every request with a colour, after 20 ms or so
    Serve(ServeArgs),
    /// Ask again and again, and count what comes of it
    Load(visits::LoadArgs),
    /// Print one page; exit code 1 unless it is there
    Get(GetArgs),
}

#[derive(Args)]
struct ServeArgs {
    /// What it answers
    #[arg(long)]
    colour: String,
    /// The share of its answers that is 500, e.g. 0.02
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    fails: f64,
    /// Where it listens
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

#[derive(Args)]
struct GetArgs {
    /// HOST:PORT/PATH
    page: String,
}

/// Longer than any page of a process that is well takes.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(args) => serve(args).await,
        Command::Load(args) => visits::run(args).await,
        Command::Get(args) => get(&args.page).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that cannot be written there is nobody to be told so.
            let _ = writeln!(stderr(), "shop: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: ServeArgs) -> Result<()> {
    // The same for each start: what is shown twice should look the same twice.
    let _service = Service::start(args.listen, &args.colour, Fault::Fails(args.fails), 1).await?;
    stopped().await
}

async fn get(page: &str) -> Result<()> {
    let (host, path) = page.split_once('/').unwrap_or((page, ""));
    let asked = async { Connection::open(host).await?.get(&format!("/{path}")).await };
    let Ok(answer) = tokio::time::timeout(PATIENCE, asked).await else { bail!("{page}: no answer in {PATIENCE:?}") };
    let (status, body) = answer?;
    stdout().write_all(&body)?;
    ensure!(status == StatusCode::OK, "{page}: {status}");
    Ok(())
}

/// Completes when somebody wants this to end. As the first process of a container it ends by no signal that it does not
/// ask for.
async fn stopped() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is from 0 to 1".to_owned()) }
}
