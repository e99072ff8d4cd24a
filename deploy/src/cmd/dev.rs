//! `skerry dev`
//!
//! **Owns** the loop: build, deploy, print logs, wait for a change. **Must not know** how either is done. **Enter at**
//! [`run`].
//!
//! ```text
//! Starting --ready--> Building --ok--> Serving --change--> Building
//!                        `--error--> Waiting --change--> Building
//! ```
//! - change: contents differ from those that were built ([`Watch`]); a save of the same is none.
//! - error: shown, and whatever was live stays live. Whatever may be its cause is watched from then on.
//! - the log's connection breaks, in any state: told, and opened again while waiting.
//! - Ctrl-C (or SIGTERM, SIGHUP) in any state: what goes on is dropped, the node is stopped, the command ends; a second
//!   one does not wait for the node.
//! - the node ends: the command fails, for there is nothing left to serve from.
//!
//! Every save goes live, and `.dev.vars` with it. So the node is one of our own, whatever SKERRY_API says; with
//! `--remote` it is a cluster's, after a question and never in production.

mod own;

mod watch;

mod baseline;

mod contents;

mod scope;

mod vars;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::deploy;
use super::tail::Log;
use crate::bundle::Mode;
use crate::client::path::EnvironmentPath;
use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::release::{self, Parents, Release, UploadArgs};
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
    let mut session = Session { node, log: None };
    let served = signals.race(session.serve(context, args)).await;
    // A second signal ends this too; a node that is dropped is killed.
    signals.race(session.end(context)).await;
    served.unwrap_or(Ok(()))
}

/// What is open while the project is served.
struct Session {
    node: Option<OwnNode>,
    log: Option<Log>,
}

impl Session {
    /// Builds, deploys and prints logs; comes back only with an error.
    async fn serve(&mut self, context: &Context, args: &DevArgs) -> anyhow::Result<()> {
        let mut watch = Watch::new(args.data_dir.as_deref())?;
        loop {
            let built = build(context, args, self.node.is_some()).await;
            let live = match &built {
                Ok(release) => self.go_live(context, release).await,
                Err(_) => Ok(()),
            };
            let failure = built.as_ref().err().or(live.as_ref().err());
            if let Some(error) = failure {
                context.out.note(format!("error: {error:#}"));
            }
            watch.follow(context, args.script.as_deref(), built.as_ref().ok(), failure);
            context.out.note("Waiting for a change; Ctrl-C ends");
            self.wait(context, &mut watch).await?;
        }
    }

    /// Deploys once, and sees to it that the log is followed.
    async fn go_live(&mut self, context: &Context, release: &Release) -> anyhow::Result<()> {
        let deployed = deploy::publish(context, release, false).await?.result;
        let path = deploy::path_of(context, &release.plan).await?;
        if self.log.is_none() {
            self.log = Some(Log::open(context, &path, json!([])).await?);
        }
        context.out.note(format!("Version {} is live", deployed.version_number));
        match &self.node {
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
        Ok(())
    }

    /// Prints logs until something changes.
    async fn wait(&mut self, context: &Context, watch: &mut Watch) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = watch.changed() => return Ok(()),
                refusal = print(context, &mut self.log) => {
                    context.out.note(format!("The log is not followed until the next deploy: {refusal:#}"));
                    self.log = None;
                }
                ended = ended(&mut self.node) => anyhow::bail!(ended),
            }
        }
    }

    async fn end(self, context: &Context) {
        if let Some(log) = self.log {
            log.close(context).await;
        }
        if let Some(node) = self.node {
            node.stop().await;
        }
    }
}

/// Builds once, for a node of our own or for a cluster.
async fn build(context: &Context, args: &DevArgs, is_own: bool) -> anyhow::Result<Release> {
    let upload = UploadArgs { script: args.script.clone(), var: args.var.clone(), ..UploadArgs::default() };
    // Nothing but this project is live on a node of our own.
    let parents = if is_own { Parents::None } else { Parents::Live };
    let mut release = release::prepare(context, &upload, Mode::Development, parents).await?;
    let env = context.global.env.as_deref();
    vars::add(&mut release, env, &args.var)?;
    if is_own {
        release.plan.name_namespaces_by_title();
        // This node's secrets come from the file alone, so a line that was taken out of it is gone.
        release.extras.keep_secrets = false;
        if let Some(missing) = vars::go_without(&mut release, env) {
            context.out.note(missing);
        }
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

/// Prints what is logged, over as many connections as it takes, until the API refuses another.
async fn print(context: &Context, log: &mut Option<Log>) -> anyhow::Error {
    let Some(log) = log else { return std::future::pending().await };
    loop {
        match log.next(context, "The log's connection broke; events meanwhile are not shown").await {
            Ok(event) => {
                for line in trace::lines(&event) {
                    context.out.line(line);
                }
            }
            Err(refusal) => return refusal,
        }
    }
}

async fn ended(node: &mut Option<OwnNode>) -> String {
    match node {
        Some(node) => node.ended().await,
        None => std::future::pending().await,
    }
}
