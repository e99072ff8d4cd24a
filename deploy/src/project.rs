//! The project file: `wrangler.toml`, `wrangler.jsonc` or `wrangler.json`.
//!
//! **Owns** finding the file and what it means. **Must not know** the API or bundling. **Enter at** [`Project::load`].

mod plan;

mod settings;

mod triggers;

pub(crate) mod section;

mod rules;

pub(crate) mod tree;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(crate) use self::plan::{NamespacePlan, Plan};
#[cfg(test)]
pub(crate) use self::rules::Rule;
pub(crate) use self::rules::{ModuleKind, Rules};
use self::section::Findings;
pub(crate) use self::section::Problem;
pub(crate) use self::settings::{BuildCommand, BuildSettings, File};
use self::tree::Syntax;

/// The names a project file may have, the first found wins; wrangler's order.
const NAMES: [&str; 3] = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/// A project file that was read.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The file itself.
    pub(crate) path: PathBuf,
    /// The folder it lies in; every path in the file is relative to it.
    pub(crate) dir: PathBuf,
    pub(crate) file: File,
    /// Keys that were understood and have no effect here.
    pub(crate) notices: Vec<Problem>,
}

/// Why a project file was refused. State: unchanged. Retry: no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    /// The file can not be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML or JSON.
    #[error("{}:{line}: {text}", path.display())]
    Syntax { path: PathBuf, line: usize, text: String },
    /// Keys that are unknown or have an impossible value.
    #[error("{}", list(path, problems))]
    Keys { path: PathBuf, problems: Vec<Problem> },
}

fn list(path: &Path, problems: &[Problem]) -> String {
    let lines = problems
        .iter()
        .map(|problem| format!("{}:{}: {}: {}", path.display(), problem.line, problem.key, problem.text));
    lines.collect::<Vec<_>>().join("\n")
}

impl Project {
    /// Reads `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, ProjectError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProjectError::Unreadable { path: path.to_owned(), source })?;
        let (file, notices) = read(&text, path)?;
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self { path: path.to_owned(), dir, file, notices })
    }

    /// The project file of `start` or of the nearest folder above it.
    pub(crate) fn find(start: &Path) -> Option<PathBuf> {
        start.ancestors().flat_map(|dir| NAMES.map(|name| dir.join(name))).find(|path| path.is_file())
    }
}

/// Reads the text of the file that lies at `path`; its ending names its syntax.
pub(crate) fn read(text: &str, path: &Path) -> Result<(File, Vec<Problem>), ProjectError> {
    let syntax = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json" | "jsonc") => Syntax::Jsonc,
        _ => Syntax::Toml,
    };
    let root = tree::parse(text, syntax).map_err(|error| ProjectError::Syntax {
        path: path.to_owned(),
        line: error.line,
        text: error.text,
    })?;
    let findings = Findings::default();
    let file = settings::read(&root, &findings);
    let mut problems = findings.errors.into_inner();
    if problems.is_empty() {
        return Ok((file, findings.notices.into_inner()));
    }
    problems.sort_by_key(|problem| problem.line);
    Err(ProjectError::Keys { path: path.to_owned(), problems })
}
