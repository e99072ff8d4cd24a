//! A deployer who speaks the v4 API directly.
//!
//! **Owns** the few calls that workloads make. **Must not know** what they are made for. **Enter at** [`Api`].

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::node::Node;

/// Where a deploy has what its author says about it.
const MESSAGE: &str = "workers/message";
/// BOUND: deployments in one answer; as many as an environment keeps.
pub const DEPLOYMENTS_KEPT: usize = 100;

/// The API of one node, with the operator's rights, on the first account.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
    /// The first account's id.
    pub account: String,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The node acknowledged it, with this result.
    Done(Value),
    /// The node refused it: nothing changed.
    Refused(StatusCode, String),
    /// No answer, so it may or may not have happened.
    Unknown,
}

impl Answer {
    /// The result of a call that must succeed.
    ///
    /// # Errors
    /// When it was refused or its outcome is unknown.
    pub fn done(self) -> Result<Value> {
        match self {
            Self::Done(result) => Ok(result),
            Self::Refused(status, body) => bail!("refused with {status}: {body}"),
            Self::Unknown => bail!("the outcome is unknown"),
        }
    }
}

impl Api {
    /// The API of `node`.
    ///
    /// # Errors
    /// When the node does not say which account it has.
    pub async fn of(node: &Node) -> Result<Self> {
        // Fails only when a provider is already there, which is as good.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let base = format!("http://{}/client/v4", node.addresses.api);
        let mut api = Self { http: reqwest::Client::new(), base, token: node.admin_token()?, account: String::new() };
        let accounts = api.call(Method::GET, "/accounts", None).await.done()?;
        api.account = accounts[0]["id"].as_str().context("the first account has an id")?.to_owned();
        Ok(api)
    }

    /// The API at an address of this machine; a call without an answer after `patience` is unknown.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub fn at(address: SocketAddr, token: &str, account: &str, patience: Duration) -> Result<Self> {
        // Fails only when a provider is already there, which is as good.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(patience).build().context("make an HTTP client")?;
        let base = format!("http://{address}/client/v4");
        Ok(Self { http, base, token: token.to_owned(), account: account.to_owned() })
    }

    /// The same for who has another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The token it uses.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where the API is, up to and including `/client/v4`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// One JSON call to `path` below `/client/v4`.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// Deploys a worker to one environment.
    pub async fn deploy(&self, service: &str, environment: &str, worker: &Worker) -> Answer {
        self.upload(service, environment, worker, None).await
    }

    /// Deploys a worker once, however often it is asked for under this key.
    pub async fn deploy_once(&self, service: &str, environment: &str, worker: &Worker, key: &str) -> Answer {
        self.upload(service, environment, worker, Some(key)).await
    }

    async fn upload(&self, service: &str, environment: &str, worker: &Worker, key: Option<&str>) -> Answer {
        let path = format!("/accounts/{}/workers/services/{service}/environments/{environment}", self.account);
        let mut request = self.request(Method::PUT, &path);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        match worker.form() {
            Ok(form) => answer(request.multipart(form)).await,
            Err(error) => Answer::Refused(StatusCode::BAD_REQUEST, format!("{error:#}")),
        }
    }

    /// The messages of a service's deployments, newest first; the node keeps the last [`DEPLOYMENTS_KEPT`].
    ///
    /// # Errors
    /// When the node does not list them.
    pub async fn deployed(&self, service: &str) -> Result<Vec<String>> {
        let environment = format!("/accounts/{}/workers/services/{service}/environments/production", self.account);
        let path = format!("{environment}/deployments?per_page={DEPLOYMENTS_KEPT}");
        let listed = self.call(Method::GET, &path, None).await.done()?;
        let deployments = listed["deployments"].as_array().context("a list of deployments")?;
        Ok(deployments.iter().map(|one| one["annotations"][MESSAGE].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Creates a KV namespace and returns its id.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn create_kv(&self, title: &str) -> Result<String> {
        let path = format!("/accounts/{}/storage/kv/namespaces", self.account);
        let made = self.call(Method::POST, &path, Some(json!({ "title": title }))).await.done()?;
        Ok(made["id"].as_str().context("a namespace has an id")?.to_owned())
    }

    /// Writes one KV value.
    pub async fn put_kv(&self, namespace: &str, key: &str, value: String) -> Answer {
        answer(self.request(Method::PUT, &self.kv_path(namespace, key)).body(value)).await
    }

    /// Reads one KV value; `None` when there is none.
    ///
    /// # Errors
    /// When the node does not answer, or with anything but the value or 404.
    pub async fn get_kv(&self, namespace: &str, key: &str) -> Result<Option<String>> {
        let response = self.request(Method::GET, &self.kv_path(namespace, key)).send().await?;
        match response.status() {
            StatusCode::OK => Ok(Some(response.text().await?)),
            StatusCode::NOT_FOUND => Ok(None),
            status => bail!("reading {key} gave {status}"),
        }
    }

    fn kv_path(&self, namespace: &str, key: &str) -> String {
        format!("/accounts/{}/storage/kv/namespaces/{namespace}/values/{key}", self.account)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }
}

/// Sends a request and sorts what comes back.
async fn answer(request: RequestBuilder) -> Answer {
    let Ok(response) = request.send().await else { return Answer::Unknown };
    let status = response.status();
    let Ok(text) = response.text().await else { return Answer::Unknown };
    match serde_json::from_str::<Value>(&text) {
        Ok(mut envelope) if status.is_success() && envelope["success"] == true => {
            Answer::Done(envelope["result"].take())
        }
        _ if status.is_success() || status == StatusCode::GATEWAY_TIMEOUT => Answer::Unknown,
        _ => Answer::Refused(status, text),
    }
}

/// A worker to deploy.
#[derive(Debug, Clone)]
pub struct Worker {
    main_module: &'static str,
    content_type: &'static str,
    code: Vec<u8>,
    bindings: Vec<Value>,
    limits: Value,
    annotations: Value,
}

impl Worker {
    /// A worker of one ES module.
    #[must_use]
    pub fn module(source: &str) -> Self {
        Self {
            main_module: "index.js",
            content_type: "application/javascript+module",
            code: source.as_bytes().to_vec(),
            bindings: Vec::new(),
            limits: json!({}),
            annotations: json!({}),
        }
    }

    /// A WASI component.
    #[must_use]
    pub fn component(code: Vec<u8>) -> Self {
        Self {
            main_module: "component.wasm",
            content_type: "application/wasm+component",
            code,
            bindings: Vec::new(),
            limits: json!({}),
            annotations: json!({}),
        }
    }

    /// Adds a binding as the upload's metadata writes it.
    #[must_use]
    pub fn bind(mut self, binding: Value) -> Self {
        self.bindings.push(binding);
        self
    }

    /// Allows one event this much CPU time.
    #[must_use]
    pub fn cpu_ms(mut self, cpu_ms: u32) -> Self {
        self.limits["cpu_ms"] = cpu_ms.into();
        self
    }

    /// What the author says about the deploy.
    #[must_use]
    pub fn message(mut self, text: &str) -> Self {
        self.annotations[MESSAGE] = text.into();
        self
    }

    fn form(&self) -> Result<Form> {
        let metadata = json!({
            "main_module": self.main_module,
            "compatibility_date": "2026-01-01",
            "bindings": self.bindings,
            "limits": self.limits,
            "annotations": self.annotations,
        });
        let metadata = Part::text(metadata.to_string()).mime_str("application/json")?;
        let code = Part::bytes(self.code.clone()).file_name(self.main_module).mime_str(self.content_type)?;
        Ok(Form::new().part("metadata", metadata).part(self.main_module, code))
    }
}
