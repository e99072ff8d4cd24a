//! Pure. Machines that come, change and go.
//!
//! **Owns** who is admitted, and that a cluster that has voters keeps one. **Must not know** raft's membership, which
//! follows from the roles here. **Enter at** [`Step::admit_node`].

use std::sync::Arc;

use skerry_proto::id::NodeId;

use super::{Step, limits};
use crate::catalog::{
    Admission, JoinToken, NewNode, Node, NodeRole, NodeState, NodeUpdate, Noun, Rejection, TokenHash, WhenVoter,
};

/// The node that made the cluster. Every other id is the index of a log entry, and the first of those is raft's own.
const FOUNDER: NodeId = NodeId(1);

impl Step {
    pub(super) fn admit_node(&mut self, new: &NewNode) -> Result<(), Rejection> {
        if let Some(id) = self.admitted_before(new) {
            self.log("node.admit", &new.name, [("id", id.to_string()), ("repeated", "yes".to_owned())]);
            return Ok(());
        }
        // First, so that nobody without a token learns which names are taken.
        let token = match new.admission {
            Admission::Founder => None,
            Admission::Token(hash) => Some(self.join_token(&hash, new.role)?),
        };
        if let Some(id) = self.returns(new) {
            let by = token.map(|token| self.use_up(&token)).unwrap_or_default();
            self.node_mut(id)?.admitted_by = admitted_by(new);
            self.log("node.admit", &new.name, [("id", id.to_string()), ("again", "yes".to_owned()), ("token", by)]);
            return Ok(());
        }
        self.check_newcomer(new)?;
        let id = match &token {
            None => self.founder(new.role)?,
            Some(_) => NodeId(self.revision.0),
        };
        if self.catalog.nodes.contains_key(&id) {
            return Err(Rejection::invalid("changes", "a command admits one node"));
        }
        let by = token.map(|token| self.use_up(&token)).unwrap_or_default();
        self.catalog.node_keys.insert(new.public_key, id);
        self.catalog.nodes.insert(id, Arc::new(Node::admitted(id, new, self.at_ms)));
        self.log("node.admit", &new.name, [("id", id.to_string()), ("role", new.role.to_string()), ("token", by)]);
        Ok(())
    }

    pub(super) fn update_node(&mut self, update: &NodeUpdate) -> Result<(), Rejection> {
        let old = Arc::clone(self.node(update.id)?);
        let is_alone = self.catalog.nodes.len() == 1;
        check_place(&update.region, &update.zone)?;
        check_addresses(&update.address, &update.api, is_alone)?;
        check_build(&update.build)?;
        self.check_feature_level(update.feature_level)?;
        if update.boot < old.boot {
            let (boot, seen) = (update.boot, old.boot);
            let rule =
                format!("{boot} is older than {seen}: the data directory is an old copy; join with an empty one");
            return Err(Rejection::invalid("boot", rule));
        }
        let node = old.updated(update);
        let detail = [("id", node.id.to_string()), ("address", node.address.clone()), ("build", node.build.clone())];
        self.log("node.update", &node.name, detail);
        self.catalog.nodes.insert(node.id, Arc::new(node));
        Ok(())
    }

    pub(super) fn set_node_role(&mut self, id: NodeId, role: NodeRole) -> Result<(), Rejection> {
        let old = Arc::clone(self.node(id)?);
        if role == NodeRole::Edge {
            self.keep_a_voter(&old)?;
        }
        self.node_mut(id)?.role = role;
        let detail = [("id", id.to_string()), ("from", old.role.to_string()), ("to", role.to_string())];
        self.log("node.role", &old.name, detail);
        Ok(())
    }

    pub(super) fn set_node_state(&mut self, id: NodeId, state: NodeState) -> Result<(), Rejection> {
        let node = self.node_mut(id)?;
        node.state = state;
        let name = node.name.clone();
        let action = match state {
            NodeState::Draining => "node.drain",
            NodeState::Active => "node.undrain",
        };
        self.log(action, name, [("id", id.to_string())]);
        Ok(())
    }

    pub(super) fn remove_node(&mut self, id: NodeId, voter: WhenVoter) -> Result<(), Rejection> {
        let node = Arc::clone(self.node(id)?);
        self.keep_a_voter(&node)?;
        if node.role == NodeRole::Voter && voter == WhenVoter::Refuse {
            let by = "raft: it is a voter; make it an edge and wait until it does not vote, or use force if the machine \
                      is lost";
            return Err(Rejection::InUse { noun: Noun::Node, name: node.name.clone(), by: by.to_owned() });
        }
        if voter == WhenVoter::Refuse {
            self.keeps_nothing(&node)?;
        }
        self.catalog.nodes.remove(&id);
        self.catalog.node_keys.remove(&node.public_key);
        self.log("node.remove", &node.name, [("id", id.to_string()), ("role", node.role.to_string())]);
        Ok(())
    }

    /// The node that the same request made before, when its answer was lost. Only who holds the key's private half can
    /// ask for it, so the token need not be good any more.
    fn admitted_before(&self, new: &NewNode) -> Option<NodeId> {
        let node = self.catalog.node_by_key(&new.public_key)?;
        (node.name == new.name && node.admitted_by == admitted_by(new)).then_some(node.id)
    }

    /// The edge that this is, with a token that is good for it: its certificate has ended. A voter makes its own, and one that
    /// has lost its log must not come back under its id.
    fn returns(&self, new: &NewNode) -> Option<NodeId> {
        let node = self.catalog.node_by_key(&new.public_key)?;
        let is_edge = node.role == NodeRole::Edge && new.role == NodeRole::Edge;
        (is_edge && node.name == new.name).then_some(node.id)
    }

    fn join_token(&self, hash: &TokenHash, role: NodeRole) -> Result<Arc<JoinToken>, Rejection> {
        const MAKE_ONE: &str = "make another with `skerry cluster join-token`";
        let wrong = |rule: String| Err(Rejection::invalid("join token", rule));
        if self.catalog.nodes.is_empty() {
            return wrong("the cluster has no nodes yet; start the one that made it first".to_owned());
        }
        match self.catalog.join_token_by_hash(hash) {
            None => wrong(format!("it is unknown, used up, revoked or long expired; {MAKE_ONE}")),
            Some(token) if !token.is_current(self.at_ms) => wrong(format!("it has expired; {MAKE_ONE}")),
            Some(token) if token.role.is_some_and(|most| !most.includes(role)) => wrong(format!(
                "it admits no {role}; join as an edge, or make another with `skerry cluster join-token --role {role}`"
            )),
            Some(token) => Ok(Arc::clone(token)),
        }
    }

    /// One use less; returns the token's identity.
    fn use_up(&mut self, token: &JoinToken) -> String {
        let left = JoinToken { uses_left: token.uses_left.saturating_sub(1), ..token.clone() };
        match left.uses_left {
            0 => self.catalog.join_tokens.remove(&token.id),
            _ => self.catalog.join_tokens.insert(token.id.clone(), Arc::new(left)),
        };
        self.forget_expired_join_tokens();
        token.id.to_string()
    }

    fn founder(&self, role: NodeRole) -> Result<NodeId, Rejection> {
        if !self.catalog.nodes.is_empty() {
            let rule = "the cluster has nodes already; join with a token from `skerry cluster join-token`";
            return Err(Rejection::invalid("join token", rule));
        }
        match role {
            NodeRole::Voter => Ok(FOUNDER),
            NodeRole::Edge => Err(Rejection::invalid("role", "the first node is a voter")),
        }
    }

    fn check_newcomer(&self, new: &NewNode) -> Result<(), Rejection> {
        check_name(&new.name)?;
        check_place(&new.region, &new.zone)?;
        check_addresses(&new.address, &new.api, new.admission == Admission::Founder)?;
        check_build(&new.build)?;
        self.check_feature_level(new.feature_level)?;
        if let Some(other) = self.catalog.node_by_name(&new.name) {
            let id = other.id;
            let rule = format!("node {id} is called {:?}; use another name, or remove that node first", new.name);
            return Err(Rejection::invalid("name", rule));
        }
        if let Some(other) = self.catalog.node_by_key(&new.public_key) {
            let (id, name) = (other.id, &other.name);
            let rule = format!("node {id} ({name}) has this key; join with an empty data directory");
            return Err(Rejection::invalid("public key", rule));
        }
        if self.catalog.nodes.len() >= limits::NODES_MAX {
            let rule = format!("a cluster has at most {}; remove those that are gone", limits::NODES_MAX);
            return Err(Rejection::invalid("nodes", rule));
        }
        Ok(())
    }

    /// A node that does not know what the cluster relies on would compute other states than the rest.
    fn check_feature_level(&self, knows: u32) -> Result<(), Rejection> {
        let needs = self.catalog.feature_level();
        if knows >= needs {
            return Ok(());
        }
        let rule =
            format!("the cluster is at {needs}, this build knows {knows} at most; update Skerry on this machine");
        Err(Rejection::invalid("feature level", rule))
    }

    /// Fails when a cluster would have no voter without this node.
    fn keep_a_voter(&self, node: &Node) -> Result<(), Rejection> {
        let mut others = self.catalog.nodes().filter(|other| other.id != node.id);
        if node.role == NodeRole::Edge || others.any(|other| other.role == NodeRole::Voter) {
            return Ok(());
        }
        let by = "the cluster: it is the last voter; make another node a voter first".to_owned();
        Err(Rejection::InUse { noun: Noun::Node, name: node.name.clone(), by })
    }

    /// Fails when a node is the home of KV namespaces, and names them.
    fn keeps_nothing(&self, node: &Node) -> Result<(), Rejection> {
        let titles: Vec<_> = self.catalog.namespaces_at(node.id).map(|kept| format!("{:?}", kept.title)).collect();
        let named = titles.iter().take(limits::NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match titles.len().saturating_sub(limits::NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if titles.is_empty() {
            return Ok(());
        }
        let by = format!(
            "KV: it keeps the entries of {named}{more}; delete these namespaces, or use force if the machine is lost and \
             their entries with it"
        );
        Err(Rejection::InUse { noun: Noun::Node, name: node.name.clone(), by })
    }

    fn node(&self, id: NodeId) -> Result<&Arc<Node>, Rejection> {
        self.catalog.node(id).ok_or_else(|| Rejection::not_found(Noun::Node, id))
    }

    fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Rejection> {
        let found = self.catalog.nodes.get_mut(&id).ok_or_else(|| Rejection::not_found(Noun::Node, id))?;
        Ok(Arc::make_mut(found))
    }
}

fn check_name(name: &str) -> Result<(), Rejection> {
    let fits = (1..=limits::NODE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if fits {
        return Ok(());
    }
    let rule = format!("use 1 to {} of a-z, A-Z, 0-9, '-', '_' and '.'", limits::NODE_NAME_BYTES_MAX);
    Err(Rejection::invalid("name", rule))
}

fn admitted_by(new: &NewNode) -> Option<TokenHash> {
    match new.admission {
        Admission::Founder => None,
        Admission::Token(hash) => Some(hash),
    }
}

fn check_place(region: &str, zone: &str) -> Result<(), Rejection> {
    check_short("region", region, limits::PLACE_BYTES_MAX)?;
    check_short("zone", zone, limits::PLACE_BYTES_MAX)
}

fn check_build(build: &str) -> Result<(), Rejection> {
    check_short("build", build, limits::BUILD_BYTES_MAX)
}

fn check_short(field: &str, text: &str, max_bytes: usize) -> Result<(), Rejection> {
    if text.len() <= max_bytes && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Rejection::invalid(field, format!("use at most {max_bytes} bytes without control characters")))
}

/// Only the single node of a cluster may do without a mesh.
fn check_addresses(address: &str, api: &str, is_alone: bool) -> Result<(), Rejection> {
    let check =
        |field: &str, text: &str, may_be_empty: bool| match (text.is_empty() && may_be_empty) || is_address(text) {
            true => Ok(()),
            false => Err(Rejection::invalid(field, "use host:port, with a host that the other nodes reach")),
        };
    check("address", address, is_alone)?;
    check("api", api, true)
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(ip) => ip.contains(':') && ip.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
        None => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !host.is_empty() && host.bytes().all(is_plain)
        }
    };
    text.len() <= limits::ADDRESS_BYTES_MAX && is_port && is_host
}
