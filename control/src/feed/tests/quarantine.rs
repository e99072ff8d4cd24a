use skerry_proto::id::Revision;

use crate::{
    clock,
    feed::{
        limits::{BOOTS_KEPT, SETTLE},
        quarantine::{Boot, Settling, Start, begin, decode, encode},
    },
};

/// Starts, finds `newest` on the disk, and settles at `settled` before it ends.
fn live(journal: Vec<Boot>, newest: u64, settled: u64, clean: bool) -> (Vec<Boot>, Start) {
    let (mut journal, start) = begin(journal, Revision(newest), 0);
    let last = journal.last_mut().unwrap();
    last.settled = last.settled.max(Revision(settled));
    last.clean = clean;
    (journal, start)
}

fn before(start: &Start) -> Option<(u64, u64)> {
    match start {
        Start::Newest => None,
        Start::Before(settled, refusal) => Some((settled.0, refusal.revision.0)),
    }
}

#[test]
fn the_second_crash_with_a_revision_sends_the_node_back() {
    let (journal, _) = live(Vec::new(), 10, 10, false);
    // It took 11 and crashed; it crashes again with it.
    let (journal, start) = live(journal, 11, 0, false);
    assert_eq!(start, Start::Newest, "one crash may be anything");
    let (journal, start) = live(journal, 11, 0, false);
    assert_eq!(before(&start), Some((10, 11)));
    // Whatever happens then, it stays there until there is something newer.
    let (journal, start) = live(journal, 11, 0, true);
    assert_eq!(before(&start), Some((10, 11)));
    let (journal, start) = live(journal, 12, 0, false);
    assert_eq!(start, Start::Newest, "a newer revision was taken, and is tried");
    let (journal, start) = live(journal, 12, 0, false);
    assert_eq!(start, Start::Newest, "one crash may be anything");
    let (_, start) = live(journal, 12, 0, false);
    assert_eq!(before(&start), Some((10, 12)), "and blamed when it crashes again");
}

#[test]
fn crashes_long_after_a_revision_are_not_blamed_on_it() {
    let (journal, _) = live(Vec::new(), 10, 10, false);
    let (journal, _) = live(journal, 11, 11, false);
    let (journal, _) = live(journal, 11, 11, false);
    let (_, start) = live(journal, 11, 11, false);
    assert_eq!(start, Start::Newest);
}

#[test]
fn two_crashes_with_a_long_life_between_them_are_nobodys_fault() {
    // Something newer than a minute lies on the disk whenever it crashes.
    let (journal, _) = live(Vec::new(), 10, 10, false);
    let (journal, _) = live(journal, 11, 30, false);
    let (journal, start) = live(journal, 31, 0, false);
    assert_eq!(start, Start::Newest);
    let (_, start) = live(journal, 31, 0, false);
    assert_eq!(before(&start), Some((30, 31)), "the second one followed within a minute");
}

#[test]
fn a_stop_between_two_crashes_is_no_crash() {
    let (journal, _) = live(Vec::new(), 10, 10, true);
    let (journal, _) = live(journal, 11, 0, false);
    let (journal, _) = live(journal, 11, 0, true);
    let (_, start) = live(journal, 11, 0, false);
    assert_eq!(start, Start::Newest);
}

#[test]
fn a_node_with_nothing_to_go_back_to_goes_on() {
    let (journal, _) = live(Vec::new(), 0, 0, false);
    let (journal, _) = live(journal, 11, 0, false);
    let (_, start) = live(journal, 11, 0, false);
    assert_eq!(start, Start::Newest);
}

#[test]
fn the_journal_is_short_and_survives_its_file() {
    let mut journal = Vec::new();
    for _ in 0..20 {
        journal = live(journal, 11, 5, false).0;
    }
    assert_eq!((journal.len(), journal.last().unwrap().number), (BOOTS_KEPT, 20));
    assert_eq!(decode(&encode(&journal)).unwrap(), journal);
    assert!(decode(b"garbage").is_err());
}

#[test]
fn a_revision_settles_after_a_minute_and_not_because_newer_ones_came() {
    let now = clock::monotonic();
    let mut settling = Settling::new(now, Revision(1));
    settling.serve(now + SETTLE / 2, Revision(2));
    assert_eq!(settling.settle(now + SETTLE / 2), None);
    assert_eq!(settling.settle(now + SETTLE), Some(Revision(1)));
    assert_eq!(settling.settle(now + SETTLE * 3 / 2), None, "2 was seen to be served only from then on");
    assert_eq!(settling.settle(now + SETTLE * 2), Some(Revision(2)));
    assert_eq!(settling.next_timeout(), None);
}
