//! The v4 API as the command line sees it.
//!
//! **Owns** one HTTP exchange: address, token, envelope, retries, what an answer means. **Must not know** commands.
//! **Enter at** [`Client`].

mod call;

mod envelope;

pub(crate) mod model;

pub(crate) mod path;

mod stream;

mod tls;

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_tungstenite::tungstenite;

use self::call::Body;
pub(crate) use self::call::{Call, Part};
pub(crate) use self::envelope::{ApiError, ResultInfo};
use self::envelope::{Envelope, Info};
use self::stream::Streamed;

/// BOUND: a voter is elected in well under a second; longer silence is better told than hidden.
const MAX_ATTEMPTS: u32 = 4;
/// BOUND: 1000 pages of 100 are far beyond any list a person reads.
const MAX_PAGES: u64 = 1000;
const PER_PAGE: u64 = 100;
const TIMEOUT: Duration = Duration::from_secs(60);
/// BOUND: a component of several megabytes is compiled for most of a minute on a slow machine, and a value may have 25 MiB.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// What is escaped in a segment of a path: all but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// BOUND: the longest answer: a terabyte at 100 Mbit/s takes a day.
const STREAM_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Whom to talk to, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct ClientConfig {
    /// `http://HOST:PORT` or `https://HOST:PORT`, without a path.
    pub(crate) api: String,
    pub(crate) token: Option<String>,
    /// A PEM file with the cluster's CA, trusted beside the public ones.
    pub(crate) ca: Option<PathBuf>,
    /// How long one answer may take; 60 s when absent, 300 s for uploads, whose code the node compiles before it
    /// answers. Too short makes slow writes *unknown*; too long hides a dead node.
    pub(crate) timeout: Option<Duration>,
    /// The account, when not the token's first.
    pub(crate) account: Option<String>,
    /// The account to take instead of the first if the token sees it: a project file written for Cloudflare names one
    /// that no cluster has.
    pub(crate) preferred_account: Option<String>,
}

/// A connection pool to one node.
#[derive(Debug)]
pub(crate) struct Client {
    config: ClientConfig,
    http: reqwest::Client,
    base: reqwest::Url,
    tls: std::sync::Arc<rustls::ClientConfig>,
    account: tokio::sync::OnceCell<String>,
}

/// What a call came back with.
#[derive(Debug, Clone)]
pub(crate) struct Answer<T> {
    pub(crate) result: T,
    /// `result` as it was sent, for `--json`.
    pub(crate) raw: Value,
    /// Send it back with [`Call::if_match`].
    pub(crate) etag: Option<String>,
    pub(crate) info: ResultInfo,
    /// Remarks for people: an array of texts.
    pub(crate) messages: Value,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The address, token or CA can not be used. State: unchanged. Retry: no.
    #[error("{0}")]
    Config(String),
    /// No connection. State: unchanged. Retry: yes.
    #[error("no answer from {api}: is skerry-node running there? (--api, SKERRY_API)")]
    Unreachable {
        api: String,
        #[source]
        source: reqwest::Error,
    },
    /// A read was cut off. State: unchanged. Retry: yes.
    #[error("{what} was cut off")]
    Interrupted {
        what: String,
        #[source]
        source: reqwest::Error,
    },
    /// A long answer stopped coming. State: unchanged. Retry: yes.
    #[error("{what} stopped: {reason}")]
    Stopped { what: String, reason: String },
    /// The WebSocket of a log could not be opened. State: unchanged. Retry: yes.
    #[error("the log of {api} cannot be followed")]
    Socket {
        api: String,
        #[source]
        source: Box<tungstenite::Error>,
    },
    /// A write was sent, and its answer never came. State: unknown. Retry: only after looking.
    #[error("the outcome of {what} is unknown: {reason}; look before trying again")]
    Unknown { what: String, reason: String },
    /// The API refused. State: unchanged. Retry: no.
    #[error("{}", envelope::describe(*status, errors))]
    Refused { status: u16, errors: Vec<ApiError> },
    /// Something answered that is not this API: to a read, or refusing a write. State: unchanged. Retry: no.
    #[error("{what} was answered with something that is not Skerry's API ({status}): {text}")]
    NotTheApi {
        what: String,
        status: u16,
        text: String,
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl ClientError {
    /// Whether it said that something does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the API gave this reason.
    pub(crate) fn has_code(&self, code: u32) -> bool {
        matches!(self, Self::Refused { errors, .. } if errors.iter().any(|error| error.code == code))
    }

    /// Whether the API said no to this call, and would say it again.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status: 400..=499, .. })
    }
}

impl Client {
    /// Checks the address and loads the CA; sends nothing yet.
    pub(crate) fn build(config: ClientConfig) -> Result<Self, ClientError> {
        let invalid = |why: String| ClientError::Config(format!("--api {:?}: {why}", config.api));
        let mut base = reqwest::Url::parse(&config.api).map_err(|error| invalid(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(invalid("must be http://HOST:PORT or https://HOST:PORT".to_owned()));
        }
        if config.token.is_some() && base.scheme() == "http" && !is_loopback(&base) {
            let text =
                "a token is never sent in clear to another machine; use https://, with --ca for the cluster's CA";
            return Err(invalid(text.to_owned()));
        }
        if !base.path().ends_with("/client/v4") {
            base.set_path("/client/v4");
        }
        let tls = tls::config(config.ca.as_deref()).map_err(ClientError::Config)?;
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls.clone())
            .user_agent(concat!("skerry/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            // An API does not redirect, and following one would send the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| ClientError::Config(error.to_string()))?;
        Ok(Self { config, http, base, tls: std::sync::Arc::new(tls), account: tokio::sync::OnceCell::new() })
    }

    /// The address, as given.
    pub(crate) fn api(&self) -> &str {
        &self.config.api
    }

    /// The account that calls are about: as configured, else the preferred one if the token sees it, else its first.
    pub(crate) async fn account(&self) -> Result<&str, ClientError> {
        let find = || async {
            if let Some(account) = &self.config.account {
                return Ok(account.clone());
            }
            let accounts = self.list::<model::Account>(Call::get(["accounts"]), None, usize::MAX).await?.result;
            let preferred = self.config.preferred_account.as_ref();
            let found = accounts.iter().find(|account| Some(&account.id) == preferred).or(accounts.first());
            let found = found.map(|account| account.id.clone());
            found.ok_or_else(|| ClientError::Config("this token sees no account".to_owned()))
        };
        self.account.get_or_try_init(find).await.map(String::as_str)
    }

    /// Sends `call`, again while the API says that it could not begin, and reads the envelope.
    pub(crate) async fn send<T: DeserializeOwned>(&self, call: Call) -> Result<Answer<T>, ClientError> {
        let response = self.exchange(&call).await?;
        let (status, etag) = (response.status().as_u16(), header(&response, "etag"));
        let text = self.body(&call, response).await?;
        let strange = |source| strange(&call, status, &text, Some(source));
        let envelope: Envelope = serde_json::from_slice(&text).map_err(strange)?;
        let raw = envelope.into_result(status, &call.describe())?;
        let result = serde_json::from_value(raw.clone()).map_err(strange)?;
        let Info { result_info, messages } = serde_json::from_slice(&text).unwrap_or_default();
        Ok(Answer { result, raw, etag, info: result_info.unwrap_or_default(), messages })
    }

    /// The bytes of an answer that is not an envelope (KV values, module contents), and its content type.
    pub(crate) async fn download(&self, call: Call) -> Result<Vec<u8>, ClientError> {
        let response = self.exchange(&call).await?;
        if response.status().is_success() {
            self.body(&call, response).await
        } else {
            Err(self.refusal(&call, response).await)
        }
    }

    /// Begins an answer that may be long and take long; [`Streamed::next_piece`] reads it.
    pub(crate) async fn stream(&self, call: Call) -> Result<Streamed, ClientError> {
        let request = self.request(&call)?.timeout(STREAM_TIMEOUT);
        let response = request.send().await.map_err(|error| self.lost(&call, error))?;
        if response.status().is_success() {
            return Ok(Streamed { response, what: call.describe() });
        }
        Err(self.refusal(&call, response).await)
    }

    /// Why an answer that should have been bytes is something else.
    async fn refusal(&self, call: &Call, response: reqwest::Response) -> ClientError {
        let status = response.status().as_u16();
        let bytes = match self.body(call, response).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        match serde_json::from_slice::<Envelope>(&bytes) {
            Ok(envelope) => match envelope.into_result(status, &call.describe()) {
                Ok(_) => strange(call, status, &bytes, None),
                Err(error) => error,
            },
            Err(source) => strange(call, status, &bytes, Some(source)),
        }
    }

    /// Collects the pages of a list until `limit` entries are there. A list inside the result is named by `inside`.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        call: Call,
        inside: Option<&str>,
        limit: usize,
    ) -> Result<Answer<Vec<T>>, ClientError> {
        let (mut items, mut etag) = (Vec::new(), None);
        for page in 1..=MAX_PAGES {
            let per_page = PER_PAGE.min(limit.max(1) as u64);
            let answer = self.send::<Value>(call.clone().query("page", page).query("per_page", per_page)).await?;
            etag = etag.or(answer.etag);
            let list = inside.map_or(&answer.raw, |key| &answer.raw[key]);
            let got = list.as_array().cloned().unwrap_or_default();
            let last = (got.len() as u64) < per_page || page >= answer.info.total_pages.unwrap_or(u64::MAX);
            items.extend(got);
            if last || items.len() >= limit {
                break;
            }
        }
        items.truncate(limit);
        let raw = Value::Array(items);
        let result = serde_json::from_value(raw.clone())
            .map_err(|source| strange(&call, 200, raw.to_string().as_bytes(), Some(source)))?;
        Ok(Answer { result, raw, etag, info: ResultInfo::default(), messages: Value::Null })
    }

    /// Opens the WebSocket of the tail `id`, at this node and not where an answer says. The id is the permission, so
    /// the token stays here.
    pub(crate) async fn socket(&self, id: &str, protocol: &'static str) -> Result<Socket, ClientError> {
        use tungstenite::client::IntoClientRequest as _;
        let mut url = self.url(["tails", id]);
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).expect("http and ws are schemes of the same kind");
        let failed = |source| ClientError::Socket { api: self.config.api.clone(), source: Box::new(source) };
        let mut request = url.as_str().into_client_request().map_err(failed)?;
        let protocol = tungstenite::http::HeaderValue::from_static(protocol);
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let connector = tokio_tungstenite::Connector::Rustls(self.tls.clone());
        let connected = tokio_tungstenite::connect_async_tls_with_config(request, None, false, Some(connector)).await;
        connected.map(|(socket, _)| socket).map_err(failed)
    }

    async fn exchange(&self, call: &Call) -> Result<reqwest::Response, ClientError> {
        let mut attempt = 1;
        loop {
            let outcome = self.request(call)?.send().await;
            let again = match &outcome {
                // 503: the API says that nothing was changed (10997). No connection: nothing was sent.
                Ok(response) => response.status().as_u16() == 503,
                Err(error) => error.is_connect() && attempt == 1,
            };
            if !again || attempt >= MAX_ATTEMPTS {
                return outcome.map_err(|error| self.lost(call, error));
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
            attempt += 1;
        }
    }

    fn request(&self, call: &Call) -> Result<reqwest::RequestBuilder, ClientError> {
        let mut url = self.url(call.segments.iter().map(String::as_str));
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.http.request(call.method.clone(), url).timeout(self.timeout(call));
        if let Some(token) = &self.config.token {
            request = request.bearer_auth(token);
        }
        if let Some(etag) = &call.if_match {
            request = request.header("if-match", etag);
        }
        if call.is_write() {
            request = request.header("idempotency-key", &call.key);
        }
        Ok(match &call.body {
            Body::Empty => request,
            Body::Json(value) => request.json(value),
            Body::Bytes(bytes) => request.header("content-type", "application/octet-stream").body(bytes.clone()),
            Body::Form(parts) => request.multipart(call::form(parts).map_err(ClientError::Config)?),
        })
    }

    /// The address of what lies below `/client/v4`. Escaped here: a URL that is built from segments drops tabs and line ends,
    /// and `..` with the segment before it, and so leads to another key.
    fn url<'s>(&self, segments: impl IntoIterator<Item = &'s str>) -> reqwest::Url {
        let mut url = self.base.clone();
        let mut path = url.path().trim_end_matches('/').to_owned();
        for segment in segments {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        url.set_path(&path);
        url
    }

    fn timeout(&self, call: &Call) -> Duration {
        let usual = if matches!(call.body, Body::Form(_) | Body::Bytes(_)) { UPLOAD_TIMEOUT } else { TIMEOUT };
        self.config.timeout.unwrap_or(usual)
    }

    async fn body(&self, call: &Call, response: reqwest::Response) -> Result<Vec<u8>, ClientError> {
        match response.bytes().await {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => Err(self.lost(call, error)),
        }
    }

    /// What a broken exchange means: before the request left nothing can have changed, after it anything can.
    fn lost(&self, call: &Call, error: reqwest::Error) -> ClientError {
        if error.is_connect() || error.is_builder() {
            return ClientError::Unreachable { api: self.config.api.clone(), source: error };
        }
        let what = call.describe();
        if !call.is_write() {
            return ClientError::Interrupted { what, source: error };
        }
        let reason = if error.is_timeout() {
            format!("no answer within {} s", self.timeout(call).as_secs_f32())
        } else {
            "the connection broke before the answer".to_owned()
        };
        ClientError::Unknown { what, reason }
    }
}

/// A tail's WebSocket.
pub(crate) type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

fn header(response: &reqwest::Response, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// What an answer means that is not this API's: a proxy's page, most often. A write may have reached the API behind it,
/// unless the status says that the request itself was turned away.
fn strange(call: &Call, status: u16, text: &[u8], source: Option<serde_json::Error>) -> ClientError {
    let (what, text) = (call.describe(), shorten(text));
    let is_turned_away = (400..500).contains(&status) && status != 408;
    if call.is_write() && !is_turned_away {
        let reason = format!("something that is not Skerry's API answered ({status}): {text}");
        return ClientError::Unknown { what, reason };
    }
    ClientError::NotTheApi { what, status, text, source }
}

/// Whether nothing but this machine sees what is sent there.
fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn shorten(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(200).collect()
}
