//! A local HTTP server that writes down what it is asked and answers as it is told: hooks, Prometheus, figures.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::rig::eventually;
use crate::site::{ANY, LIMIT};

/// The server; takes no new connection after it is dropped.
pub(crate) struct Desk {
    addr: SocketAddr,
    book: Arc<Book>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Book {
    calls: Mutex<Vec<Call>>,
    /// By path; the last of a list stays.
    answers: Mutex<BTreeMap<String, VecDeque<Reply>>>,
    told: Notify,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The path, without its slash.
    pub(crate) path: String,
    /// The query, as it came.
    pub(crate) query: String,
    /// `Idempotency-Key`
    pub(crate) key: Option<String>,
    /// The body; null where there is none.
    pub(crate) body: Value,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status and a body.
    Say(u16, String),
    /// Nothing, until it is told something else.
    Stall,
}

impl Desk {
    /// Answers 200 to everything.
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let book = Arc::<Book>::default();
        let service = Router::new().fallback(answer).with_state(Arc::clone(&book));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, service).await;
        });
        Self { addr, book, server }
    }

    /// Where a path is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.addr)
    }

    /// A hook named as its path, `more` after a comma.
    pub(crate) fn hook(&self, kind: &str, name: &str, more: &str) -> String {
        format!("{{name: {name}, type: {kind}, url: \"{}\", timeout: 60s{more}}}", self.url(name))
    }

    /// Answers questions about `path`, also those that wait, with one reply after the other, the last again and again.
    pub(crate) fn tell(&self, path: &str, replies: &[Reply]) {
        self.book.answers.lock().unwrap().insert(path.to_owned(), replies.iter().cloned().collect());
        self.book.told.notify_waiters();
    }

    /// The calls so far, oldest first.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.book.calls.lock().unwrap().clone()
    }

    /// The calls of one path.
    pub(crate) fn calls_of(&self, path: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.path == path).collect()
    }

    /// Waits until a path was called so often.
    pub(crate) async fn called(&self, path: &str, times: usize) -> Vec<Call> {
        let what = format!("{path} to be called {times} times");
        let calls = async || Ok(Some(self.calls_of(path)).filter(|calls| calls.len() >= times));
        eventually(&what, LIMIT, calls).await.unwrap_or_else(|error| panic!("{error:#}: {:#?}", self.calls()))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Reply {
    /// 200 with a body.
    pub(crate) fn ok(body: &str) -> Self {
        Self::Say(200, body.to_owned())
    }
}

async fn answer(State(book): State<Arc<Book>>, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let path = uri.path().trim_start_matches('/').to_owned();
    let call = Call {
        path: path.clone(),
        query: uri.query().unwrap_or_default().to_owned(),
        key: headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    book.calls.lock().unwrap().push(call);
    loop {
        let told = book.told.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        let reply = match book.answers.lock().unwrap().get_mut(&path) {
            None => Reply::ok("yes"),
            Some(replies) => match replies.front() {
                Some(Reply::Say(..)) if replies.len() > 1 => replies.pop_front().unwrap(),
                Some(reply) => reply.clone(),
                None => Reply::ok("yes"),
            },
        };
        match reply {
            Reply::Say(status, body) => return (StatusCode::from_u16(status).unwrap(), body),
            Reply::Stall => told.await,
        }
    }
}
