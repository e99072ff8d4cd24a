//! Removes code from this node's disk.
//!
//! **Owns** when a bundle's file goes. **Must not know** why no version names it: its upload was refused, or the version
//! is older than what an environment keeps. **Enter at** [`run`].
//!
//! What no version names goes an hour after it was last used. A voter keeps everything else: it is where the others get it. An
//! edge whose bundles pass their bound also lets go what is not deployed, the longest unused first, and fetches it again
//! when it is asked for.

use std::{
    collections::HashSet,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use skerry_proto::id::{BundleHash, NodeId};

use crate::{
    bundles::{Bundles, Stored},
    catalog::{Catalog, NodeRole},
    clock,
    seat::Seat,
    state::States,
};

/// BOUND: how long a bundle may wait for its version: an upload is stored seconds before it is proposed.
const UNNAMED_MAX: Duration = Duration::from_secs(3600);
/// How often the folder is looked at, unless it passes its bound; disk space is no hurry.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// BOUND: how long after a start, and how soon again without a leader, the catalog may be older than what was stored for it.
const SETTLE: Duration = Duration::from_secs(60);
/// How often the folder is looked at while it can not be brought below its bound.
const PAUSE: Duration = Duration::from_secs(60);

/// Sweeps now, every hour, and whenever the bundles pass their bound, for as long as it runs. What no version names goes only
/// when this node can know the newest versions.
pub(crate) async fn run(node: NodeId, seat: Seat, states: Arc<States>, bundles: Bundles) {
    let began = clock::monotonic();
    loop {
        let has_leader = seat.raft().is_none_or(|raft| raft.status().leader.is_some());
        let is_settled = has_leader && clock::monotonic() >= began + SETTLE;
        let unnamed_before = is_settled.then(|| clock::system() - UNNAMED_MAX);
        let (looking, states) = (bundles.clone(), Arc::clone(&states));
        let swept = tokio::task::spawn_blocking(move || sweep(node, &states, &looking, unnamed_before)).await;
        match swept.map_err(io::Error::from).and_then(|swept| swept) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed bundles"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "old bundles are not removed"),
        }
        let room = bundles.room();
        if room.taken() > room.max() {
            let (size_bytes, max_bytes) = (room.taken(), room.max());
            tracing::warn!(
                size_bytes,
                max_bytes,
                "the bundles that this node has to keep are more than bundle_bytes_max"
            );
            tokio::time::sleep(PAUSE).await;
        }
        // Nothing is lost when it takes the hour.
        let _ = tokio::time::timeout(if is_settled { LOOK_EVERY } else { SETTLE }, room.scarce()).await;
    }
}

/// The files first and then the catalog: a version that was proposed in between is seen.
fn sweep(node: NodeId, states: &States, bundles: &Bundles, unnamed_before: Option<SystemTime>) -> io::Result<usize> {
    let stored = bundles.all()?;
    bundles.room().counted(stored.iter().map(|stored| stored.size_bytes).sum());
    let catalog = states.catalog();
    if catalog.cluster().is_none() {
        return Ok(0);
    }
    let is_edge = catalog.node(node).is_some_and(|node| node.role == NodeRole::Edge);
    let wanted = Wanted::of(&catalog);
    let bytes_max = if is_edge { bundles.room().max() } else { u64::MAX };
    bundles.remove(&plan(stored, &wanted, bytes_max, unnamed_before))
}

/// What the catalog says about bundles.
#[derive(Debug)]
struct Wanted {
    /// Those of every version of every environment.
    named: HashSet<BundleHash>,
    /// Those of what is deployed.
    live: HashSet<BundleHash>,
}

impl Wanted {
    fn of(catalog: &Catalog) -> Self {
        let named = catalog.bundles().map(|bundle| bundle.hash).collect();
        let mut wanted = Self { named, live: HashSet::new() };
        for environment in catalog.all_services().flat_map(|service| service.environments.values()) {
            let shares = environment.live().into_iter().flat_map(|deployment| &deployment.shares);
            let live = shares.filter_map(|share| environment.version(&share.version));
            wanted.live.extend(live.map(|version| version.code.bundle.hash));
        }
        wanted
    }
}

/// What goes.
fn plan(stored: Vec<Stored>, wanted: &Wanted, bytes_max: u64, unnamed_before: Option<SystemTime>) -> Vec<Stored> {
    let is_old = |found: &Stored| unnamed_before.is_some_and(|before| found.used_at < before);
    let is_over = |found: &Stored| !wanted.named.contains(&found.hash) && is_old(found);
    let (mut goes, kept): (Vec<_>, Vec<_>) = stored.into_iter().partition(is_over);
    let mut size_bytes: u64 = kept.iter().map(|found| found.size_bytes).sum();
    let mut spare: Vec<_> = kept.into_iter().filter(|found| !wanted.live.contains(&found.hash)).collect();
    spare.sort_by_key(|found| (found.used_at, found.hash.0));
    for found in spare {
        if size_bytes <= bytes_max {
            break;
        }
        size_bytes -= found.size_bytes;
        goes.push(found);
    }
    goes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Head;

    const NAMES: [&[u8]; 5] = [b"live", b"older", b"old", b"unnamed", b"new"];

    /// One of ten bytes for each name, used so many minutes ago.
    fn stored(minutes_ago: [u64; 5], now: SystemTime) -> Vec<Stored> {
        let used = minutes_ago.map(|minutes| now - Duration::from_secs(minutes * 60));
        let stored = NAMES.iter().zip(used);
        stored.map(|(name, used_at)| Stored { hash: BundleHash::of(name), size_bytes: 10, used_at }).collect()
    }

    fn going(bytes_max: u64) -> Vec<&'static [u8]> {
        let now = clock::system();
        let hash = |name: &&[u8]| BundleHash::of(name);
        let wanted = Wanted { named: NAMES[..3].iter().map(hash).collect(), live: [hash(&NAMES[0])].into() };
        let goes = plan(stored([500, 200, 100, 90, 1], now), &wanted, bytes_max, Some(now - UNNAMED_MAX));
        let name = |found: &Stored| NAMES.into_iter().find(|name| BundleHash::of(name) == found.hash).unwrap();
        goes.iter().map(name).collect()
    }

    #[test]
    fn a_node_that_keeps_all_that_is_named_drops_only_what_nobody_has_named_for_an_hour() {
        assert_eq!(going(u64::MAX), [b"unnamed"]);
        assert_eq!(going(40), [b"unnamed"]);
    }

    #[tokio::test]
    async fn what_nobody_names_stays_while_the_newest_versions_are_not_known() {
        let (now, wanted) = (clock::system(), Wanted { named: HashSet::new(), live: HashSet::new() });
        let stored = || stored([500, 200, 100, 90, 1], now);
        assert!(plan(stored(), &wanted, u64::MAX, None).is_empty());
        let folder = tempfile::tempdir().unwrap();
        let bundles = Bundles::open(folder.path(), 0).unwrap();
        bundles.put("code".into()).await.unwrap();
        let (states, later) = (States::new(Head::default()), now + LOOK_EVERY);
        assert_eq!(sweep(NodeId(1), &states, &bundles, Some(later)).unwrap(), 0);
        assert_eq!(bundles.all().unwrap().len(), 1);
    }

    #[test]
    fn the_longest_unused_goes_first_and_never_what_is_deployed() {
        assert_eq!(going(30), [&b"unnamed"[..], b"older"]);
        assert_eq!(going(20), [&b"unnamed"[..], b"older", b"old"]);
        assert_eq!(going(0), [&b"unnamed"[..], b"older", b"old", b"new"]);
    }
}
