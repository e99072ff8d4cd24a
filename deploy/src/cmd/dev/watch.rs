//! What `dev` watches.
//!
//! **Owns** which files count and when a change is over. **Must not know** what a change leads to. **Enter at**
//! [`Watch`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::context::Context;
use crate::release::Release;

/// BOUND: an editor writes a file in several steps within a few milliseconds; a person does not notice this.
const SETTLE: Duration = Duration::from_millis(80);
/// BOUND: paths waiting to be looked at. A full queue only means that something changed, which is already known.
const QUEUE: usize = 256;

/// The files whose change means to build again.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    changes: mpsc::Receiver<PathBuf>,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    /// Everything below these counts.
    trees: Vec<PathBuf>,
    /// A change has been seen, and its last write may still be on its way.
    is_settling: bool,
}

impl Watch {
    pub(super) fn new() -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::channel(QUEUE);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            for path in event.paths {
                // Full: a change is waiting already.
                let _ = sender.try_send(path);
            }
        })?;
        Ok(Self {
            watcher,
            changes,
            folders: BTreeSet::new(),
            files: BTreeSet::new(),
            trees: Vec::new(),
            is_settling: false,
        })
    }

    /// Watches what went into this release.
    pub(super) fn follow(&mut self, release: &Release) {
        self.trees.clear();
        self.files =
            release.file.iter().cloned().chain([release.dir.join(".dev.vars")]).map(|path| absolute(&path)).collect();
        match &release.plan.build.command {
            // What the command makes is not watched: each build would start the next.
            Some(command) => {
                let dirs =
                    if command.watch_dirs.is_empty() { vec!["src".to_owned()] } else { command.watch_dirs.clone() };
                self.trees = dirs.iter().map(|dir| absolute(&release.dir.join(dir))).collect();
            }
            None => self.files.extend(release.built.sources.iter().map(|path| absolute(path))),
        }
        self.subscribe();
    }

    /// After a failed build: the files of the last good one, and everything in the project that may be the cause.
    pub(super) fn follow_project(&mut self, context: &Context) {
        let project = context
            .global
            .config
            .clone()
            .or_else(|| std::env::current_dir().ok().and_then(|here| crate::project::Project::find(&here)));
        if let Some(path) = project {
            let path = absolute(&path);
            let dir = path.parent().map(Path::to_owned).unwrap_or_default();
            self.trees.push(dir.join("src"));
            self.files.insert(path);
            self.trees.dedup();
        }
        self.subscribe();
    }

    /// Completes once something changed and has settled. Safe to drop and call again: a change that was seen while another
    /// branch of a `select!` won (a line of the log, say) is remembered.
    pub(super) async fn changed(&mut self) {
        while !self.is_settling {
            let Some(path) = self.changes.recv().await else { return std::future::pending().await };
            self.is_settling = self.counts(&path);
        }
        tokio::time::sleep(SETTLE).await;
        while self.changes.try_recv().is_ok() {}
        self.is_settling = false;
    }

    fn counts(&self, path: &Path) -> bool {
        self.files.contains(path) || self.trees.iter().any(|tree| path.starts_with(tree))
    }

    /// Folders rather than files, because editors replace files.
    fn subscribe(&mut self) {
        let folders = self
            .files
            .iter()
            .filter_map(|path| path.parent())
            .map(|path| (path.to_owned(), RecursiveMode::NonRecursive));
        let wanted: Vec<_> =
            folders.chain(self.trees.iter().map(|tree| (tree.clone(), RecursiveMode::Recursive))).collect();
        for (path, mode) in wanted {
            let recursive = mode == RecursiveMode::Recursive;
            let known = self.folders.contains(&path) && !recursive;
            // A folder that does not exist, or a system limit on watches: the others still work.
            if !known && path.is_dir() && self.watcher.watch(&path, mode).is_ok() {
                self.folders.insert(path);
            }
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}
