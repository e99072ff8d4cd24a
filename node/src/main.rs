//! `skerry-node`: the server program.
//!
//! **Owns** the command line, signals and exit codes. **Must not know** how a node is built. **Enter at** [`Arguments`].

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use skerry_node::{
    app::App,
    bindings::egress,
    command::{backup, init},
    config::{Config, LogFormat, Settings},
    descriptors,
    ingress::Sockets,
    task, telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

/// One node of a Skerry cluster
#[derive(Debug, Parser)]
#[command(name = "skerry-node", version, args_conflicts_with_subcommands = false)]
struct Arguments {
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "SKERRY_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented configuration file
    Init {
        /// Where; refuses to overwrite
        #[arg(default_value = "skerry.toml", value_name = "FILE")]
        file: PathBuf,
    },
    /// Check the configuration and print what it comes to
    CheckConfig,
    /// Back up a stopped node: the catalog, all code, the cluster's key, and the KV entries that this node keeps
    Backup {
        /// The file to make; only its owner can read it
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Make an empty or new data directory the first node of a new cluster, out of a backup
    Restore {
        /// A backup, from here or from `skerry cluster backup`
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The data directory of an old node, or one with its cluster.key; for a backup without keys
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skerry-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(Command::Init { file }) = &arguments.command {
        init::write(file)?;
        println!("wrote {}", file.display());
        return Ok(());
    }
    let config = Config::resolve(arguments.config.as_deref(), arguments.settings)?;
    match arguments.command {
        None | Some(Command::Init { .. }) => serve(config),
        Some(Command::CheckConfig) => {
            println!("{config:#?}");
            Ok(())
        }
        Some(Command::Backup { output }) => {
            println!("{}", event_loop()?.block_on(backup::backup(&config.data_dir, &output))?);
            Ok(())
        }
        Some(Command::Restore { from, keys }) => {
            println!("{}", event_loop()?.block_on(backup::restore(&from, keys.as_deref(), &config.data_dir))?);
            Ok(())
        }
    }
}

fn event_loop() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("skerry").build();
    runtime.context("the event loop can not be started")
}

fn serve(config: Config) -> anyhow::Result<()> {
    let _flush = telemetry::start(config.log_format, &config.log)?;
    descriptors::check(descriptors::raise(), config.ingress.connections_max, egress::CONNECTIONS_MAX);
    event_loop()?.block_on(async {
        // Before the start, so that a signal during a long one is not lost.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut sockets = Sockets::default();
        let app = loop {
            let app = App::build(config.clone(), &mut sockets).await?;
            match config.log_format {
                LogFormat::Json => println!("{}", app.ready().json()),
                LogFormat::Text => println!("{}", app.ready()),
            }
            tokio::select! {
                _ = terminate.recv() => break app,
                _ = interrupt.recv() => break app,
                () = app.restart_wanted() => app.stop().await,
            }
        };
        // From here on new connections are refused and not kept waiting.
        drop(sockets);
        // Whoever insists does not wait for the drain.
        let _second = task::spawn("second signal", async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(1);
        });
        app.stop().await;
        Ok(())
    })
}
