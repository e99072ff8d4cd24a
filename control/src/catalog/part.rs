//! Pure. What changes are made of: clones, bases, versions, deployments and routes to be, edits, and what is risked.
//!
//! **Owns** their shapes. **Must not know** how a change is applied. **Enter at** [`NewVersion`] and [`CloneSource`].

use std::collections::{BTreeMap, BTreeSet};

use skerry_proto::id::{AccountId, DeploymentId, EnvironmentName, RouteId, VersionId};

use super::{Annotations, Binding, BindingKind, Code, EnvironmentKey, LimitsConfig, RoutePattern, Sealed, Share};

/// What a cloned environment starts with: code and configuration of another one's live version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneSource {
    /// An environment of the same service.
    pub environment: EnvironmentName,
    /// The identity of the new environment's first version.
    pub version: VersionId,
    /// The identity of its deployment.
    pub deployment: DeploymentId,
    /// Bindings that replace the source's: secrets that were sealed again for the new environment, namespaces of its
    /// own. The source's secrets are not taken over otherwise.
    pub replace: BTreeMap<String, Binding>,
    /// What the author says about the first version.
    pub annotations: Annotations,
}

/// A version to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    /// Its identity.
    pub id: VersionId,
    /// The files.
    pub code: Code,
    /// Its own bindings.
    pub bindings: BTreeMap<String, Binding>,
    /// Names that it does not inherit.
    pub removed: BTreeSet<String>,
    /// Its own limits.
    pub limits: LimitsConfig,
    /// What it takes over from `base`, where it does not bind the name itself.
    pub keep: Keep,
    /// Where [`keep`](Self::keep) takes from.
    pub base: Base,
    /// What the author says about it.
    pub annotations: Annotations,
    /// What made it.
    pub source: String,
}

/// What a new version takes over from an older one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Every binding of these kinds (`keep_bindings` of the API).
    pub kinds: BTreeSet<BindingKind>,
    /// These names (`"type": "inherit"` of the API); a name that the older version does not bind is refused.
    pub names: BTreeSet<String>,
}

/// The version that a new one is derived from. Before the first version, the draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// The live one with the larger share, else the latest.
    Live,
    /// The one with the highest number.
    Latest,
    /// This one.
    Version(VersionId),
}

/// A deployment to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeployment {
    /// Its identity.
    pub id: DeploymentId,
    /// One or two versions whose percentages sum to 100.
    pub shares: Vec<Share>,
    /// What the author says about it.
    pub annotations: Annotations,
    /// What made it.
    pub source: String,
}

/// One difference in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigEdit {
    /// Binds a name, instead of what it was bound to.
    Set {
        /// The name in `env`.
        name: String,
        /// The value.
        binding: Binding,
    },
    /// Removes the environment's own binding; one of the parent's shows again. Refused when there is none.
    Unset {
        /// The name in `env`.
        name: String,
    },
    /// Removes the environment's own binding and hides the parent's.
    Remove {
        /// The name in `env`.
        name: String,
    },
    /// Replaces the environment's own limits.
    Limits(LimitsConfig),
}

/// A route to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoute {
    /// Its owner.
    pub account: AccountId,
    /// Its identity; an existing one of the account is changed.
    pub id: RouteId,
    /// What it matches; unique in the cluster.
    pub pattern: RoutePattern,
    /// Who answers; `None`: no worker does, which cuts a hole into a wider route.
    pub target: Option<EnvironmentKey>,
}

/// A secret as the API hands it over: sealed to the environment it is meant for.
impl From<Sealed> for Binding {
    fn from(sealed: Sealed) -> Self {
        Self::Secret(sealed)
    }
}

/// Whether a node may be removed although others count on it. Removing cuts it off at once, while raft counts on a voter
/// until the others have agreed to go on without it: where another voter is down already, they can not. What a node keeps
/// of KV goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenVoter {
    /// Refuse, and say how it goes safely.
    Refuse,
    /// Remove it: the machine is lost. KV namespaces whose home it was stay without entries until they are deleted.
    Remove,
}

/// Whether a service or environment may be deleted although service bindings lead to it, or a service although it has
/// more environments than production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBound {
    /// Refuse, and name what is in the way.
    Refuse,
    /// Delete; calls through those bindings will fail or reach production, and the environments go too.
    Delete,
}

/// Whether a change of configuration may be deployed while two versions share the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenShared {
    /// Refuse, and name the versions.
    Refuse,
    /// Deploy the new version to all requests: the gradual rollout is over.
    Replace,
}

/// Whether a pipeline's order holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It does.
    Enforce,
    /// It is skipped, and the audit log says so.
    Skip,
}
