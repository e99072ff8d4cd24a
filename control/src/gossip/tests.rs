//! Whole clusters of members on a virtual clock, over a network that loses, delays and cuts; seeds make every run the same.
//!
//! **Owns** what gossip promises as a whole. **Must not know** foca. **Enter at** [`net::Net`].

mod driver;
mod garbage;
mod net;

use std::time::Duration;

use self::net::{Net, secs};
use super::{
    members::Liveness,
    profile::foca_config,
    roster::{Profile, Roster},
};
use skerry_proto::id::{NodeId, Revision};

/// BOUND: what a node may send in a second, on average over ten, whatever happens. It gossips at most 15 times, probes, and
/// answers; two hundred seeds of the faults below came to 27. The floods that this guards against are hundreds and more.
const SENDS_PER_SECOND_MAX: u64 = 40;

fn joined(nodes: u64, seed: u64) -> Net {
    let mut net = Net::new(nodes, seed);
    net.until("everyone sees everyone", secs(20), Net::all_alive);
    net
}

fn suspicion(nodes: usize) -> Duration {
    foca_config(Profile::Lan, nodes).suspect_to_down_after
}

#[test]
fn everyone_sees_everyone() {
    for (nodes, seed) in [(3, 1), (10, 2), (100, 3)] {
        let net = joined(nodes, seed);
        assert_eq!(net.view(1).iter().count() as u64, nodes);
    }
}

#[test]
fn a_node_that_stops_is_suspect_then_down_and_alive_again_with_its_next_boot() {
    for (nodes, seed) in [(3, 4), (10, 5), (100, 6)] {
        let mut net = joined(nodes, seed);
        net.stop(2);
        // A node probes every other one within two rounds of its list, each second one; somebody hits it much earlier.
        let found = secs(2 * nodes.min(5) + 2);
        net.until("it is suspect", found, |net| net.all_see(2, Liveness::Suspect));
        let down = suspicion(nodes as usize) + secs(4);
        net.until("it is down", down, |net| net.all_see(2, Liveness::Down));
        net.start(2, 2);
        net.until("it is back", secs(10), Net::all_alive);
    }
}

#[test]
fn a_node_that_leaves_is_down_at_once() {
    let mut net = joined(10, 7);
    net.leave(2);
    net.until("it is down", secs(3), |net| net.all_see(2, Liveness::Down));
}

#[test]
fn a_partition_heals() {
    for (nodes, seed) in [(4, 8), (10, 9), (50, 10)] {
        let mut net = joined(nodes, seed);
        net.cut(|node| node % 2);
        net.until("each half takes the other for down", secs(60), |net| {
            net.each_sees(|own, other| if own % 2 == other % 2 { Liveness::Alive } else { Liveness::Down })
        });
        net.run(secs(30));
        net.mend();
        net.until("everyone sees everyone", secs(60), Net::all_alive);
        net.run(secs(20));
        assert!(net.all_alive(), "it stays so");
        assert!(net.sends_per_second_max() <= SENDS_PER_SECOND_MAX, "{}", net.sends_per_second_max());
    }
}

#[test]
fn losing_half_of_all_datagrams_does_no_lasting_harm_and_makes_no_flood() {
    for (nodes, seed) in [(3, 11), (10, 12), (40, 13)] {
        let mut net = joined(nodes, seed);
        net.lose_percent(50);
        net.run(secs(60));
        net.lose_percent(0);
        net.until("everyone sees everyone", secs(60), Net::all_alive);
        net.run(secs(20));
        assert!(net.all_alive(), "it stays so");
        assert!(net.sends_per_second_max() <= SENDS_PER_SECOND_MAX, "{}", net.sends_per_second_max());
    }
}

#[test]
fn a_new_revision_is_known_to_a_hundred_nodes_within_seconds() {
    let mut net = joined(100, 14);
    net.run(secs(5));
    net.serve(7, Revision(1000));
    net.until("all know it", secs(4), |net| {
        net.all_views(|view| view.newest_revision() == Some((NodeId(7), Revision(1000))))
    });
}

#[test]
fn news_that_all_have_at_once_does_not_pile_up() {
    let mut net = joined(40, 15);
    net.run(secs(5));
    for node in 1..=40 {
        net.serve(node, Revision(1000));
    }
    net.until("all know of all", secs(30), |net| {
        net.all_views(|view| {
            view.iter().all(|(_, state)| state.news.as_ref().is_some_and(|news| news.revision == Revision(1000)))
        })
    });
    assert!(net.sends_per_second_max() <= SENDS_PER_SECOND_MAX, "{}", net.sends_per_second_max());
}

#[test]
fn a_load_that_changes_all_the_time_is_told_at_a_measured_pace() {
    let mut net = joined(3, 16);
    net.run(secs(5));
    let before = net.sequence(1, 2);
    for load in 0..1000 {
        net.load(2, load);
        net.run(Duration::from_millis(10));
    }
    let told = net.sequence(1, 2) - before;
    assert!((10..=52).contains(&told), "{told} news in ten seconds");
}

#[test]
fn a_replayed_old_boot_does_not_take_the_place_of_the_newer_one() {
    let mut net = joined(5, 17);
    net.record(2);
    net.run(secs(10));
    net.stop(2);
    net.start(2, 2);
    net.until("it is back", secs(20), Net::all_alive);
    assert!(net.replay() > 10, "something was recorded");
    net.always("the newer boot stays", secs(20), |net| net.all_see(2, Liveness::Alive));
    assert!(net.all_alive());
}

#[test]
fn a_node_whose_boot_counter_was_set_back_outbids_itself_and_keeps_the_number() {
    for stopped in [secs(0), secs(30)] {
        let mut net = joined(5, 18);
        net.stop(2);
        net.start(2, 9);
        net.until("it is back", secs(20), Net::all_alive);
        net.stop(2);
        net.run(stopped);
        net.start(2, 3);
        net.until("it is back once more", secs(30), |net| net.boot(2) == 9 && net.all_alive());
        assert_eq!(net.kept_boot(2), Some(9));
        assert!(net.sends_per_second_max() <= SENDS_PER_SECOND_MAX, "{}", net.sends_per_second_max());
    }
}

#[test]
fn two_nodes_with_one_id_make_no_flood() {
    let mut net = joined(5, 19);
    net.double(2, 9);
    net.run(secs(60));
    assert!(net.sends_per_second_max() <= SENDS_PER_SECOND_MAX, "{}", net.sends_per_second_max());
}

#[test]
fn a_removed_node_is_dropped_from_the_view_and_not_heard() {
    let mut net = joined(5, 20);
    let rest = Roster::new([1, 3, 4, 5].map(NodeId), Profile::Lan);
    for node in [1, 3, 4, 5] {
        net.list(node, rest.clone());
    }
    let bad = net.status(1).bad;
    net.always("it is gone", secs(20), |net| {
        [1, 3, 4, 5].iter().all(|node| net.view(*node).state(NodeId(2)).is_none())
    });
    assert!(net.status(1).bad > bad, "it went on talking");
}

#[test]
fn another_region_changes_the_timings_and_loses_nobody() {
    let mut net = joined(5, 21);
    let wide = Roster::new((1..=5).map(NodeId), Profile::Wan);
    for node in 1..=5 {
        net.list(node, wide.clone());
    }
    net.always("all stay alive", secs(30), Net::all_alive);
    net.stop(2);
    net.until("it is down", secs(80), |net| net.all_see(2, Liveness::Down));
}

#[test]
fn a_node_joins_that_nobody_lists_yet() {
    let mut net = joined(5, 22);
    net.add(6);
    net.until("all see it", secs(10), |net| net.all_see(6, Liveness::Alive));
}
