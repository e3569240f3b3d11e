//! Questions to other systems, over HTTP: calls to hooks, and measurements of Prometheus and of JSON from the web.
//!
//! Each request has a connection of its own: they are seconds apart, and a call to a hook that goes into a connection
//! which the other side is just closing would fail without fault. No redirect is followed, and no proxy of the
//! environment is used: what is asked is what the file names. `https://` trusts the certificates that the machine trusts.

mod answer;
mod request;
mod value;

use std::time::Duration;

use http::{Method, Uri};

use crate::rollout::{Answer, Call};
use crate::spec::{Provider, Webhook};
use request::{Body, Http, Request};

/// Bytes of a measurement's answer that are read; one value takes a few hundred.
const MAX_ANSWER: usize = 1 << 20;

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
        Ok(Self { http: Http::new()? })
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

    /// Asks for one value.
    ///
    /// # Errors
    /// In words: no answer in time, no connection, another status than 200 to 299, an answer that is not what was asked
    /// for or has more or less than one value, and a value that is no finite number.
    pub async fn measure(&self, provider: &Provider) -> Result<f64, String> {
        match provider {
            Provider::Prometheus { address, query, timeout } => {
                let body = self.get(Request::new(Method::GET, value::query(address, query)?)?, *timeout).await?;
                value::of_prometheus(&body)
            }
            Provider::Web { url, json_path, headers, timeout } => {
                let mut request = Request::new(Method::GET, uri(url)?)?.header("accept", "application/json")?;
                for (name, value) in headers {
                    request = request.header(name, value)?;
                }
                let body = self.get(request, *timeout).await?;
                value::of_web(&body, json_path)
            }
        }
    }

    /// The body of an answer that is a yes.
    async fn get(&self, request: Request, timeout: Duration) -> Result<Vec<u8>, String> {
        within(timeout, async {
            let answer = self.http.send(request).await?;
            let (status, location) = answer::head(&answer);
            let mut body = Body::default();
            request::read(answer, MAX_ANSWER, &mut body).await?;
            if !status.is_success() {
                return Err(answer::refusal(status, location.as_deref(), &body.bytes));
            }
            if body.cut { Err("the answer is longer than 1 MiB".to_owned()) } else { Ok(body.bytes) }
        })
        .await
    }
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
