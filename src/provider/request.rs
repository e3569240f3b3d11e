//! One request, one answer.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use percent_encoding::percent_decode_str;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tracing::warn;

/// The client of all requests.
#[derive(Debug, Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// A request that is being put together.
#[derive(Debug)]
pub(super) struct Request(http::Request<Full<Bytes>>);

/// What was read of a body.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// There was more than was to be read.
    pub(super) cut: bool,
}

impl Http {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let error = found.errors.first().map(ToString::to_string).unwrap_or_default();
            warn!(error, "this machine trusts no certificate: no https:// can be asked");
        }
        Self::trusting(roots)
    }

    pub(super) fn trusting(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::with(tls))
    }

    /// Whoever answers is taken for who he says he is.
    pub(super) fn insecure() -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let anybody = Arc::new(Anybody(Arc::clone(&provider)));
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(anybody)
            .with_no_client_auth();
        Ok(Self::with(tls))
    }

    fn with(tls: ClientConfig) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    }

    pub(super) async fn send(&self, request: Request) -> Result<Response<Incoming>, String> {
        self.0.request(request.0).await.map_err(|error| in_words(&error))
    }
}

impl Request {
    /// With the user and password of the URL, if it has any, where HTTP has them.
    pub(super) fn new(method: Method, uri: Uri) -> Result<Self, String> {
        let mut request = http::Request::new(Full::default());
        *request.method_mut() = method;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("serin/", env!("CARGO_PKG_VERSION"))));
        if let Some((user, _)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) {
            let user: Vec<u8> = percent_decode_str(user).collect();
            insert(headers, AUTHORIZATION, &format!("Basic {}", STANDARD.encode(user)))?;
        }
        *request.uri_mut() = uri;
        Ok(Self(request))
    }

    /// In the place of what was there of this name.
    pub(super) fn header(mut self, name: &str, value: &str) -> Result<Self, String> {
        let parsed = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
        insert(self.0.headers_mut(), parsed, value)?;
        Ok(self)
    }

    pub(super) fn body(mut self, bytes: Vec<u8>) -> Self {
        *self.0.body_mut() = Full::from(bytes);
        self
    }
}

/// Trusts every certificate, if only its owner answers.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), String> {
    let value = HeaderValue::from_str(value).map_err(|_| format!("the value of {name} is no value of a header"))?;
    headers.insert(name, value);
    Ok(())
}

/// Reads no more than `limit` bytes, into `read`: they are there whatever comes after them.
pub(super) async fn read(answer: Response<Incoming>, limit: usize, read: &mut Body) -> Result<(), String> {
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {}", root(&error)))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = limit - read.bytes.len();
        read.bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            read.cut = true;
            break;
        }
    }
    Ok(())
}

fn in_words(error: &Error) -> String {
    if error.is_connect() { format!("no connection: {}", root(error)) } else { root(error) }
}

/// What is at the bottom of an error.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match deepest.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        _ => deepest.to_string(),
    }
}
