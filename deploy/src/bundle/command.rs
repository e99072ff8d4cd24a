//! Runs `[build] command`, its output shown as it comes.
//!
//! **Owns** the child process. **Must not know** what it builds. **Enter at** [`run`].

use std::path::Path;
use std::process::Stdio;

use super::BundleError;
use crate::project::BuildCommand;

/// Runs the command in a shell, in `cwd` or the project's folder. Its standard output goes to our standard error, so
/// that `--json` stays one document.
pub(super) async fn run(build: &BuildCommand, dir: &Path) -> Result<(), BundleError> {
    let failed = |status: String| BundleError::Command { command: build.command.clone(), status };
    let cwd = dir.join(build.cwd.as_deref().unwrap_or("."));
    let mut command = tokio::process::Command::new("sh");
    command.arg("-c").arg(&build.command).current_dir(cwd).kill_on_drop(true);
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status().await;
    let status = status.map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}
