//! A wire between a proxy and its control plane that can go dead.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A running relay; its connections break when it is dropped.
pub(crate) struct Relay {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    dead: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Relay {
    /// Forwards every connection to `target`.
    pub(crate) async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (dead, look) = watch::channel(false);
        let server = tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let look = look.clone();
                connections.spawn(async move {
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    // Whoever closes, the other hears of it, unless the wire is dead.
                    tokio::select! {
                        () = forward(near_in, far_out, look.clone()) => {}
                        () = forward(far_in, near_out, look) => {}
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { addr, dead, server })
    }

    /// From now on nothing passes, and neither side is told: connections stay open, and so do new ones.
    pub(crate) fn go_dead(&self) {
        self.dead.send_replace(true);
    }

    /// Whether it has.
    pub(crate) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut dead: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        // Ends only with the relay, once it is dead.
        if dead.wait_for(|dead| !dead).await.is_err() {
            return;
        }
        match read {
            Ok(n) if n > 0 && to.write_all(&buffer[..n]).await.is_ok() => {}
            _ => return,
        }
    }
}
