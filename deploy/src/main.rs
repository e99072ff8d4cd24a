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

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cmd::Cli::parse();
    let outcome = cmd::run(cli).await.and_then(|()| match output::unwritten() {
        None => Ok(()),
        Some(error) => Err(anyhow::anyhow!("the output could not be written whole: {error}")),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The whole chain, once, on one line where it fits: `{:#}` joins causes with colons. Whoever reads errors may be
            // gone, too.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(exit::code(&error))
        }
    }
}
