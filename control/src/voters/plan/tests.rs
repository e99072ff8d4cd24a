//! What the plan promises, for every view of the members.

use proptest::prelude::*;

use super::*;

/// Everybody answers; learners are so many entries behind, voters none.
fn view(leader: u64, willing: &[u64], voters: &[u64], learners: &[(u64, u64)]) -> View {
    let present = |(id, behind): (u64, u64)| (NodeId(id), Presence::Answers { behind: Some(behind) });
    View {
        leader: NodeId(leader),
        willing: addresses(willing),
        draining: BTreeMap::new(),
        edges: BTreeSet::new(),
        voters: ids(voters),
        learners: learners.iter().map(|(id, _)| NodeId(*id)).collect(),
        presence: voters.iter().map(|id| (*id, 0)).chain(learners.iter().copied()).map(present).collect(),
    }
}

impl View {
    fn with(mut self, ids: &[u64], presence: Presence) -> Self {
        self.presence.extend(ids.iter().map(|id| (NodeId(*id), presence)));
        self
    }

    fn silent(self, ids: &[u64]) -> Self {
        self.with(ids, Presence::Silent)
    }

    fn draining(mut self, ids: &[u64]) -> Self {
        self.draining = addresses(ids);
        self
    }
}

fn addresses(ids: &[u64]) -> BTreeMap<NodeId, String> {
    ids.iter().map(|id| (NodeId(*id), format!("node-{id}:1"))).collect()
}

fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().map(|id| NodeId(*id)).collect()
}

fn voters(these: &[u64]) -> Plan {
    Plan::Take(Step::SetVoters(ids(these)))
}

fn transfer(to: u64) -> Plan {
    Plan::Take(Step::Transfer { to: NodeId(to) })
}

fn behind(these: &[u64]) -> Plan {
    Plan::Wait(Wait::Behind(ids(these)))
}

#[test]
fn a_second_voter_waits_for_a_third() {
    assert_eq!(plan(&view(1, &[1, 2], &[1], &[(2, 0)])), Plan::Settled);
    assert_eq!(plan(&view(1, &[1, 2, 3], &[1], &[(2, 0), (3, 0)])), voters(&[1, 2, 3]));
}

#[test]
fn a_learner_that_is_behind_does_not_vote_yet() {
    assert_eq!(plan(&view(1, &[1, 2, 3], &[1], &[(2, 0), (3, 101)])), behind(&[3]));
    let unknown = view(1, &[1, 2, 3], &[1], &[(2, 0), (3, 0)]).with(&[3], Presence::Answers { behind: None });
    assert_eq!(plan(&unknown), behind(&[3]));
}

#[test]
fn a_dead_node_does_not_keep_others_from_voting() {
    let learners = [(2, 0), (3, 0), (4, 0)];
    let one_dead = view(1, &[1, 2, 3, 4], &[1], &learners).silent(&[2]);
    assert_eq!(plan(&one_dead), voters(&[1, 3, 4]));
    let two_dead = view(1, &[1, 2, 3, 4], &[1], &learners).silent(&[2, 3]);
    assert_eq!(plan(&two_dead), behind(&[2, 3]));
    let one_late = view(1, &[1, 2, 3, 4, 5], &[1], &[(2, 0), (3, 900), (4, 0), (5, 900)]);
    assert_eq!(plan(&one_late), voters(&[1, 2, 4]));
}

#[test]
fn nothing_is_decided_before_everybody_could_answer() {
    let unheard = Plan::Wait(Wait::Unheard(ids(&[2])));
    assert_eq!(plan(&view(1, &[1, 2, 3, 4], &[1], &[(2, 0), (3, 0), (4, 0)]).with(&[2], Presence::Unheard)), unheard);
    assert_eq!(plan(&view(1, &[2, 3], &[1, 2, 3], &[]).draining(&[1]).with(&[2], Presence::Unheard)), unheard);
}

#[test]
fn a_leader_that_shall_not_vote_hands_over_first() {
    assert_eq!(plan(&view(1, &[2, 3, 4], &[1, 2, 3], &[(4, 0)])), transfer(2));
    assert_eq!(plan(&view(2, &[2, 3, 4], &[1, 2, 3], &[(4, 0)])), voters(&[2, 3, 4]));
}

#[test]
fn the_lead_goes_to_a_voter_that_answers_and_has_most_of_the_log() {
    let crashed = view(1, &[2, 3], &[1, 2, 3], &[]).draining(&[1]).silent(&[2]);
    assert_eq!(plan(&crashed), transfer(3));
    let led_by_3 = View { leader: NodeId(3), ..crashed.with(&[1], Presence::Answers { behind: Some(0) }) };
    assert_eq!(plan(&led_by_3), Plan::Settled, "one that drains votes on, as nobody can take its place");
    let leaves = view(3, &[2, 3], &[1, 2, 3], &[]).silent(&[2]);
    assert_eq!(plan(&leaves), voters(&[3]), "the one of both that answers");
    let far = Presence::Answers { behind: Some(7) };
    assert_eq!(plan(&view(1, &[2, 3, 4], &[1, 2, 3], &[(4, 0)]).with(&[2], far)), transfer(3));
    let too_far = Presence::Answers { behind: Some(500) };
    assert_eq!(plan(&view(1, &[2, 3, 4], &[1, 2, 3], &[(4, 0)]).with(&[2, 3], too_far)), behind(&[2, 3]));
}

#[test]
fn voters_that_can_not_agree_are_never_made() {
    let nobody_else = view(1, &[2], &[1, 2, 3], &[]).silent(&[2]);
    assert_eq!(plan(&nobody_else), Plan::Wait(Wait::NobodyElse));
    let newcomer = view(1, &[2, 4], &[1, 2, 3], &[(4, 0)]).silent(&[2]);
    assert_eq!(plan(&newcomer), voters(&[4]), "it answers; the others of the new voters would not");
    let two_of_five = view(1, &[3, 4, 5], &[1, 2, 3, 4, 5], &[]).draining(&[1, 2]).silent(&[4, 5]);
    assert_eq!(plan(&two_of_five), transfer(3));
    let no_quorum = view(1, &[1, 2, 3], &[1, 2, 3, 4], &[]).silent(&[2, 3]);
    assert_eq!(plan(&no_quorum), Plan::Wait(Wait::NoQuorum));
}

#[test]
fn fewer_vote_only_when_nobody_is_about_to_take_the_place() {
    let coming = view(2, &[2, 3, 4], &[1, 2, 3], &[(4, 5000)]);
    assert_eq!(plan(&coming), behind(&[4]));
    assert_eq!(plan(&coming.silent(&[4])), voters(&[2]));
}

#[test]
fn who_votes_keeps_the_vote_while_it_is_silent() {
    for learners in [vec![], vec![(4, 0)]] {
        let all: Vec<u64> = (1..=3).chain(learners.iter().map(|(id, _)| *id)).collect();
        assert_eq!(plan(&view(1, &all, &[1, 2, 3], &learners).silent(&[2])), Plan::Settled);
    }
}

#[test]
fn a_draining_node_votes_until_another_can_but_does_not_lead() {
    let three = view(2, &[2, 3], &[1, 2, 3], &[]).draining(&[1]);
    assert_eq!(plan(&three), Plan::Settled);
    assert_eq!(plan(&View { leader: NodeId(1), ..three.clone() }), transfer(2));
    let nobody = view(1, &[2, 3], &[1, 2, 3], &[]).draining(&[1]).with(&[2, 3], Presence::Answers { behind: None });
    assert_eq!(plan(&nobody), behind(&[2, 3]));
    let spare = view(2, &[2, 3, 4], &[1, 2, 3], &[(4, 0)]).draining(&[1]);
    assert_eq!(plan(&spare), voters(&[2, 3, 4]));
    assert_eq!(plan(&spare.silent(&[4])), Plan::Settled);
    let two_of_three = view(3, &[3], &[1, 2, 3], &[]).draining(&[1, 2]);
    assert_eq!(plan(&two_of_three), Plan::Settled);
}

#[test]
fn a_draining_node_goes_on_listening() {
    let led_by_another = view(2, &[2, 3, 4], &[2, 3, 4], &[(1, 0)]).draining(&[1]);
    assert_eq!(plan(&led_by_another), Plan::Settled);
    let restarted = view(2, &[2, 3, 4], &[2, 3, 4], &[]).draining(&[1]);
    assert_eq!(plan(&restarted), Plan::Take(Step::AddLearner { node: NodeId(1), address: "node-1:1".to_owned() }));
}

#[test]
fn the_last_voter_votes_on_while_it_drains() {
    assert_eq!(plan(&view(1, &[], &[1], &[]).draining(&[1])), Plan::Settled);
}

#[test]
fn a_node_that_becomes_an_edge_hears_of_it_before_it_is_dropped() {
    let edge = View { edges: ids(&[3]), ..view(1, &[1, 2], &[1], &[(2, 0), (3, 5)]) };
    assert_eq!(plan(&edge), Plan::Settled);
    assert_eq!(plan(&edge.clone().with(&[3], Presence::Unheard)), Plan::Settled);
    assert_eq!(plan(&edge.silent(&[3])), Plan::Take(Step::Drop(NodeId(3))));
}

#[test]
fn a_removed_node_leaves_and_is_dropped() {
    assert_eq!(plan(&view(1, &[1, 2], &[1, 2, 3], &[])), voters(&[1]));
    assert_eq!(plan(&view(1, &[1, 2], &[1], &[(2, 0), (3, 5)])), Plan::Take(Step::Drop(NodeId(3))));
}

/// What a step does to the members when it succeeds.
fn perform(view: &mut View, step: Step) {
    let present = Presence::Answers { behind: Some(0) };
    match step {
        Step::AddLearner { node, .. } => {
            view.learners.insert(node);
            view.presence.entry(node).or_insert(present);
        }
        Step::Transfer { to } => view.leader = to,
        Step::Drop(node) => drop(view.learners.remove(&node)),
        Step::SetVoters(voters) => {
            view.learners.extend(view.voters.difference(&voters).copied());
            view.learners.retain(|node| !voters.contains(node));
            view.voters = voters;
            if !view.voters.contains(&view.leader) {
                let next = view.voters.iter().copied().find(|node| view.answers(*node));
                view.leader = next.expect("a plan has voters that answer");
            }
        }
    }
}

fn some_ids() -> impl Strategy<Value = BTreeSet<u64>> {
    prop::collection::btree_set(1..9_u64, 1..8)
}

fn list(ids: &BTreeSet<u64>) -> Vec<u64> {
    ids.iter().copied().collect()
}

proptest! {
    #[test]
    fn every_plan_ends_with_an_odd_number_of_willing_voters(willing in some_ids(), now in some_ids(), listening in some_ids()) {
        let learners: Vec<(u64, u64)> = listening.difference(&now).map(|id| (*id, 0)).collect();
        let mut view = view(*now.first().expect("not empty"), &list(&willing), &list(&now), &learners);
        let mut steps = 0;
        while let Plan::Take(step) = plan(&view) {
            perform(&mut view, step);
            steps += 1;
            prop_assert!(steps < 40, "the plan goes in circles: {view:?}");
            prop_assert!(view.voters.contains(&view.leader));
        }
        prop_assert_eq!(plan(&view), Plan::Settled);
        prop_assert_eq!(view.voters.len() % 2, 1);
        prop_assert!(view.voters.iter().all(|node| view.willing.contains_key(node)));
        prop_assert!(view.learners.iter().all(|node| view.willing.contains_key(node)));
        prop_assert_eq!(view.voters.len() + view.learners.len(), view.willing.len());
    }

    #[test]
    fn no_step_leads_to_who_does_not_answer(
        willing in some_ids(), drains in some_ids(), now in some_ids(), silent in some_ids(), leader in 0..8_usize,
    ) {
        let leader = *now.iter().cycle().nth(leader).expect("not empty");
        let silent: Vec<u64> = silent.into_iter().filter(|id| *id != leader).collect();
        let willing = willing.difference(&drains).copied().collect();
        let mut view =
            view(leader, &list(&willing), &list(&now), &[]).draining(&list(&drains)).silent(&silent);
        let mut steps = 0;
        while let Plan::Take(step) = plan(&view) {
            match &step {
                Step::Transfer { to } => prop_assert!(view.answers(*to) && view.voters.contains(to)),
                Step::SetVoters(voters) => {
                    prop_assert!(view.agree(voters) && view.agree(&view.voters), "{voters:?} of {view:?}");
                    let new = voters.difference(&view.voters);
                    prop_assert!(new.into_iter().all(|node| view.is_ready(*node)), "{voters:?} of {view:?}");
                }
                Step::AddLearner { .. } | Step::Drop(_) => {}
            }
            perform(&mut view, step);
            steps += 1;
            prop_assert!(steps < 40, "the plan goes in circles: {view:?}");
        }
    }

    #[test]
    fn nodes_that_come_and_go_take_no_vote_from_anybody(
        others in some_ids(), weather in prop::collection::vec(some_ids(), 1..20),
    ) {
        let all: Vec<u64> = [1].into_iter().chain(others.into_iter().filter(|id| *id != 1)).collect();
        let learners: Vec<(u64, u64)> = all.iter().skip(1).map(|id| (*id, 0)).collect();
        let calm = view(1, &all, &[1], &learners);
        let mut view = calm.clone();
        for silent in weather {
            view.presence = calm.clone().silent(&list(&silent)).presence;
            if let Plan::Take(step) = plan(&view) {
                let before = view.voters.clone();
                perform(&mut view, step);
                prop_assert!(view.voters.is_superset(&before), "{before:?} became {:?}", view.voters);
                prop_assert_eq!(view.leader, NodeId(1));
            }
        }
    }
}
