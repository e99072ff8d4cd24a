use proptest::prelude::*;
use skerry_proto::id::Revision;

use super::*;
use crate::catalog::{
    Admission, JoinToken,
    testing::{Lab, steps},
    wire::{decode_catalog, encode_catalog},
};

/// Every table counts: one that was forgotten here would let two nodes differ in it and agree.
#[test]
fn a_row_more_or_less_in_any_table_is_another_digest() {
    let mut lab = Lab::new();
    let (mut seen, mut digest) = (vec![Digest::default()], Digest::of(&lab.catalog));
    let service = lab.create_service("shop");
    let namespace = lab.create_namespace("cache").1;
    let route = lab.put_route("a.example/*", None);
    let node = lab.new_node("n1", Admission::Founder);
    let token = lab.new_join_token(None, 1, 1000);
    for change in [service, namespace, route, node, token] {
        assert!(!seen.contains(&digest));
        seen.push(digest);
        let before = lab.catalog.clone();
        lab.run(vec![change]).unwrap();
        digest = digest.advance(&before, &lab.catalog);
        assert_eq!(digest, Digest::of(&lab.catalog));
    }
    let used_up = lab.catalog.join_tokens().next().map(|token| JoinToken { uses_left: 9, ..token.as_ref().clone() });
    let (before, used_up) = (lab.catalog.clone(), used_up.unwrap());
    lab.catalog.join_tokens.insert(used_up.id.clone(), Arc::new(used_up));
    assert_ne!(digest.advance(&before, &lab.catalog), digest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn advancing_entry_by_entry_gives_the_digest_of_the_result_and_of_its_snapshot(steps in steps()) {
        let mut lab = Lab::new();
        let mut digest = Digest::of(&lab.catalog);
        for step in steps {
            let changes = step.into_iter().map(|choice| lab.choose(choice)).collect();
            let (command, before) = (lab.command(changes), lab.catalog.clone());
            let applied = lab.catalog.apply(Revision(before.revision().0 + 1), &command);
            let next = digest.advance(&before, &lab.catalog);
            if applied.is_err() {
                prop_assert_eq!(next, digest, "a refusal has a digest of its own");
            }
            digest = next;
        }
        prop_assert_eq!(digest, Digest::of(&lab.catalog));
        let decoded = decode_catalog(&encode_catalog(&lab.catalog)).unwrap();
        prop_assert_eq!(digest, Digest::of(&decoded));
    }
}
