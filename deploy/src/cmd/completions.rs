//! `skerry completions`
//!
//! **Owns** completion scripts. **Must not know** the commands they complete. **Enter at** [`run`].

use clap::{Args, CommandFactory as _, ValueEnum};

use super::Cli;
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(context: &Context, args: CompletionsArgs) -> anyhow::Result<()> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "skerry", &mut script);
    context.out.bytes(&script);
    Ok(())
}
