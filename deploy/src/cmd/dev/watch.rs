//! When something that counts changed.
//!
//! **Owns** hearing of events, and when a change is over. **Must not know** which paths count, nor what a change leads
//! to. **Enter at** [`Watch`].
//!
//! An event is only the reason to look: what decides is whether contents differ from those that were built. So no event
//! has to be kept, and it does no harm to hear of our own writes.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::baseline::Baseline;
use super::contents::{self, Contents, MAX_FILES, MAX_FOLDERS};
use super::scope::Scope;
use crate::context::Context;
use crate::release::Release;

/// BOUND: an editor writes a file in several steps within a few milliseconds; a person does not notice this.
const SETTLE: Duration = Duration::from_millis(80);

/// Tells when to build again.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    events: Arc<Events>,
    baseline: Baseline,
    /// An event has been heard, and its last write may still be on its way.
    is_settling: bool,
}

impl Watch {
    /// Watches nothing yet. What lies in `data_dir` never counts as the project's.
    pub(super) fn new(data_dir: Option<&Path>) -> anyhow::Result<Self> {
        let events = Arc::new(Events { scope: Mutex::new(Arc::new(Scope::new(data_dir))), stirred: Notify::new() });
        let heard = events.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| heard.hear(event))?;
        Ok(Self { watcher, events, baseline: Baseline::default(), is_settling: false })
    }

    /// After a build: watches what went into the release and, after a failure, everything in which the cause may lie.
    /// Without a release, what was watched before still is.
    pub(super) fn follow(
        &mut self,
        context: &Context,
        script: Option<&Path>,
        release: Option<&Release>,
        failure: Option<&anyhow::Error>,
    ) {
        let before = self.events.scope();
        let built = release.map(|release| before.of_release(release, context.global.env.as_deref()));
        let scope = built.unwrap_or_else(|| Scope::clone(&before));
        let scope = match failure {
            Some(error) => scope.of_failure(context, script, error),
            None => scope,
        };
        self.turn_to(context, scope);
    }

    /// Completes once what counts differs from what was built. Safe to drop and call again: what was heard while
    /// another branch of a `select!` won is remembered.
    pub(super) async fn changed(&mut self) {
        loop {
            if !self.is_settling {
                self.events.stirred.notified().await;
                self.is_settling = true;
            }
            tokio::time::sleep(SETTLE).await;
            self.is_settling = false;
            let (now, _) = self.read();
            if self.baseline.look(now) {
                return;
            }
        }
    }

    fn turn_to(&mut self, context: &Context, scope: Scope) {
        let scope = Arc::new(scope);
        let before = self.events.turn_to(scope.clone());
        let (now, is_whole) = self.read();
        let was_known = |path: &Path| before.counts(path) && scope.counts(path);
        self.baseline.built(now, before.has_command || scope.has_command, was_known);
        if self.baseline.is_due() {
            self.events.stirred.notify_one();
        }
        if !is_whole {
            context.out.note(format!(
                "Only a part of the project is watched, from the top: it has more than {MAX_FOLDERS} folders or \
                 {MAX_FILES} files"
            ));
        }
    }

    /// What counts as it is now, and whether that is all. Each folder is watched anew: the system forgets one that is
    /// deleted, and watching twice is watching once.
    fn read(&mut self) -> (Contents, bool) {
        let scope = self.events.scope();
        let found = contents::find(&scope, |folder| {
            // It vanished meanwhile, or the system grants no more watches: the others still work.
            let _ = self.watcher.watch(folder, RecursiveMode::NonRecursive);
        });
        (contents::read(&found.files), found.is_whole)
    }
}

/// What the thread that hears of events shares with us.
struct Events {
    scope: Mutex<Arc<Scope>>,
    /// Remembers one event until it is asked for; more than one say no more.
    stirred: Notify,
}

impl Events {
    fn hear(&self, event: notify::Result<notify::Event>) {
        let Ok(event) = event else { return };
        let scope = self.scope();
        // Where the system dropped events, they may have been of any path.
        let concerns = || event.need_rescan() || event.paths.iter().any(|path| scope.concerns(path));
        if !event.kind.is_access() && concerns() {
            self.stirred.notify_one();
        }
    }

    fn scope(&self) -> Arc<Scope> {
        self.scope.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes another scope count; the one before.
    fn turn_to(&self, scope: Arc<Scope>) -> Arc<Scope> {
        // One assignment is all that happens under the lock, so a panic elsewhere cannot have left it half done.
        let mut current = self.scope.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, scope)
    }
}
