//! Pure. Whether the nodes of a local cluster have become one.
//!
//! **Owns** what is not so yet, as a sentence. **Must not know** how they are asked. **Enter at** [`lacking`].

use super::settings::Role;
use crate::client::model::Cluster;

/// What one node says.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) role: Role,
    /// `None` where it does not answer.
    pub(super) cluster: Option<Cluster>,
}

/// What is to come about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    /// How many vote; `None` for any number, of which all voters say the same.
    pub(super) voters: Option<usize>,
    /// How many are members, at least: those that do not run count too.
    pub(super) nodes: usize,
}

/// What is not so yet; `None` once every node knows of all, and the voters follow one leader.
pub(super) fn lacking(views: &[View<'_>], goal: Goal) -> Option<String> {
    let mut first: Option<(&str, &Cluster)> = None;
    for view in views {
        let name = view.name;
        let Some(cluster) = &view.cluster else { return Some(format!("{name} does not answer")) };
        if cluster.nodes < goal.nodes {
            return Some(format!("{name} knows of {} of {} nodes", cluster.nodes, goal.nodes));
        }
        if view.role == Role::Edge {
            continue;
        }
        if cluster.leader.is_none() {
            return Some(format!("{name} knows of no leader"));
        }
        if goal.voters.is_some_and(|voters| cluster.voters.len() != voters) {
            let voters = goal.voters.unwrap_or_default();
            return Some(format!("{name} sees {} of {voters} voters", cluster.voters.len()));
        }
        match first {
            None => first = Some((name, cluster)),
            Some((other, seen)) if seen.leader != cluster.leader || seen.voters != cluster.voters => {
                return Some(format!("{other} and {name} do not agree on who leads and who votes"));
            }
            Some(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &'static str, role: Role, leader: Option<u64>, voters: &[u64], nodes: usize) -> View<'static> {
        let cluster = Some(Cluster { leader, voters: voters.to_vec(), nodes, ..Cluster::default() });
        View { name, role, cluster }
    }

    #[test]
    fn nodes_are_one_cluster_when_all_are_known_and_the_voters_agree() {
        let goal = Goal { voters: Some(3), nodes: 4 };
        let good = |name| view(name, Role::Voter, Some(1), &[1, 5, 6], 4);
        let edge = |nodes| view("e", Role::Edge, None, &[], nodes);
        assert_eq!(lacking(&[good("a"), good("b"), edge(4)], goal), None);
        let silent = View { name: "b", role: Role::Voter, cluster: None };
        for (other, says) in [
            (silent, "b does not answer"),
            (edge(3), "e knows of 3 of 4 nodes"),
            (view("b", Role::Voter, None, &[1, 5, 6], 4), "b knows of no leader"),
            (view("b", Role::Voter, Some(1), &[1], 4), "b sees 1 of 3 voters"),
            (view("b", Role::Voter, Some(5), &[1, 5, 6], 4), "a and b do not agree"),
            (view("b", Role::Voter, Some(1), &[1, 5, 7], 4), "a and b do not agree"),
        ] {
            let lacks = lacking(&[good("a"), other], goal).unwrap();
            assert!(lacks.starts_with(says), "{lacks}");
        }
        let alone = Goal { voters: None, nodes: 1 };
        assert_eq!(lacking(&[view("a", Role::Voter, Some(1), &[1], 1)], alone), None);
    }
}
