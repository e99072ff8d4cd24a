//! An environment as the table keeps it: its live versions, ready to run.
//!
//! **Owns** which specs are kept, when a configuration counts as new, and which versions serve while newer ones are not
//! ready. **Must not know** how a spec is made or run. **Enter at** [`Site`].
//!
//! ```text
//! ready --other versions are live--> awaiting (the old versions serve) --their code is here--> ready
//!                                       `--others again--> awaiting those
//! ```
//! This is the one rule by which a node goes over to new code, whether raft or the feed has brought the state that names it. A node
//! that starts knows of no old versions: the newest deployment whose code it has takes their place.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use skerry_control::catalog::{Catalog, Effective, Environment, EnvironmentKey, Version, effective};
use skerry_proto::id::{Revision, VersionId};
use tokio::sync::OnceCell;

use super::pick::Split;
use crate::worker::WorkerSpec;

/// BOUND: versions of one environment that are kept ready only because someone previews them.
const PREVIEWS_MAX: usize = 8;

/// One environment in one or more states of the catalog.
#[derive(Debug)]
pub struct Site {
    /// Which environment.
    pub key: EnvironmentKey,
    /// The live versions' shares.
    pub split: Split,
    environment: Arc<Environment>,
    /// What it inherits from: a change there makes its configuration new.
    ancestors: Vec<Arc<Environment>>,
    /// In the order of `split`; a version that the catalog does not have is absent.
    live: Vec<Option<Arc<Slot>>>,
    previews: Mutex<VecDeque<Arc<Slot>>>,
    /// The entry that takes this one's place once it is ready.
    awaited: Option<Arc<Site>>,
    /// Set once the code is here, also where no spec has been made of it yet.
    ready: OnceLock<()>,
}

/// One version with the configuration it runs with.
#[derive(Debug)]
pub struct Slot {
    /// Code and own configuration.
    pub version: Arc<Version>,
    /// With what it inherits.
    pub effective: Effective,
    /// Since which revision it has been so.
    pub revision: Revision,
    /// What the runtime is given; made at the first use.
    pub spec: OnceCell<Arc<WorkerSpec>>,
}

impl Site {
    /// The entry for this state of the catalog; `old` itself when nothing that concerns it has changed.
    #[must_use]
    pub fn next(
        catalog: &Catalog,
        key: &EnvironmentKey,
        environment: &Arc<Environment>,
        old: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let ancestors = ancestors(catalog, key, environment);
        if let Some(old) = old
            && Arc::ptr_eq(&old.environment, environment)
            && old.ancestors.len() == ancestors.len()
            && old.ancestors.iter().zip(&ancestors).all(|(old, new)| Arc::ptr_eq(old, new))
        {
            return Arc::clone(old);
        }
        let split = environment.live().map(|deployment| Split::of(deployment)).unwrap_or_default();
        let live = split.versions().map(|id| {
            let version = environment.version(id)?;
            let reusable = old.and_then(|old| old.slot_of(id));
            Some(Slot::next(catalog, key, version, reusable))
        });
        let live = live.collect();
        let (key, environment) = (key.clone(), Arc::clone(environment));
        let (previews, ready) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { key, split, environment, ancestors, live, previews, awaited: None, ready })
    }

    /// The entry to show until `next` is ready: what was live before, in the environment as it is now. It is `next` itself when
    /// that is ready, or when nothing was live before.
    #[must_use]
    pub fn until(next: &Arc<Self>, old: Option<&Arc<Self>>) -> Arc<Self> {
        match old {
            Some(old) if !next.is_ready() && old.all_live().next().is_some() => {
                next.awaited_by(old.split.clone(), old.live.clone())
            }
            _ => Arc::clone(next),
        }
    }

    /// The entry to show until `next` is ready, on a node that has shown nothing yet: the newest deployment of which `has` says that
    /// all code is here, which is what the node served when it stopped. It is `next` itself when there is none.
    #[must_use]
    pub fn at_start(next: &Arc<Self>, catalog: &Catalog, has: impl Fn(&Slot) -> bool) -> Arc<Self> {
        if next.all_live().all(|slot| has(slot)) {
            return Arc::clone(next);
        }
        let environment = &next.environment;
        let earlier = environment.deployments.iter().skip(1).find_map(|deployment| {
            let split = Split::of(deployment);
            let slots = split.versions().map(|id| {
                let slot = Slot::next(catalog, &next.key, environment.version(id)?, None);
                has(&slot).then_some(Some(slot))
            });
            let live = slots.collect::<Option<Vec<_>>>()?;
            Some((split, live))
        });
        earlier.map_or_else(|| Arc::clone(next), |(split, live)| next.awaited_by(split, live))
    }

    /// This environment with other live versions, which serve until this entry is ready.
    fn awaited_by(self: &Arc<Self>, split: Split, live: Vec<Option<Arc<Slot>>>) -> Arc<Self> {
        Arc::new(Self {
            key: self.key.clone(),
            split,
            environment: Arc::clone(&self.environment),
            ancestors: self.ancestors.clone(),
            live,
            previews: Mutex::default(),
            awaited: Some(Arc::clone(self)),
            ready: OnceLock::new(),
        })
    }

    /// The entry that takes this one's place once it is ready.
    #[must_use]
    pub fn awaited(&self) -> Option<&Arc<Self>> {
        self.awaited.as_ref()
    }

    /// Whether the code of every live version is here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.get().is_some() || self.all_live().all(|slot| slot.spec.get().is_some())
    }

    /// The code of every live version is here.
    pub fn set_ready(&self) {
        // Set before, it is the same.
        let _ = self.ready.set(());
    }

    /// The live version at this place of [`Site::split`].
    #[must_use]
    pub fn live(&self, place: usize) -> Option<&Arc<Slot>> {
        self.live.get(place)?.as_ref()
    }

    /// Every live version.
    pub fn all_live(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.live.iter().flatten()
    }

    /// A version that need not be live; `None` when the environment has no such version.
    #[must_use]
    pub fn preview(&self, catalog: &Catalog, id: &VersionId) -> Option<Arc<Slot>> {
        if let Some(slot) = self.slot_of(id) {
            return Some(slot);
        }
        let slot = Slot::next(catalog, &self.key, self.environment.version(id)?, None);
        // The list is changed by single calls, so a panic between them leaves it whole.
        let mut previews = self.previews.lock().unwrap_or_else(PoisonError::into_inner);
        if previews.len() == PREVIEWS_MAX {
            previews.pop_front();
        }
        previews.push_back(Arc::clone(&slot));
        Some(slot)
    }

    fn slot_of(&self, id: &VersionId) -> Option<Arc<Slot>> {
        let mut known = self.all_live().chain(self.awaited.iter().flat_map(|awaited| awaited.all_live()));
        let live = known.find(|slot| slot.version.id == *id).map(Arc::clone);
        live.or_else(|| {
            let previews = self.previews.lock().unwrap_or_else(PoisonError::into_inner);
            previews.iter().find(|slot| slot.version.id == *id).map(Arc::clone)
        })
    }
}

impl Slot {
    fn next(catalog: &Catalog, key: &EnvironmentKey, version: &Arc<Version>, old: Option<Arc<Self>>) -> Arc<Self> {
        let effective = effective(catalog, key, version);
        match old {
            // Who else shares a namespace is shown to people; a worker does not see it.
            Some(old) if old.effective.bindings == effective.bindings && old.effective.limits == effective.limits => {
                old
            }
            _ => Arc::new(Self {
                version: Arc::clone(version),
                effective,
                revision: catalog.revision(),
                spec: OnceCell::new(),
            }),
        }
    }
}

fn ancestors(catalog: &Catalog, key: &EnvironmentKey, environment: &Environment) -> Vec<Arc<Environment>> {
    let Some(service) = catalog.service(&key.service) else { return Vec::new() };
    let parent = |environment: &Environment| {
        let parent = environment.parent.as_ref()?;
        service.environment(parent).map(Arc::clone)
    };
    // BOUND: the catalog refuses longer chains; 16 guards against a circle.
    std::iter::successors(parent(environment), |ancestor| parent(ancestor)).take(16).collect()
}
