//! A program that ends when the one that started it does, even by SIGKILL.
//!
//! **Owns** the tie between the two processes. **Must not know** which program. **Enter at** [`command`].
//!
//! The kernel tells a process of its parent's end only if that process asks (`prctl(2)`, `PR_SET_PDEATHSIG`). To ask
//! between `fork` and `exec` takes unsafe code. So the child is this very program first: it asks, then becomes the
//! other, which keeps what was asked for. Linux alone has this; elsewhere the other program is started as any.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use tokio::process::Command;

/// The subcommand under which [`become_program`] is reached.
const NAME: &str = "__tied";

#[derive(Debug, Args)]
pub(crate) struct TiedArgs {
    /// The process to end with
    parent: i32,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// A command that runs `program` and ends it with SIGTERM when this process ends. To be spawned by the main thread: the
/// tie is to the thread that spawns.
pub(super) fn command(program: &Path) -> std::io::Result<Command> {
    if !cfg!(target_os = "linux") {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(NAME).arg(std::process::id().to_string()).arg("--").arg(program);
    Ok(command)
}

/// Asks to be told of the parent's end, and becomes the program.
pub(crate) fn become_program(args: &TiedArgs) -> anyhow::Result<Infallible> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::TERM))?;
        // A parent that ended before this asked will send nothing any more.
        let parent = getppid().map(|parent| parent.as_raw_nonzero().get());
        anyhow::ensure!(parent == Some(args.parent), "skerry ended before its node began");
    }
    let (program, rest) = args.program.split_first().context("no program was named")?;
    let error = std::process::Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("{} cannot be started", Path::new(program).display()))
}
