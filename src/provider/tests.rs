use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request as Asked, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::spec::{QueryRange, WebhookKind};

/// Longer than any answer on loopback takes.
const LONG: Duration = Duration::from_secs(60);

/// A request, as a server saw it.
#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Gives these answers one after the other, and the last of them again and again; shows what it was asked.
struct Server {
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

type Answers = Arc<Mutex<(Vec<(StatusCode, HeaderMap, Vec<u8>)>, Arc<Mutex<Vec<Seen>>>)>>;

impl Server {
    async fn start(answers: Vec<(u16, &str)>) -> Self {
        let plain = |(status, body): (u16, &str)| {
            (StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.as_bytes().to_vec())
        };
        Self::with(answers.into_iter().map(plain).collect()).await
    }

    async fn with(mut answers: Vec<(StatusCode, HeaderMap, Vec<u8>)>) -> Self {
        answers.reverse();
        let seen = Arc::default();
        let state: Answers = Arc::new(Mutex::new((answers, Arc::clone(&seen))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(State(state): State<Answers>, request: Asked) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
    let mut state = state.lock().unwrap();
    state.1.lock().unwrap().push(Seen { method: head.method, uri: head.uri, headers: head.headers, body });
    let last = state.0.len() == 1;
    let answer = if last { state.0.last().cloned() } else { state.0.pop() };
    answer.unwrap().into_response()
}

/// What a server does when it has said its words.
#[derive(Clone, Copy)]
enum Then {
    HangsUp,
    Stalls,
}

/// To each request the same words, whatever they are; counts the connections.
async fn rude(words: &'static [u8], then: Then) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            read_request(&mut stream).await;
            stream.write_all(words).await.unwrap();
            match then {
                Then::HangsUp => stream.shutdown().await.unwrap(),
                Then::Stalls => held.push(stream),
            }
        }
    });
    (base, count)
}

/// What is left unread when a server hangs up resets the connection, and its words are lost.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) {
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap());
        Some(body.len() >= length.parse().unwrap())
    };
    while whole(&request) != Some(true) {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0, "hung up");
    }
}

/// Where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn client() -> Client {
    Client::new().unwrap()
}

fn hook(url: &str) -> Webhook {
    Webhook {
        name: "smoke".into(),
        kind: WebhookKind::PreRollout,
        url: url.into(),
        timeout: LONG,
        retries: 0,
        metadata: BTreeMap::new(),
    }
}

fn the_call() -> Call {
    Call {
        name: "checkout".into(),
        namespace: "default",
        phase: "Progressing",
        checksum: "green-7".to_owned(),
        kind: WebhookKind::PreRollout,
        failed_checks: 0,
        canary_weight: 5,
        iterations: 1,
        remaining_time: 0,
        metadata: BTreeMap::from([("ticket".to_owned(), "42".to_owned())]),
        decision_id: "checkout/7/12/pre-rollout/smoke#1".into(),
    }
}

async fn call(url: &str) -> Answer {
    client().call(&hook(url), &the_call()).await
}

fn provider(question: Question) -> Provider {
    Provider { question, headers: Vec::new(), timeout: LONG, insecure: false }
}

fn prometheus(address: &str) -> Provider {
    let query = "sum(rate(errors{app=\"a&b\"}[1m])) / 100 + 0".into();
    provider(Question::Prometheus { address: address.into(), query, range: None })
}

fn web(url: &str, path: &str) -> Provider {
    let value = HeaderText::Plain("Bearer abc".into());
    let headers = vec![Header { name: "authorization".into(), value }];
    let question = Question::Web { url: url.into(), json_path: path.into(), method: WebMethod::Get };
    Provider { headers, ..provider(question) }
}

/// In November 2026.
const NOW: Duration = Duration::from_millis(1_794_000_000_250);

async fn measure(provider: Provider) -> Result<Value, String> {
    client().measure(&provider, NOW).await
}

fn no<T>(words: &str) -> Result<T, String> {
    Err(words.to_owned())
}

fn unreached(words: &str) -> Answer {
    Answer::Unreached(words.to_owned())
}

fn refused(words: &str) -> Answer {
    Answer::No(words.to_owned())
}

#[tokio::test]
async fn a_hook_is_told_by_post_what_flagger_would_tell_it() {
    let server = Server::start(vec![(204, "")]).await;
    assert_eq!(call(&format!("{}/smoke?deep=yes", server.base)).await, Answer::Yes);
    let [seen] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert_eq!((&seen.method, seen.uri.to_string().as_str()), (&Method::POST, "/smoke?deep=yes"));
    assert_eq!(seen.headers[CONTENT_TYPE], "application/json");
    assert_eq!(seen.headers["idempotency-key"], "checkout/7/12/pre-rollout/smoke#1");
    assert_eq!(seen.headers["user-agent"], format!("serin/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(seen.headers["host"], server.base.trim_start_matches("http://"));
    assert!(!seen.headers.contains_key("authorization"));
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&seen.body).unwrap(),
        serde_json::json!({
            "name": "checkout", "namespace": "default", "phase": "Progressing", "checksum": "green-7",
            "type": "pre-rollout", "failedChecks": 0, "canaryWeight": 5, "iterations": 1, "remainingTime": 0,
            "metadata": {"ticket": "42"}, "decisionId": "checkout/7/12/pre-rollout/smoke#1",
        })
    );
}

#[tokio::test]
async fn a_user_in_the_url_is_sent_as_http_has_it() {
    let server = Server::start(vec![(200, "")]).await;
    assert_eq!(call(&server.base.replace("://", "://me:s%40crt@")).await, Answer::Yes);
    let seen = &server.seen()[0];
    assert_eq!(seen.headers["authorization"], "Basic bWU6c0BjcnQ=");
    assert_eq!(seen.headers["host"], server.base.trim_start_matches("http://"));
}

#[tokio::test]
async fn a_hook_that_says_no_is_quoted() {
    for (status, body, words) in [
        (503, "\n overloaded \nsecond line", "answered 503: overloaded".to_owned()),
        (500, "", "answered 500".to_owned()),
        (404, "a\u{1b}[31mred\u{7}", "answered 404: a [31mred".to_owned()),
        (400, &"ä".repeat(300), format!("answered 400: {}...", "ä".repeat(200))),
        (302, "moved", "answered 302: moved".to_owned()),
    ] {
        let server = Server::start(vec![(status, body)]).await;
        assert_eq!(call(&server.base).await, refused(&words));
    }
    let huge = format!("no\n{}", "x".repeat(10 << 20));
    let server = Server::start(vec![(503, &huge)]).await;
    assert_eq!(call(&server.base).await, refused("answered 503: no"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Server::start(vec![(200, r#"{"a": 1}"#)]).await;
    let location = HeaderMap::from_iter([(LOCATION, other.base.parse().unwrap())]);
    for status in [301, 302, 303, 307, 308] {
        let status = StatusCode::from_u16(status).unwrap();
        let server = Server::with(vec![(status, location.clone(), b"moved".to_vec())]).await;
        let words = format!("answered {} to {}: redirects are not followed", status.as_u16(), other.base);
        assert_eq!(call(&server.base).await, refused(&words));
        assert_eq!(measure(web(&server.base, "$.a")).await, no(&words));
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_call_that_fails_is_made_again_as_often_as_allowed() {
    let server = Server::start(vec![(500, "one"), (200, "two")]).await;
    let mut hook = hook(&server.base);
    hook.retries = 3;
    assert_eq!(client().call(&hook, &the_call()).await, Answer::Yes);
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "a yes is not asked for again");
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].headers["idempotency-key"], seen[1].headers["idempotency-key"]);

    let server = Server::start(vec![(500, "one"), (500, "two"), (500, "three")]).await;
    (hook.url, hook.retries) = (server.base.as_str().into(), 1);
    assert_eq!(client().call(&hook, &the_call()).await, refused("answered 500: two"));
    assert_eq!(server.seen().len(), 2);
    hook.retries = 0;
    assert_eq!(client().call(&hook, &the_call()).await, refused("answered 500: three"));
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn the_wait_between_attempts_grows_to_a_second() {
    let waits = [0, 1, 2, 3, 4, 5, u32::MAX].map(|retry| backoff(retry).as_millis());
    assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000, 1_000]);
}

#[tokio::test]
async fn each_attempt_has_the_timeout_to_itself() {
    let (base, count) = rude(b"", Then::Stalls).await;
    let mut hook = hook(&base);
    (hook.timeout, hook.retries) = (Duration::from_millis(200), 1);
    assert_eq!(client().call(&hook, &the_call()).await, unreached("no answer within 200ms"));
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_no_counts_though_its_words_never_end() {
    let (base, _) = rude(b"HTTP/1.1 503 No\r\ncontent-length: 10\r\n\r\nbusy", Then::Stalls).await;
    assert_eq!(call(&base).await, refused("answered 503: busy"));
}

#[tokio::test]
async fn a_measurement_that_stalls_ends_in_time() {
    for words in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1"] {
        let (base, _) = rude(words.as_bytes(), Then::Stalls).await;
        let timeout = Duration::from_millis(50);
        let provider = Provider { timeout, ..prometheus(&base) };
        assert_eq!(measure(provider).await, no("no answer within 50ms"));
    }
}

#[tokio::test]
async fn what_has_no_answer_says_why() {
    let down = nobody().await;
    assert_eq!(call(&down).await, unreached("no connection: connection refused"));
    assert_eq!(measure(prometheus(&down)).await, no("no connection: connection refused"));
    let (silent, _) = rude(b"", Then::HangsUp).await;
    assert_eq!(call(&silent).await, unreached("connection closed before message completed"));
    let (other, _) = rude(b"SSH-2.0-OpenSSH\r\n", Then::HangsUp).await;
    assert_eq!(call(&other).await, unreached("invalid HTTP version parsed"));
    let (short, _) = rude(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", Then::HangsUp).await;
    assert_eq!(measure(web(&short, "$")).await, no("the answer broke off: end of file before message length reached"));
    assert_eq!(call("no url").await, unreached("\"no url\" is no URL: invalid uri character"));
}

#[tokio::test]
async fn https_asks_those_alone_whose_certificate_is_trusted() {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tests/certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tests/key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n0.25").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let trusting = Client { http: Http::trusting(roots).unwrap(), ..client() };
    assert_eq!(trusting.measure(&web(&base, "$"), NOW).await, Ok(json!(0.25)));
    let distrusting = Client { http: Http::trusting(RootCertStore::empty()).unwrap(), ..client() };
    let words = distrusting.measure(&web(&base, "$"), NOW).await;
    assert_eq!(words, no("no connection: invalid peer certificate: UnknownIssuer"));
    let anybody = Provider { insecure: true, ..web(&base, "$") };
    assert_eq!(distrusting.measure(&anybody, NOW).await, Ok(json!(0.25)));
    let plain = Server::start(vec![(200, "")]).await.base.replace("http:", "https:");
    let Answer::Unreached(words) = trusting.call(&hook(&plain), &the_call()).await else { panic!("reached") };
    assert!(words.starts_with("no connection: received corrupt message"), "{words}");
}

#[tokio::test]
async fn prometheus_is_asked_for_values_as_of_now() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1767323045.781,"99.25"]}]}}"#;
    let server = Server::start(vec![(200, body)]).await;
    assert_eq!(measure(prometheus(&format!("{}/prometheus/", server.base))).await, Ok(json!([99.25])));
    let seen = &server.seen()[0];
    assert_eq!((&seen.method, seen.uri.path()), (&Method::GET, "/prometheus/api/v1/query"));
    let asked = seen.uri.query().and_then(|query| query.strip_prefix("query=")).unwrap();
    assert!(!asked.contains(['+', '&', ' ']), "{asked}");
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8().unwrap();
    assert_eq!(asked, "sum(rate(errors{app=\"a&b\"}[1m])) / 100 + 0");
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_said() {
    let body = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"}"#;
    let server = Server::start(vec![(400, body), (503, "<html>\nno")]).await;
    assert_eq!(
        measure(prometheus(&server.base)).await,
        no("answered 400: bad_data: invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis")
    );
    assert_eq!(measure(prometheus(&server.base)).await, no("answered 503: <html>"));
}

#[tokio::test]
async fn answers_that_are_too_long_are_not_read_to_their_end() {
    let fits = format!("{}7", " ".repeat(MAX_ANSWER - 1));
    let server = Server::start(vec![(200, &fits), (200, &format!("{fits} "))]).await;
    assert_eq!(measure(web(&server.base, "$")).await, Ok(json!(7)));
    assert_eq!(measure(web(&server.base, "$")).await, no("the answer is longer than 1 MiB"));
}

#[tokio::test]
async fn the_web_is_asked_by_get_with_its_headers() {
    let server = Server::start(vec![(200, r#"{"data": {"rate": 0.5}}"#)]).await;
    assert_eq!(measure(web(&format!("{}/rates?a=b", server.base), "{$.data.rate}")).await, Ok(json!(0.5)));
    let seen = &server.seen()[0];
    assert_eq!((&seen.method, seen.uri.to_string().as_str()), (&Method::GET, "/rates?a=b"));
    assert_eq!(seen.headers["authorization"], "Bearer abc");
    assert_eq!(seen.headers["accept"], "application/json");
    let server = Server::start(vec![(404, r#"{"data": {"rate": 0.5}}"#)]).await;
    let words = no("answered 404: {\"data\": {\"rate\": 0.5}}");
    assert_eq!(measure(web(&server.base, "{$.data.rate}")).await, words, "the value of a no is none");
}

#[tokio::test]
async fn prometheus_is_asked_for_a_range() {
    let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"a":"1"},"values":[[1,"1"],[2,"NaN"]]},{"metric":{"a":"2"},"values":[[1,"3.5"],[2,"+Inf"]]}]}}"#;
    let server = Server::start(vec![(200, body)]).await;
    let range = QueryRange {
        start: Duration::from_secs(300),
        end: Duration::from_secs(60),
        step: Duration::from_millis(1_500),
    };
    let (address, query) = (server.base.as_str().into(), "up".into());
    let asked = provider(Question::Prometheus { address, query, range: Some(range) });
    assert_eq!(measure(asked).await, Ok(json!([1.0, "NaN", 3.5, "+Inf"])));
    let uri = server.seen()[0].uri.to_string();
    assert_eq!(uri, "/api/v1/query_range?query=up&start=1793999700.250&end=1793999940.250&step=1.5");
}

#[tokio::test]
async fn the_web_is_asked_by_post() {
    let server = Server::start(vec![(200, r#"{"ok": true}"#)]).await;
    for (body, json, kind) in
        [(r#"{"a":[1]}"#, true, "application/json"), ("a=1", false, "text/plain; charset=utf-8"), ("", false, "")]
    {
        let method = WebMethod::Post { body: body.into(), json };
        let question = Question::Web { url: server.base.as_str().into(), json_path: "$.ok".into(), method };
        assert_eq!(measure(provider(question)).await, Ok(json!(true)));
        let seen = server.seen().pop().unwrap();
        assert_eq!((&seen.method, &seen.body[..]), (&Method::POST, body.as_bytes()));
        assert_eq!(seen.headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap()), kind);
    }
}

#[tokio::test]
async fn secrets_come_from_files_and_stay_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let from = |prefix| {
        let value = HeaderText::File { prefix, path: path.to_str().unwrap().into() };
        vec![Header { name: "authorization".into(), value }]
    };
    let server = Server::start(vec![(200, "1"), (200, "2"), (403, "who is Bearer s3cret?"), (403, "s3cret?")]).await;
    let asked = |prefix| Provider { headers: from(prefix), ..web(&server.base, "$") };
    std::fs::write(&path, "Basic eHk6eg==\n").unwrap();
    assert_eq!(measure(asked("")).await, Ok(json!(1)));
    std::fs::write(&path, "s3cret\n").unwrap();
    assert_eq!(measure(asked("Bearer ")).await, Ok(json!(2)), "read anew");
    let sent: Vec<_> = server.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Basic eHk6eg==", "Bearer s3cret"]);
    assert_eq!(measure(asked("Bearer ")).await, no("answered 403: who is ***?"));
    assert_eq!(measure(asked("Bearer ")).await, no("answered 403: ***?"), "nor without what is before it");
    for (content, words) in [
        (Some(vec![]), "it is empty"),
        (Some(vec![b' '; (64 << 10) + 1]), "it is longer than 64 KiB"),
        (Some(vec![0xff]), "it is no text"),
        (None, "No such file or directory (os error 2)"),
    ] {
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let words = format!("no value for the header authorization from {}: {words}", path.display());
        assert_eq!(measure(asked("")).await, no(&words));
    }
    std::fs::write(&path, "two\nlines").unwrap();
    assert_eq!(measure(asked("")).await, no("the value of authorization is no value of a header"));
    assert_eq!(server.seen().len(), 4, "without its headers nobody is asked");
    assert!(!format!("{:?}", web("http://a", "$")).contains("abc"), "no secret is printed");
}
