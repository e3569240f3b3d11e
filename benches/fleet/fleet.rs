//! Many streams at once, and a server for them.

use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep;

use crate::board::Board;
use crate::cell::Cell;
use crate::now;
use crate::server::Server;
use crate::site::Site;
use crate::stream::Plan;

/// Streams that start at a time. Fewer than wait in a listener's queue, so that none has to connect again.
const ABREAST: usize = 500;

/// All streams have begun, or have a change, after so long at the latest.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A server, how it is started, and how a change is made.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    /// What the rows of the table say of it.
    pub(crate) name: &'static str,
    /// See [`Server::start`].
    pub(crate) command: String,
    /// What to POST to instead of changing a file.
    pub(crate) change: Option<String>,
}

/// A server with its configuration, at rest, and nobody connected.
pub(crate) struct Stage {
    pub(crate) server: Server,
    site: Site,
    cell: Cell,
    change: Option<String>,
    changes: std::cell::Cell<u64>,
}

impl Stage {
    pub(crate) async fn start(cell: Cell, contender: &Contender) -> Result<Self> {
        let site = Site::write(cell.layout, cell.services)?;
        let server = Server::start(&contender.command, &cell, &site).await?;
        Ok(Self { server, site, cell, change: contender.change.clone(), changes: std::cell::Cell::new(0) })
    }

    /// What the streams are to ask for, and the version of the routes there are now.
    pub(crate) async fn scout(&self) -> Result<(Plan, String)> {
        let began = now();
        loop {
            match Plan::scout(self.server.grpc, self.cell.variant).await {
                Err(_) if began.elapsed() < LIMIT => sleep(Duration::from_millis(100)).await,
                scouted => return scouted.context("the first stream"),
            }
        }
    }

    /// Changes the weights of one service. The clock of `board` starts just before.
    pub(crate) async fn change(&self, board: &Board) -> Result<()> {
        self.changes.set(self.changes.get() + 1);
        if let Some(change) = &self.change {
            let url = change.replace("{http}", &self.server.http.to_string());
            let url = url.replace("{service}", &self.site.service.to_string());
            let (host, path) =
                url.strip_prefix("http://").and_then(|url| url.split_once('/')).context("no http:// URL")?;
            let mut socket = TcpStream::connect(host).await?;
            let request =
                format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            board.change();
            socket.write_all(request.as_bytes()).await?;
            // The answer is of no interest, but a server may drop a request whose sender has gone.
            spawn_local(async move { socket.read_to_end(&mut Vec::new()).await });
        } else {
            let (next, file) = self.site.prepare(self.changes.get())?;
            board.change();
            fs::rename(next, file)?;
        }
        Ok(())
    }
}

/// Streams that follow a server, until dropped.
pub(crate) struct Fleet {
    plan: Rc<Plan>,
    pub(crate) board: Rc<Board>,
    start: Arc<Semaphore>,
    streams: Vec<AbortHandle>,
}

impl Fleet {
    /// Connects so many; returns when each has all it asked for, and says how long that took from the first connection.
    pub(crate) async fn connect(plan: Rc<Plan>, streams: u32) -> Result<(Self, Duration)> {
        let streams = usize::try_from(streams)?;
        let start = Arc::new(Semaphore::new(ABREAST));
        let mut fleet = Self { plan, board: Rc::new(Board::new(streams)), start, streams: Vec::with_capacity(streams) };
        let began = now();
        for index in 0..streams {
            let stream = fleet.open(index).await?;
            fleet.streams.push(stream);
        }
        fleet.board.wait("connecting", LIMIT, |board| board.count_ready() == streams).await?;
        Ok((fleet, began.elapsed()))
    }

    async fn open(&self, index: usize) -> Result<AbortHandle> {
        let start = Arc::clone(&self.start).acquire_owned().await?;
        let (plan, board) = (Rc::clone(&self.plan), Rc::clone(&self.board));
        let stream = spawn_local(async move {
            if let Err(error) = plan.follow(index, Rc::clone(&board), start).await {
                board.failed(format!("proxy-{index}: {error:#}"));
            }
        });
        Ok(stream.abort_handle())
    }

    /// Ends one stream without a word, and opens another in its place.
    pub(crate) async fn replace(&mut self, index: usize) -> Result<()> {
        self.streams[index].abort();
        self.board.forget(index);
        self.streams[index] = self.open(index).await?;
        Ok(())
    }

    /// Connects so many beside them that never read.
    pub(crate) fn stall(&mut self, streams: u32) -> Result<()> {
        for index in 0..usize::try_from(streams)? {
            let (plan, board) = (Rc::clone(&self.plan), Rc::clone(&self.board));
            let stream = spawn_local(async move {
                if let Err(error) = plan.stall(index).await {
                    board.failed(format!("stalled-{index}: {error:#}"));
                }
            });
            self.streams.push(stream.abort_handle());
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.streams.iter().for_each(AbortHandle::abort);
    }
}
