//! Pure. The stages that code passes through on its way to production.
//!
//! **Owns** which promotion is allowed. **Must not know** what a promotion does. **Enter at** [`Pipeline`].

use skerry_proto::id::EnvironmentName;

/// An ordered list of environments; code enters at the first and is promoted one stage at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// At least two, each once, in order.
    pub stages: Vec<EnvironmentName>,
}

impl Pipeline {
    /// The stage that must come before `target`, `None` when `target` is the first stage or none.
    #[must_use]
    pub fn before(&self, target: &EnvironmentName) -> Option<&EnvironmentName> {
        let place = self.stages.iter().position(|stage| stage == target)?;
        self.stages.get(place.checked_sub(1)?)
    }

    /// Whether code may go from `source` to `target`.
    #[must_use]
    pub fn allows(&self, source: &EnvironmentName, target: &EnvironmentName) -> bool {
        self.before(target).is_none_or(|stage| stage == source)
    }
}
