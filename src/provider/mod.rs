//! Questions to other systems, over HTTP: calls to hooks, and measurements of Prometheus and of JSON from the web.
//!
//! Each request has a connection of its own: they are seconds apart, and a call to a hook that goes into a connection
//! which the other side is just closing would fail without fault. No redirect is followed, and no proxy of the
//! environment is used: what is asked is what the file names. `https://` trusts the certificates that the machine trusts,
//! unless the file says `insecure`.

mod answer;
mod request;
mod value;

use std::time::Duration;

use http::{Method, Uri};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::rollout::{Answer, Call};
use crate::spec::{Header, HeaderText, Provider, Question, WebMethod, Webhook};
use request::{Body, Http, Request};

/// Bytes of a measurement's answer that are read; one value takes a few hundred, a range a few thousand.
const MAX_ANSWER: usize = 1 << 20;

/// Bytes of a file that holds the value of a header: servers take less.
const MAX_SECRET: u64 = 64 << 10;

/// Characters from which on the value of a header is a secret, and no word that others use too.
const MIN_SECRET: usize = 4;

/// Bytes of a hook's answer that are read: its first line is shown.
const MAX_WORDS: usize = 4 << 10;

/// What a hook may take to say why it says no, once it has.
const WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Before the second attempt; twice as long before each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// The longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Asks others. Clones share what is costly to make.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    /// Takes whoever answers for who he says he is.
    insecure: Http,
}

/// Why there is no [`Client`].
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare for https: {0}")]
pub struct Error(#[from] rustls::Error);

impl Client {
    /// Reads the certificates that the machine trusts. Where there are none, only `https://` does not work.
    ///
    /// # Errors
    /// When the encryption has no protocol version to offer.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { http: Http::new()?, insecure: Http::insecure()? })
    }

    /// Calls a hook, and again if that fails, as often as it allows. A status of 200 to 299 is a yes, another a no; with
    /// no answer in time, or no connection, it was not reached. The words are those of the last attempt.
    pub async fn call(&self, hook: &Webhook, call: &Call) -> Answer {
        for retry in 0..hook.retries {
            match self.attempt(hook, call).await {
                Answer::Yes => return Answer::Yes,
                _ => tokio::time::sleep(backoff(retry)).await,
            }
        }
        self.attempt(hook, call).await
    }

    async fn attempt(&self, hook: &Webhook, call: &Call) -> Answer {
        let request = match request(hook, call) {
            Ok(request) => request,
            Err(words) => return Answer::Unreached(words),
        };
        let answer = match within(hook.timeout, self.http.send(request)).await {
            Ok(answer) if answer.status().is_success() => return Answer::Yes,
            Ok(answer) => answer,
            Err(words) => return Answer::Unreached(words),
        };
        let (status, location) = answer::head(&answer);
        let mut body = Body::default();
        // A no without words is a no.
        let _ = within(WORDS_TIMEOUT, request::read(answer, MAX_WORDS, &mut body)).await;
        Answer::No(answer::refusal(status, location.as_deref(), &body.bytes))
    }

    /// Asks for a value. `now` since the Unix epoch.
    ///
    /// # Errors
    /// In words: a header whose file cannot be read, no answer in time, no connection, another status than 200 to 299,
    /// and an answer that is not what was asked for. They do not hold what the headers hold.
    pub async fn measure(&self, provider: &Provider, now: Duration) -> Result<Value, String> {
        let mut secrets = Vec::new();
        let answer = within(provider.timeout, self.ask(provider, now, &mut secrets)).await;
        answer.map_err(|words| hidden(words, &secrets))
    }

    async fn ask(&self, provider: &Provider, now: Duration, secrets: &mut Vec<String>) -> Result<Value, String> {
        let mut request = match &provider.question {
            Question::Prometheus { address, query, range } => {
                Request::new(Method::GET, value::query(address, query, *range, now)?)?
            }
            Question::Web { url, method: WebMethod::Get, .. } => Request::new(Method::GET, uri(url)?)?,
            Question::Web { url, method: WebMethod::Post { body, json }, .. } => {
                let kind = if *json { "application/json" } else { "text/plain; charset=utf-8" };
                let request = Request::new(Method::POST, uri(url)?)?.body(body.as_bytes().to_vec());
                if body.is_empty() { request } else { request.header("content-type", kind)? }
            }
        };
        request = request.header("accept", "application/json")?;
        for Header { name, value } in &provider.headers {
            let value = text(name, value).await?;
            request = request.header(name, &value)?;
            secrets.push(value);
        }
        let http = if provider.insecure { &self.insecure } else { &self.http };
        let body = get(http, request).await?;
        match &provider.question {
            Question::Prometheus { .. } => value::of_prometheus(&body),
            Question::Web { json_path, .. } => value::of_web(&body, json_path),
        }
    }
}

/// The body of an answer that is a yes.
async fn get(http: &Http, request: Request) -> Result<Vec<u8>, String> {
    let answer = http.send(request).await?;
    let (status, location) = answer::head(&answer);
    let mut body = Body::default();
    request::read(answer, MAX_ANSWER, &mut body).await?;
    if !status.is_success() {
        return Err(answer::refusal(status, location.as_deref(), &body.bytes));
    }
    if body.cut { Err("the answer is longer than 1 MiB".to_owned()) } else { Ok(body.bytes) }
}

/// What a header is to say. Files are read each time, so that a token may be changed under way.
async fn text(name: &str, value: &HeaderText) -> Result<String, String> {
    let (prefix, path) = match value {
        HeaderText::Plain(text) => return Ok(text.to_string()),
        HeaderText::File { prefix, path } => (prefix, path),
    };
    let no = |why: &dyn std::fmt::Display| format!("no value for the header {name} from {path}: {why}");
    let file = File::open(&**path).await.map_err(|error| no(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes).await.map_err(|error| no(&error))?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err(no(&"it is longer than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| no(&"it is no text"))?;
    match text.trim() {
        "" => Err(no(&"it is empty")),
        text => Ok(format!("{prefix}{text}")),
    }
}

/// `words` without what the headers say: servers repeat what they are sent.
fn hidden(words: String, secrets: &[String]) -> String {
    let parts = secrets.iter().flat_map(|secret| [Some(secret.as_str()), secret.strip_prefix("Bearer ")]);
    let parts = parts.flatten().filter(|secret| secret.len() >= MIN_SECRET);
    parts.fold(words, |words, secret| words.replace(secret, "***"))
}

/// Before retry number `retry`, counted from 0.
fn backoff(retry: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(retry)).min(MAX_BACKOFF)
}

fn request(hook: &Webhook, call: &Call) -> Result<Request, String> {
    let body = serde_json::to_vec(call).map_err(|error| error.to_string())?;
    let request = Request::new(Method::POST, uri(&hook.url)?)?
        .header("content-type", "application/json")?
        .header("idempotency-key", &call.decision_id)?;
    Ok(request.body(body))
}

fn uri(url: &str) -> Result<Uri, String> {
    url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))
}

async fn within<T>(timeout: Duration, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("no answer within {}", humantime::format_duration(timeout)));
    tokio::time::timeout(timeout, work).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests;
