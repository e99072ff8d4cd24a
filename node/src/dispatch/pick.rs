//! Pure. Which of the live versions answers a request.
//!
//! **Owns** the split between versions. **Must not know** where randomness or headers come from. **Enter at** [`Split`].
//!
//! A request falls on one of 10 000 points, the hundredths of a percent. With a version key the point is a hash of the key
//! and nothing else, so raising a version's share with the order unchanged never moves a user back.

use skerry_control::catalog::Deployment;
use skerry_proto::id::VersionId;

const POINTS: u32 = 10_000;

/// A deployment's versions, ready to pick from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Versions with the first point that is *not* theirs, in the order of the deployment.
    ends: Vec<(VersionId, u32)>,
}

impl Split {
    /// The split that a deployment asks for.
    #[must_use]
    pub fn of(deployment: &Deployment) -> Self {
        let mut end = 0;
        let ends = deployment.shares.iter().map(|share| {
            end += share.percentage.hundredths();
            (share.version.clone(), end)
        });
        Self { ends: ends.collect() }
    }

    /// The place of the version that owns `point`; `None` when nothing is deployed. With a single version the point is not
    /// asked for.
    pub fn at(&self, point: impl FnOnce() -> u32) -> Option<usize> {
        match self.ends.as_slice() {
            [] => None,
            [_] => Some(0),
            ends => {
                let point = point() % POINTS;
                ends.iter().position(|(_, end)| point < *end).or(Some(ends.len() - 1))
            }
        }
    }

    /// The place of a version, when it is deployed; at 0 % too.
    #[must_use]
    pub fn position(&self, version: &VersionId) -> Option<usize> {
        self.ends.iter().position(|(own, _)| own == version)
    }

    /// The versions, in the order of the deployment.
    pub fn versions(&self) -> impl Iterator<Item = &VersionId> {
        self.ends.iter().map(|(version, _)| version)
    }
}

/// The point of a version key.
#[must_use]
pub fn sticky_point(key: &str) -> u32 {
    let hash = blake3::hash(key.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, d]) % POINTS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skerry_control::catalog::{Annotations, Percentage, Share};
    use skerry_proto::id::{DeploymentId, Revision};

    use super::*;

    fn version(n: u32) -> VersionId {
        VersionId::new(&format!("{n:08x}-2fa1-4d3b-a3f5-ef19b5a7633b")).unwrap()
    }

    fn split(shares: &[u32]) -> Split {
        let shares = shares.iter().zip(0..).map(|(hundredths, n)| Share {
            version: version(n),
            percentage: Percentage::from_hundredths(*hundredths).unwrap(),
        });
        Split::of(&Deployment {
            id: DeploymentId::new("1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b").unwrap(),
            shares: shares.collect(),
            annotations: Annotations::default(),
            author: String::new(),
            source: String::new(),
            created_at_ms: 0,
            revision: Revision::default(),
        })
    }

    #[test]
    fn every_point_goes_to_its_share() {
        let split = split(&[2500, 7500]);
        let first = (0..POINTS).filter(|point| split.at(|| *point) == Some(0)).count();
        assert_eq!(first, 2500);
    }

    #[test]
    fn a_version_at_zero_percent_gets_no_requests_but_is_deployed() {
        let split = split(&[0, 10_000]);
        assert!((0..POINTS).all(|point| split.at(|| point) == Some(1)));
        assert_eq!(split.position(&version(0)), Some(0));
        assert_eq!(split.position(&version(9)), None);
    }

    #[test]
    fn nothing_deployed_picks_nothing() {
        assert_eq!(Split::default().at(|| 0), None);
    }

    proptest! {
        #[test]
        fn raising_a_share_never_moves_a_user_back(key in ".{0,20}", before in 0u32..=10_000, more in 0u32..=10_000) {
            let after = (before + more).min(10_000);
            let at = |new: u32| split(&[new, 10_000 - new]).at(|| sticky_point(&key)).unwrap();
            // The first version is the one that is rolled out.
            prop_assert!(at(before) != 0 || at(after) == 0);
        }
    }
}
