//! Pure. Which nodes a local cluster shall have.
//!
//! **Owns** names, roles and regions, and what a cluster that is there already allows. **Must not know** folders or
//! processes. **Enter at** [`missing`].

use super::settings::{NodeSettings, Role};

/// How many voters, where nobody says and there are none yet: one may fail.
const VOTERS: usize = 3;
const DOMAIN: &str = "workers.localhost";

/// What the command line says; what is absent stays as it is, or takes its default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) voters: Option<usize>,
    pub(crate) edges: Option<usize>,
    pub(crate) domain: Option<String>,
    /// Given to new nodes in turn.
    pub(crate) regions: Vec<String>,
}

/// A node to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Newcomer {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) region: String,
    pub(super) domain: String,
}

/// Why a cluster that is there can not become the one that is wanted. State: unchanged. Retry: no.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RosterError {
    /// Nodes leave a cluster by name.
    #[error(
        "there are more {role} nodes ({there}) than {wanted}; `skerry cluster remove` takes one out, and its file and \
         folder can then be deleted"
    )]
    TooMany { role: &'static str, there: usize, wanted: usize },
    /// The founder fixed it.
    #[error("the domain is {there} for as long as the cluster exists; give another --dir for {wanted}")]
    OtherDomain { there: String, wanted: String },
    /// Its folder has the operator's token.
    #[error("there is no {FOUNDER}, which founded the cluster and has its admin token")]
    NoFounder,
}

/// The first node; the others join at it.
pub(super) const FOUNDER: &str = "node-1";

/// Whom the cluster lacks, voters first.
pub(super) fn missing(wanted: &Wanted, there: &[NodeSettings]) -> Result<Vec<Newcomer>, RosterError> {
    let founder = there.iter().find(|node| node.name == FOUNDER);
    if founder.is_none() && !there.is_empty() {
        return Err(RosterError::NoFounder);
    }
    let domain = match (founder, &wanted.domain) {
        (Some(founder), Some(domain)) if founder.domain != *domain => {
            return Err(RosterError::OtherDomain { there: founder.domain.clone(), wanted: domain.clone() });
        }
        (Some(founder), _) => founder.domain.clone(),
        (None, domain) => domain.clone().unwrap_or_else(|| DOMAIN.to_owned()),
    };
    let mut newcomers = Vec::new();
    let kinds = [(Role::Voter, "node", wanted.voters, VOTERS), (Role::Edge, "edge", wanted.edges, 0)];
    for (role, prefix, wanted_count, usual) in kinds {
        let present = there.iter().filter(|node| node.role == role).count();
        let count = wanted_count.unwrap_or(if there.is_empty() { usual } else { present });
        if present > count {
            return Err(RosterError::TooMany { role: role.as_str(), there: present, wanted: count });
        }
        let names = (1..).map(|number| format!("{prefix}-{number}"));
        let free = names.filter(|name| !there.iter().any(|node| node.name == *name));
        for name in free.take(count - present) {
            let place = there.len() + newcomers.len();
            let region = wanted.regions.get(place % wanted.regions.len().max(1)).cloned().unwrap_or_default();
            newcomers.push(Newcomer { name, role, region, domain: domain.clone() });
        }
    }
    Ok(newcomers)
}

/// The order in which nodes are shown and started: voters before edges, the founder first.
pub(super) fn sort(nodes: &mut [NodeSettings]) {
    let number = |node: &NodeSettings| node.name.rsplit('-').next().and_then(|number| number.parse::<u32>().ok());
    nodes.sort_by_key(|node| (node.name != FOUNDER, node.role, number(node), node.name.clone()));
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::local::settings::Ports;

    fn wanted(voters: Option<usize>, edges: Option<usize>) -> Wanted {
        Wanted { voters, edges, ..Wanted::default() }
    }

    fn built(newcomers: Vec<Newcomer>) -> Vec<NodeSettings> {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let ports = Ports { http: at, https: at, api: at, metrics: at, mesh: at };
        let build = |Newcomer { name, role, region, domain }| NodeSettings { name, role, region, domain, ports };
        newcomers.into_iter().map(build).collect()
    }

    fn names(newcomers: &[Newcomer]) -> Vec<&str> {
        newcomers.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn a_new_cluster_has_three_voters_unless_told() {
        let made = missing(&wanted(None, None), &[]).unwrap();
        assert_eq!(names(&made), ["node-1", "node-2", "node-3"]);
        let regions = ["eu", "us"].map(str::to_owned).to_vec();
        let made = missing(&Wanted { regions, ..wanted(Some(1), Some(2)) }, &[]).unwrap();
        let seen: Vec<_> = made.iter().map(|node| (node.name.as_str(), node.role, node.region.as_str())).collect();
        let edges = [("edge-1", Role::Edge, "us"), ("edge-2", Role::Edge, "eu")];
        assert_eq!(seen, [&[("node-1", Role::Voter, "eu")][..], &edges].concat());
        assert_eq!(made[0].domain, "workers.localhost");
    }

    #[test]
    fn a_cluster_that_is_there_stays_grows_and_never_shrinks_silently() {
        let mut there = built(missing(&wanted(Some(3), Some(1)), &[]).unwrap());
        assert_eq!(missing(&wanted(None, None), &there), Ok(vec![]));
        assert_eq!(missing(&wanted(Some(3), Some(1)), &there), Ok(vec![]));
        assert_eq!(names(&missing(&wanted(Some(5), Some(2)), &there).unwrap()), ["node-4", "node-5", "edge-2"]);
        let error = RosterError::TooMany { role: "voter", there: 3, wanted: 1 };
        assert_eq!(missing(&wanted(Some(1), None), &there), Err(error));
        // Somebody has taken one out by hand.
        there.remove(1);
        assert_eq!(names(&missing(&wanted(Some(3), None), &there).unwrap()), ["node-2"]);
        there.remove(0);
        assert_eq!(missing(&wanted(None, None), &there), Err(RosterError::NoFounder));
    }

    #[test]
    fn the_domain_is_the_founders() {
        let domain = |name: &str| Wanted { domain: Some(name.to_owned()), ..wanted(None, Some(1)) };
        let there = built(missing(&domain("a.test"), &[]).unwrap());
        assert!(missing(&domain("a.test"), &there).is_ok());
        assert!(matches!(missing(&domain("b.test"), &there), Err(RosterError::OtherDomain { .. })));
        assert_eq!(missing(&wanted(None, Some(2)), &there).unwrap()[0].domain, "a.test");
    }

    #[test]
    fn nodes_are_in_the_order_of_their_numbers() {
        let mut there = built(missing(&wanted(Some(5), Some(11)), &[]).unwrap());
        let order: Vec<_> = there.iter().map(|node| node.name.clone()).collect();
        there.sort_by(|one, other| one.name.cmp(&other.name));
        sort(&mut there);
        assert_eq!(there.iter().map(|node| node.name.clone()).collect::<Vec<_>>(), order);
    }
}
