//! Pure. Which one or two versions are live, and how requests are shared between them.
//!
//! **Owns** percentages. **Must not know** how a request is assigned. **Enter at** [`Deployment`].

use std::fmt;

use skerry_proto::id::{DeploymentId, Revision, VersionId};

use super::Annotations;

/// One or two live versions of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its identity.
    pub id: DeploymentId,
    /// One or two versions whose percentages sum to 100, in the order given.
    pub shares: Vec<Share>,
    /// What the author said about it.
    pub annotations: Annotations,
    /// Who made it, as shown to people.
    pub author: String,
    /// What made it: `wrangler`, `skerry`, `api`, ...
    pub source: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The revision that made it; 0 for one from before revisions were noted.
    pub revision: Revision,
}

impl Deployment {
    /// The version with the larger share; the first of two equals.
    #[must_use]
    pub fn primary(&self) -> &VersionId {
        let [first, rest @ ..] = self.shares.as_slice() else {
            unreachable!("`apply` and the decoder of snapshots refuse a deployment without a share")
        };
        rest.iter().fold(first, |best, share| if share.percentage > best.percentage { share } else { best }).version()
    }

    /// Whether the version is part of it, at 0 % too.
    #[must_use]
    pub fn contains(&self, version: &VersionId) -> bool {
        self.shares.iter().any(|share| share.version == *version)
    }
}

/// One version's part of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The version.
    pub version: VersionId,
    /// Its part of the requests.
    pub percentage: Percentage,
}

impl Share {
    /// The whole deployment is this version.
    #[must_use]
    pub fn all(version: VersionId) -> Self {
        Self { version, percentage: Percentage::ALL }
    }

    fn version(&self) -> &VersionId {
        &self.version
    }
}

/// A part of 100, in hundredths of a percent, 0 to 10 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentage(u32);

impl Percentage {
    /// 100 %.
    pub const ALL: Self = Self(10_000);

    /// From hundredths of a percent; `None` above 10 000.
    #[must_use]
    pub fn from_hundredths(hundredths: u32) -> Option<Self> {
        (hundredths <= Self::ALL.0).then_some(Self(hundredths))
    }

    /// From percent, rounded to hundredths; `None` unless within 0 to 100.
    #[must_use]
    pub fn from_percent(percent: f64) -> Option<Self> {
        if !(0.0..=100.0).contains(&percent) {
            return None;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range check above leaves 0 to 10 000"
        )]
        Self::from_hundredths((percent * 100.0).round() as u32)
    }

    /// In hundredths of a percent.
    #[must_use]
    pub fn hundredths(self) -> u32 {
        self.0
    }

    /// In percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent())
    }
}
