//! `skerry dev`
//!
//! **Owns** the loop: build, deploy, print logs, wait for a change. **Must not know** how either is done. **Enter at**
//! [`run`].
//!
//! ```text
//! Building --ok--> Serving --change--> Building
//!    `--error--> Waiting --change--> Building
//! ```
//! - error: shown, and whatever was live stays live.  - Ctrl-C in any state: stop the node, end.
//! - the node ends: the command fails, for there is nothing left to serve from.

mod watch;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::deploy;
use super::tail::Tail;
use crate::bundle::Mode;
use crate::context::Context;
use crate::node::{LocalNode, NodeConfig};
use crate::release::{self, Release, UploadArgs};
use crate::trace;
use watch::Watch;

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The entry, instead of the project file's `main`
    #[arg(value_name = "SCRIPT")]
    script: Option<PathBuf>,
    /// Where the node started here answers; 0 picks a free port
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Keep the node's data here between runs [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A variable over the project file's
    #[arg(long, value_name = "NAME=VALUE", value_parser = release::assignment)]
    var: Vec<(String, String)>,
}

pub(crate) async fn run(context: &Context, args: DevArgs) -> anyhow::Result<()> {
    if context.names_a_node()? {
        return serve(context, &args, None).await.map(|_| ());
    }
    let node = {
        let _progress = context.out.progress("Starting skerry-node");
        LocalNode::start(NodeConfig { data_dir: args.data_dir.clone(), port: args.port }).await?
    };
    let local = context.with_node(node.api.clone(), node.token.clone(), Some(node.ca.clone()));
    let http = node.http.clone();
    context.out.note(format!("skerry-node answers at http://{http} (API {})", node.api));
    if let Some(node) = serve(&local, &args, Some(node)).await? {
        node.stop().await;
    }
    Ok(())
}

/// Runs until Ctrl-C, and gives the node back so that it can be stopped in order.
async fn serve(context: &Context, args: &DevArgs, mut node: Option<LocalNode>) -> anyhow::Result<Option<LocalNode>> {
    let mut watch = Watch::new()?;
    let mut tail: Option<Tail> = None;
    loop {
        match round(context, args, node.as_ref(), &mut tail).await {
            Ok(release) => watch.follow(&release),
            Err(error) => {
                context.out.note(format!("error: {error:#}"));
                watch.follow_project(context);
            }
        }
        context.out.note("Waiting for a change; Ctrl-C ends");
        loop {
            tokio::select! {
                () = watch.changed() => break,
                event = next(&mut tail) => match event {
                    Some(event) => for line in trace::lines(&event) {
                        context.out.line(line);
                    },
                    // It is opened again with the next deploy.
                    None => tail = None,
                },
                ended = ended(&mut node) => anyhow::bail!(ended),
                _ = tokio::signal::ctrl_c() => {
                    if let Some(tail) = tail {
                        tail.close(context).await;
                    }
                    return Ok(node);
                }
            }
        }
    }
}

/// Builds and deploys once, and sees to it that the log is followed.
async fn round(
    context: &Context,
    args: &DevArgs,
    node: Option<&LocalNode>,
    tail: &mut Option<Tail>,
) -> anyhow::Result<Release> {
    let upload = UploadArgs { script: args.script.clone(), var: args.var.clone(), ..UploadArgs::default() };
    let mut release = release::prepare(context, &upload, Mode::Development).await?;
    // wrangler's file for secrets of local development.
    let dev_vars = release.dir.join(".dev.vars");
    if dev_vars.is_file() {
        release.extras.secrets.extend(release::secrets_in(&dev_vars)?);
    }
    let deployed = deploy::publish(context, &release, false).await?.result;
    if tail.is_none() {
        let path = deploy::path_of(context, &release.plan).await?;
        *tail = Some(Tail::open(context, &path, &json!([])).await?);
    }
    context.out.note(format!("Version {} is live", deployed.version_number));
    match node {
        Some(node) => {
            let port = node.http.rsplit(':').next().unwrap_or_default();
            for hostname in &deployed.hostnames {
                context.out.note(format!("  http://{hostname}:{port}/"));
            }
        }
        None => deploy::urls(context, &deployed.hostnames).await,
    }
    Ok(release)
}

async fn next(tail: &mut Option<Tail>) -> Option<Value> {
    match tail {
        Some(tail) => tail.next().await,
        None => std::future::pending().await,
    }
}

async fn ended(node: &mut Option<LocalNode>) -> String {
    match node {
        Some(node) => node.ended().await,
        None => std::future::pending().await,
    }
}
