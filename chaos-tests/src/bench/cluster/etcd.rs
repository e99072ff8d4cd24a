//! etcd, from Debian: three members on loopback.
//!
//! **Owns** starting and stopping them, and how a key is put over HTTP. **Must not know** what it is compared with. **Enter
//! at** [`Etcd`].

use std::{net::SocketAddr, path::Path, process::Stdio, sync::Arc};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::writes::Store;
use crate::{bench::peer::free_address, cluster::until, programs::Programs, visitor::Visitor};

/// As many as there are voters.
const MEMBERS: usize = 3;

/// Running members. Killed when dropped.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Child>,
    clients: Vec<SocketAddr>,
}

impl Etcd {
    /// Three new members with their data in `folder`. Returns once they have a leader.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(programs: &Programs, folder: &Path) -> Result<Self> {
        let program = programs.etcd()?;
        let (mut clients, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..MEMBERS {
            clients.push(free_address()?);
            peers.push(free_address()?);
        }
        let list: Vec<_> = peers.iter().enumerate().map(|(at, peer)| format!("m{at}=http://{peer}")).collect();
        let list = list.join(",");
        let mut members = Vec::new();
        for at in 0..MEMBERS {
            let (client, peer) = (format!("http://{}", clients[at]), format!("http://{}", peers[at]));
            let mut command = Command::new(&program);
            command
                .args(["--name", &format!("m{at}")])
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &list, "--logger", "zap", "--log-level", "error"])
                .arg("--data-dir")
                .arg(folder.join(format!("etcd-{at}")));
            let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            members.push(silent.kill_on_drop(true).spawn().context("start etcd")?);
        }
        let etcd = Self { members, clients };
        until("etcd has a leader", async || {
            let status = ask(*etcd.clients.last()?, "/v3/maintenance/status", &json!({})).await.ok()?;
            (status["leader"].as_str()? != "0").then_some(())
        })
        .await?;
        Ok(etcd)
    }

    /// Each connection puts a key of its own, over the HTTP that etcd serves beside gRPC.
    ///
    /// # Errors
    /// When a member has exited.
    pub fn store(&self, writers: usize) -> Result<Store> {
        let processes = self.members.iter().map(|member| member.id().context("etcd has exited"));
        let keys: Vec<_> = (0..writers).map(|writer| STANDARD.encode(format!("writer {writer}"))).collect();
        let write = move |writer: usize, number: u64| {
            let key = keys.get(writer).context("each writer has a key")?;
            request("/v3/kv/put", &json!({ "key": key, "value": STANDARD.encode(format!("number {number}")) }))
        };
        Ok(Store {
            addresses: self.clients.clone(),
            processes: processes.collect::<Result<_>>()?,
            write: Arc::new(write),
        })
    }
}

fn request(path: &str, body: &Value) -> Result<Request<Full<Bytes>>> {
    let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
    Ok(request.body(Full::from(body.to_string()))?)
}

async fn ask(address: SocketAddr, path: &str, body: &Value) -> Result<Value> {
    let answer = Visitor::connect(address).await?.send(request(path, body)?).await?;
    ensure!(answer.status == StatusCode::OK, "etcd answered {answer:?}");
    serde_json::from_slice(&answer.body).context("etcd answers JSON")
}
