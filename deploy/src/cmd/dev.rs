//! `skerry dev`
//!
//! **Owns** the loop: build, deploy, print logs, wait for a change. **Must not know** how either is done. **Enter at**
//! [`run`].
//!
//! ```text
//! Starting --ready--> Building --ok--> Serving --change--> Building
//!                        `--error--> Waiting --change--> Building
//! ```
//! - error: shown, and whatever was live stays live.
//! - Ctrl-C (or SIGTERM, SIGHUP) in any state: what goes on is dropped, the node is stopped, the command ends; a second
//!   one does not wait for the node.
//! - the node ends: the command fails, for there is nothing left to serve from.
//!
//! Every save goes live, and `.dev.vars` with it. So the node is one of our own, whatever SKERRY_API says; with
//! `--remote` it is a cluster's, after a question and never in production.

mod own;

mod watch;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::deploy;
use super::tail::Tail;
use crate::bundle::Mode;
use crate::client::path::EnvironmentPath;
use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::release::{self, Release, UploadArgs};
use crate::signals::Signals;
use crate::trace;
use own::OwnNode;
use watch::Watch;

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The entry, instead of the project file's `main`
    #[arg(value_name = "SCRIPT")]
    script: Option<PathBuf>,
    /// Where the node started here answers; 0 picks a free port
    #[arg(long, default_value_t = 8787, conflicts_with = "remote")]
    port: u16,
    /// Keep the node's data here between runs [default: a temporary folder]
    #[arg(long, value_name = "DIR", conflicts_with = "remote")]
    data_dir: Option<PathBuf>,
    /// A variable over the project file's
    #[arg(long, value_name = "NAME=VALUE", value_parser = release::assignment)]
    var: Vec<(String, String)>,
    /// Serve from the cluster that --api names, in the environment that --env names
    #[arg(long)]
    remote: bool,
}

pub(crate) async fn run(context: &Context, args: DevArgs) -> anyhow::Result<()> {
    if args.remote {
        agree(context).await?;
        let mut signals = Signals::listen()?;
        return run_at(context, &args, None, &mut signals).await;
    }
    let mut signals = Signals::listen()?;
    let started = {
        let _progress = context.out.progress("Starting skerry-node");
        signals.race(OwnNode::start(args.data_dir.clone(), args.port)).await
    };
    let Some(node) = started else { return Ok(()) };
    let node = node?;
    context.out.note(format!("skerry-node answers at http://{} (API {})", node.http, node.api));
    let local = context.at_node(node.api.clone(), node.token.clone(), node.ca.clone())?;
    run_at(&local, &args, Some(node), &mut signals).await
}

/// Asks whether a cluster shall get every save.
async fn agree(context: &Context) -> anyhow::Result<()> {
    let environment = context.environment()?;
    if environment.is_production() {
        let text = "--remote: every save would go live in production; name another environment with --env";
        return Err(Usage(text.to_owned()).into());
    }
    let api = context.client().await?.api();
    context.out.confirm(&format!("Make every save live in {environment} at {api}, with .dev.vars as its secrets?"))
}

/// Serves until a signal comes, then puts everything away.
async fn run_at(context: &Context, args: &DevArgs, node: Option<OwnNode>, signals: &mut Signals) -> anyhow::Result<()> {
    let mut session = Session { node, tail: None };
    let served = signals.race(session.serve(context, args)).await;
    // A second signal ends this too; a node that is dropped is killed.
    signals.race(session.end(context)).await;
    served.unwrap_or(Ok(()))
}

/// What is open while the project is served.
struct Session {
    node: Option<OwnNode>,
    tail: Option<Tail>,
}

impl Session {
    /// Builds, deploys and prints logs; comes back only with an error.
    async fn serve(&mut self, context: &Context, args: &DevArgs) -> anyhow::Result<()> {
        let mut watch = Watch::new()?;
        loop {
            match round(context, args, self.node.as_ref(), &mut self.tail).await {
                Ok(release) => watch.follow(&release),
                Err(error) => {
                    context.out.note(format!("error: {error:#}"));
                    watch.follow_project(context);
                }
            }
            context.out.note("Waiting for a change; Ctrl-C ends");
            self.wait(context, &mut watch).await?;
        }
    }

    /// Prints logs until something changes.
    async fn wait(&mut self, context: &Context, watch: &mut Watch) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = watch.changed() => return Ok(()),
                event = next(&mut self.tail) => match event {
                    Some(event) => for line in trace::lines(&event) {
                        context.out.line(line);
                    },
                    // It is opened again with the next deploy.
                    None => self.tail = None,
                },
                ended = ended(&mut self.node) => anyhow::bail!(ended),
            }
        }
    }

    async fn end(self, context: &Context) {
        if let Some(tail) = self.tail {
            tail.close(context).await;
        }
        if let Some(node) = self.node {
            node.stop().await;
        }
    }
}

/// Builds and deploys once, and sees to it that the log is followed.
async fn round(
    context: &Context,
    args: &DevArgs,
    node: Option<&OwnNode>,
    tail: &mut Option<Tail>,
) -> anyhow::Result<Release> {
    let upload = UploadArgs { script: args.script.clone(), var: args.var.clone(), ..UploadArgs::default() };
    let mut release = release::prepare(context, &upload, Mode::Development).await?;
    // wrangler's file for secrets of local development.
    let dev_vars = release.dir.join(".dev.vars");
    if dev_vars.is_file() {
        release.extras.secrets.extend(release::secrets_in(&dev_vars)?);
    }
    if node.is_some() {
        release.plan.name_namespaces_by_title();
    }
    let deployed = deploy::publish(context, &release, false).await?.result;
    let path = deploy::path_of(context, &release.plan).await?;
    if tail.is_none() {
        *tail = Some(Tail::open(context, &path, &json!([])).await?);
    }
    context.out.note(format!("Version {} is live", deployed.version_number));
    match node {
        Some(node) => {
            answer_at_localhost(context, &path).await?;
            let port = node.http.rsplit(':').next().unwrap_or_default();
            context.out.note(format!("  http://localhost:{port}/"));
            for hostname in &deployed.hostnames {
                context.out.note(format!("  http://{hostname}:{port}/"));
            }
        }
        None => deploy::urls(context, &deployed.hostnames).await,
    }
    Ok(release)
}

/// Makes the project answer at the node's own address, too, where a browser is pointed first. A deploy may have replaced the
/// routes by the project file's.
async fn answer_at_localhost(context: &Context, path: &EnvironmentPath) -> anyhow::Result<()> {
    let client = context.client().await?;
    let there = client.send::<Vec<model::Route>>(Call::get(path.below(&["routes"]))).await?.result;
    for pattern in ["localhost/*", "127.0.0.1/*"] {
        if there.iter().any(|route| route.pattern == pattern) {
            continue;
        }
        let call = Call::post(path.below(&["routes"])).json(json!({ "pattern": pattern }));
        match client.send::<model::Route>(call).await {
            Ok(_added) => {}
            // Another environment was served from the same directory before.
            Err(error) if error.is_refusal() => context.out.note(format!("{pattern} stays where it is: {error}")),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn next(tail: &mut Option<Tail>) -> Option<Value> {
    match tail {
        Some(tail) => tail.next().await,
        None => std::future::pending().await,
    }
}

async fn ended(node: &mut Option<OwnNode>) -> String {
    match node {
        Some(node) => node.ended().await,
        None => std::future::pending().await,
    }
}
