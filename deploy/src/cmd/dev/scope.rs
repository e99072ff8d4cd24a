//! Which paths count for `dev`.
//!
//! **Owns** what is watched after a good build and after a failed one. **Must not know** what lies in the files, nor
//! how changes are heard of. **Enter at** [`Scope`].
//!
//! Paths are absolute and without links, because events name them so.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use super::vars;
use crate::bundle::BundleError;
use crate::context::Context;
use crate::project::{Plan, Project};
use crate::release::Release;

/// What `[build] command` is taken to read unless the project file says it; wrangler's default.
const WATCH_DIR: &str = "src";
const PACKAGES: &str = "node_modules";
/// What npm, pnpm and yarn write into `node_modules` once everything else is there. A build that failed for want of a
/// package succeeds after it, and nothing else of the project need have changed.
const INSTALLED: [&str; 4] = [".package-lock.json", ".modules.yaml", ".yarn-integrity", ".yarn-state.yml"];

/// The paths whose change means to build again.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) files: BTreeSet<PathBuf>,
    /// Everything below these counts, save what [`is_aside`].
    pub(super) trees: BTreeSet<PathBuf>,
    /// A folder in one of the trees that does not count: the node writes its data there.
    pub(super) left_out: Option<PathBuf>,
    /// Whether each build runs a command, which may itself write what counts.
    pub(super) has_command: bool,
}

impl Scope {
    /// Nothing yet. `data_dir` will never count as part of a tree.
    pub(super) fn new(data_dir: Option<&Path>) -> Self {
        Self { left_out: data_dir.map(real), ..Self::default() }
    }

    /// After a good build: what went into the release and, with a build command, what that reads.
    pub(super) fn of_release(&self, release: &Release, env: Option<&str>) -> Self {
        let mut files: BTreeSet<PathBuf> = vars::files(&release.dir, env).iter().map(|path| real(path)).collect();
        files.extend(release.file.iter().chain(&release.built.sources).map(|path| real(path)));
        Self {
            files,
            trees: command_trees(&release.plan, &release.dir).into_iter().collect(),
            left_out: self.left_out.clone(),
            has_command: release.plan.build.command.is_some(),
        }
    }

    /// After a failure: what counted before, and everything in which the cause may lie. That is the project's folder and
    /// the entry's, what was read until the build failed, and the packages.
    pub(super) fn of_failure(&self, context: &Context, script: Option<&Path>, error: &anyhow::Error) -> Self {
        let mut scope = self.clone();
        let found = || std::env::current_dir().ok().and_then(|here| Project::find(&here));
        let file = context.global.config.clone().or_else(found);
        // The folder of the file as it is named: one that is a link lies elsewhere.
        let file = file.map(|path| std::path::absolute(&path).unwrap_or(path));
        let dir = real(file.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")));
        let plan = plan(context);
        let main = plan.as_ref().and_then(|plan| plan.main.as_ref()).map(|main| dir.join(main));
        let entry = script.map(Path::to_owned).or(main).map(|path| real(&path));
        scope.trees.extend(entry.as_deref().and_then(Path::parent).map(Path::to_owned));
        if file.is_some() || entry.is_none() {
            scope.trees.insert(dir.clone());
        }
        let vars = vars::files(&dir, context.global.env.as_deref());
        scope.files.extend(file.into_iter().chain(vars).map(|path| real(&path)));
        scope.files.extend(entry.into_iter().chain(installed(&dir)));
        if let Some(plan) = &plan {
            scope.trees.extend(command_trees(plan, &dir));
            scope.has_command = plan.build.command.is_some();
        }
        let read = error.downcast_ref::<BundleError>().and_then(BundleError::sources);
        scope.files.extend(read.into_iter().flatten().map(|path| real(path)));
        scope
    }

    /// Whether a file there counts, and whether a folder there is looked into.
    pub(super) fn counts(&self, path: &Path) -> bool {
        self.files.contains(path) || self.trees.iter().any(|tree| self.is_below(tree, path))
    }

    /// Whether something that happened to `path` may have changed what counts: it does itself, or it is a folder on the
    /// way there.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        // What lies below a path follows it in the order of paths.
        let leads_to_one = |set: &BTreeSet<PathBuf>| {
            let mut from_here = set.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
            from_here.next().is_some_and(|first| first.starts_with(path))
        };
        leads_to_one(&self.files) || leads_to_one(&self.trees) || self.counts(path)
    }

    fn is_below(&self, tree: &Path, path: &Path) -> bool {
        let Ok(rest) = path.strip_prefix(tree) else { return false };
        let left_out = self.left_out.as_deref().filter(|dir| *dir != tree && dir.starts_with(tree));
        let is_left_out = left_out.is_some_and(|dir| path.starts_with(dir));
        !is_left_out && !rest.iter().any(is_aside)
    }
}

/// Names that do not count in a tree, nor what lies below: packages, which are more files than all else together; what
/// tools keep for themselves, with a dot first; logs, which grow while we look, our own among them.
fn is_aside(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name == PACKAGES.as_bytes() || name.starts_with(b".") || name.ends_with(b".log")
}

/// What the project's build command reads.
fn command_trees(plan: &Plan, dir: &Path) -> Vec<PathBuf> {
    let Some(command) = &plan.build.command else { return Vec::new() };
    match command.watch_dirs.as_slice() {
        [] => vec![real(&dir.join(WATCH_DIR))],
        named => named.iter().map(|named| real(&dir.join(named))).collect(),
    }
}

/// The plan, if the project file can be read.
fn plan(context: &Context) -> Option<Plan> {
    let project = context.project().ok()??;
    let service = context.given_service().ok()?;
    Plan::of(&project.file, service.as_ref(), &context.environment().ok()?).ok()
}

/// What tells that packages were installed: for the project, or above it for a whole workspace.
fn installed(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let folders = dir.ancestors().enumerate().map(|(height, above)| (height, above.join(PACKAGES)));
    let folders = folders.filter(|(height, folder)| *height == 0 || folder.is_dir());
    folders.flat_map(|(_, folder)| INSTALLED.map(|name| real(&folder.join(name))))
}

/// The path without links, as far as there is anything.
pub(super) fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in path.ancestors() {
        let Ok(found) = std::fs::canonicalize(there) else { continue };
        return match path.strip_prefix(there) {
            Ok(missing) if !missing.as_os_str().is_empty() => found.join(missing),
            _ => found,
        };
    }
    path
}
