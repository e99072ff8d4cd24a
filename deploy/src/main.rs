//! The `skerry` command line.
//!
//! **Owns** what a deployer types and reads. **Must not know** how the platform works: it speaks the v4 API only.
//! **Enter at** [`cmd::Cli`].

mod cmd;

mod release;

mod local;

mod node;

mod trace;

mod signals;

mod context;

mod output;

mod exit;

mod client;

mod bundle;

mod project;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cmd::Cli::parse();
    match cmd::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The whole chain, once, on one line where it fits: `{:#}` joins causes with colons.
            eprintln!("error: {error:#}");
            ExitCode::from(exit::code(&error))
        }
    }
}
