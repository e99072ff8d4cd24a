//! Pure. foca's timings for a cluster of some size and extent.
//!
//! **Owns** every number that foca is set up with. **Must not know** who is a member. **Enter at** [`foca_config`].

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use super::roster::Profile;
use crate::limits::GOSSIP_DATAGRAM_BYTES;

/// How long a node that is down is remembered. A forgotten one could be brought back by a late datagram of its old life; a
/// remembered one costs some 50 bytes.
const REMOVE_DOWN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// BOUND: how many times more an update is passed on than by foca's formula, 4 log10(n+1). That gives 2 for three nodes, and
/// then losing two datagrams loses it; and 8 for a hundred, of which in one case of thirty one hears nothing. With these four
/// more, in one case of two thousand.
const TRANSMISSIONS_MORE: u8 = 4;
/// BOUND: bytes of a datagram, as foca wants them.
const DATAGRAM_BYTES: NonZeroUsize = NonZeroUsize::new(GOSSIP_DATAGRAM_BYTES).expect("a datagram has bytes");
/// At most every so often a node repeats its news unasked.
const NEWS_GAP: Duration = Duration::from_millis(200);
/// The gap grows with the cluster: of a thousand, each member passes each news on 16 times, has room for some 300 news a
/// second (8 datagrams of 40 across regions, twice that within one), and must not fall behind. This asks for 17 new news a
/// second from the whole cluster.
const NEWS_GAP_PER_MEMBER: Duration = Duration::from_millis(60);
/// So often a node repeats its news when nothing changed, for those that came later.
const NEWS_PERIOD: Duration = Duration::from_secs(30);

/// foca's settings for this many members. Between sizes only what foca can change at run time differs.
pub(super) fn foca_config(profile: Profile, members: usize) -> foca::Config {
    let members = u32::try_from(members).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    let config = match profile {
        Profile::Lan => foca::Config::new_lan(members),
        Profile::Wan => foca::Config::new_wan(members),
    };
    foca::Config {
        max_packet_size: DATAGRAM_BYTES,
        max_transmissions: config.max_transmissions.saturating_add(TRANSMISSIONS_MORE),
        remove_down_after: Some(REMOVE_DOWN_AFTER),
        ..config
    }
}

/// How long a node waits between two news about its load, in a cluster of this many members.
pub(super) fn news_gap(members: usize) -> Duration {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    NEWS_GAP_PER_MEMBER.saturating_mul(members).max(NEWS_GAP)
}

/// How long a node waits before it repeats news that did not change.
pub(super) fn news_period(members: usize) -> Duration {
    news_gap(members).saturating_mul(2).max(NEWS_PERIOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_cluster_is_more_patient_and_repeats_more() {
        let [small, large] = [3, 1000].map(|members| foca_config(Profile::Lan, members));
        assert!(small.suspect_to_down_after < large.suspect_to_down_after);
        assert!(small.max_transmissions < large.max_transmissions);
        assert_eq!(small.max_transmissions.get(), 6);
        assert!(news_gap(3) == NEWS_GAP && news_gap(1000) == Duration::from_secs(60));
        assert!(news_period(1000) > news_gap(1000));
    }

    #[test]
    fn the_size_changes_nothing_that_foca_can_not_change() {
        for profile in [Profile::Lan, Profile::Wan] {
            let [none, some] = [0, 1000].map(|members| foca_config(profile, members));
            assert_eq!((none.probe_period, none.probe_rtt), (some.probe_period, some.probe_rtt));
            assert_eq!(none.max_packet_size, some.max_packet_size);
        }
    }
}
