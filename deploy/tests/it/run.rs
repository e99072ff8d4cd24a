//! One run of the built program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// A folder that is both home and working directory of the runs in it.
pub(crate) struct Workspace {
    dir: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workspace {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let workspace = Self { dir: tempfile::tempdir().unwrap(), environment: Vec::new() };
        for (path, text) in files {
            workspace.write(path, text);
        }
        workspace
    }

    /// As [`Workspace::new`], with runs that talk to `api` with a token.
    pub(crate) fn talking_to(api: &str, files: &[(&str, &str)]) -> Self {
        let mut workspace = Self::new(files);
        workspace.set("SKERRY_API", api);
        workspace.set("SKERRY_TOKEN", "test-token");
        workspace
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The program, ready to be started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
        command.args(args).current_dir(self.dir.path()).env_clear();
        command.env("HOME", self.dir.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.run_with(args, b"")
    }

    /// Runs with this standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Outcome {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Outcome {
    /// Checks that it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Checks the exit code and that the error names `text`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert!(self.stderr.contains(text), "{text:?} in {}", self.stderr);
        self
    }

    /// Standard output as the one document that `--json` promises.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// BOUND: far longer than a busy machine needs for anything that is waited for here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The lines of a stream, as they come.
pub(crate) fn follow(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    // BOUND: far more lines than a test run prints.
    let (sender, receiver) = mpsc::sync_channel(10_000);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Waits for a line.
#[track_caller]
pub(crate) fn until(lines: &mpsc::Receiver<String>, wanted: impl Fn(&str) -> bool) -> String {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(DEADLINE) {
            Ok(line) if wanted(&line) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("{error}; seen: {seen:#?}"),
        }
    }
}

/// Looks again and again until it finds something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let pause = Duration::from_millis(5);
    for _ in 0..DEADLINE.as_millis() / pause.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        std::thread::park_timeout(pause);
    }
    panic!("{what}: not within {DEADLINE:?}")
}

/// Sends a signal to a running program.
pub(crate) fn send(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// How a program ends that was asked to.
#[track_caller]
pub(crate) fn end(child: &mut Child) -> ExitStatus {
    wait_for("the program's end", || child.try_wait().unwrap())
}
