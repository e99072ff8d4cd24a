//! The commands, one group per file.
//!
//! **Owns** their names, flags and printed results. **Must not know** HTTP. **Enter at** [`Cli`].

mod audit;
mod cluster;
mod completions;
mod configure;
mod delete;
mod deploy;
mod deployments;
mod dev;
mod diff;
mod doctor;
mod domain;
mod env;
mod init;
mod kv;
mod pipeline;
mod promote;
mod rollback;
mod route;
mod secret;
mod service;
mod status;
mod tail;
mod token;
mod var;
mod versions;

use clap::{Parser, Subcommand};

use crate::context::{Context, Global};
use crate::node::tied;

/// Deploys and operates services on a Skerry cluster.
#[derive(Debug, Parser)]
#[command(name = "skerry", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the project from a local node, again after every change
    Dev(dev::DevArgs),
    /// Make a new project
    Init(init::InitArgs),
    /// Build the project and make it live
    Deploy(deploy::DeployArgs),
    /// Delete the service, or with --env one environment of it
    Delete(delete::DeleteArgs),
    /// Show logs as they happen
    Tail(tail::TailArgs),
    /// Make an earlier version live again
    Rollback(rollback::RollbackArgs),
    /// Move the code of one environment to another
    Promote(promote::PromoteArgs),
    /// Make a new environment that starts as a copy
    Clone(env::CloneArgs),
    /// Compare two environments
    Diff(diff::DiffArgs),
    /// Show the node, the token, and the project's environments
    Status(status::StatusArgs),
    /// Look for what stands in the way of a deploy
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Services
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Environments of a service
    #[command(subcommand)]
    Env(env::EnvCommand),
    /// Versions of an environment
    #[command(subcommand)]
    Versions(versions::VersionsCommand),
    /// Deployments of an environment
    #[command(subcommand)]
    Deployments(deployments::DeploymentsCommand),
    /// The stages that promotions follow
    #[command(subcommand)]
    Pipeline(pipeline::PipelineCommand),
    /// Secrets: written once, never shown again
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Variables
    #[command(subcommand)]
    Var(var::VarCommand),
    /// Key-value storage
    #[command(subcommand)]
    Kv(kv::KvCommand),
    /// URL patterns that an environment answers
    #[command(subcommand)]
    Route(route::RouteCommand),
    /// Whole hostnames that an environment answers
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    /// API tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Who changed what, and when
    Audit(audit::AuditArgs),
    /// The machines that the platform runs on
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Not for people: how `dev` starts its node
    #[command(name = "__tied", hide = true)]
    Tied(tied::TiedArgs),
}

/// Runs one command to its end.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<()> {
    let context = Context::new(cli.global);
    match cli.command {
        Command::Dev(args) => dev::run(&context, args).await,
        Command::Init(args) => init::run(&context, args),
        Command::Deploy(args) => deploy::run(&context, args).await,
        Command::Delete(args) => delete::run(&context, args).await,
        Command::Tail(args) => tail::run(&context, args).await,
        Command::Rollback(args) => rollback::run(&context, args).await,
        Command::Promote(args) => promote::run(&context, args).await,
        Command::Clone(args) => env::clone(&context, args).await,
        Command::Diff(args) => diff::run(&context, args).await,
        Command::Status(args) => status::run(&context, args).await,
        Command::Doctor(args) => doctor::run(&context, args).await,
        Command::Completions(args) => completions::run(&context, args),
        Command::Service(command) => service::run(&context, command).await,
        Command::Env(command) => env::run(&context, command).await,
        Command::Versions(command) => versions::run(&context, command).await,
        Command::Deployments(command) => deployments::run(&context, command).await,
        Command::Pipeline(command) => pipeline::run(&context, command).await,
        Command::Secret(command) => secret::run(&context, command).await,
        Command::Var(command) => var::run(&context, command).await,
        Command::Kv(command) => kv::run(&context, command).await,
        Command::Route(command) => route::run(&context, command).await,
        Command::Domain(command) => domain::run(&context, command).await,
        Command::Token(command) => token::run(&context, command).await,
        Command::Audit(args) => audit::run(&context, args).await,
        Command::Cluster(command) => cluster::run(&context, command).await,
        Command::Tied(args) => tied::become_program(&args).map(|never| match never {}),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn no_command_has_flags_that_contradict_each_other() {
        Cli::command().debug_assert();
    }

    /// clap tells arguments apart by their id alone, and a global one silently takes a namesake's value.
    #[test]
    fn no_command_has_an_argument_named_like_a_global_flag() {
        fn check(command: &clap::Command, globals: &[String]) {
            for inner in command.get_subcommands() {
                for argument in inner.get_arguments() {
                    let name = argument.get_id().to_string();
                    assert!(!globals.contains(&name), "{} {name}", inner.get_name());
                }
                check(inner, globals);
            }
        }
        let root = Cli::command();
        let globals: Vec<_> = root.get_arguments().map(|argument| argument.get_id().to_string()).collect();
        assert!(globals.contains(&"token".to_owned()));
        check(&root, &globals);
    }
}
