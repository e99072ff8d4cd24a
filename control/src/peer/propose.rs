//! A node's own proposal, carried to the leader.
//!
//! **Owns** what an edge or a voter that does not lead wants changed, such as its own address, and what the leader believes of
//! it. **Must not know** API calls, which go as requests. **Enter at** [`Proposer`] and [`ProposeService`].

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use skerry_proto::{
    id::{NodeId, Revision},
    mesh::{self as pb, proposed::Outcome, refusal::Code},
};

use crate::{
    catalog::{
        Actor, Admission, Applied, Catalog, Change, Command, Repeated,
        wire::{decode_command, encode_command},
    },
    clock,
    error::ProposeError,
    limits::COMMAND_BYTES_MAX,
    mesh::{CallError, Caller, FrameError, Incoming, Mesh, Service},
    raft::Raft,
    seat::Seat,
    state::States,
};

/// BOUND: how long an elected leader may take until it takes proposals: one entry of its term is agreed on first.
const ELECTED_TIMEOUT: Duration = Duration::from_secs(2);
/// How soon it is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// Proposes on behalf of this node, wherever the leader is. Clones share everything.
#[derive(Clone)]
pub(crate) struct Proposer {
    pub(crate) node: NodeId,
    pub(crate) seat: Seat,
    pub(crate) mesh: Arc<OnceLock<Mesh>>,
    pub(crate) states: Arc<States>,
    pub(crate) within: Duration,
}

impl Proposer {
    /// Changes the catalog. `Ok`: the change is durable on a quorum, and this node shows it. What a command made, such as a
    /// version's number, is told only where this node leads.
    pub(crate) async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        if let Some(raft) = self.seat.raft() {
            match self.propose_here(&raft, &command).await {
                Err(ProposeError::NotLeader { .. }) => {}
                decided => return decided,
            }
        }
        let Some(mesh) = self.mesh.get() else {
            return Err(ProposeError::NotLeader { leader: None });
        };
        let catalog = self.states.catalog();
        let request = pb::Propose { command: encode_command(&command).into() };
        let mut refused = ProposeError::Unavailable { reason: "no voter is known".to_owned() };
        for voter in self.seat.ask_next(self.node, &catalog) {
            match ask(mesh, voter, &request, self.within).await {
                Ok(revision) => return self.seen(revision).await,
                Err(error @ ProposeError::Unavailable { .. }) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    /// A leader that was elected a moment ago says both that it leads and that it does not: then it is asked again.
    async fn propose_here(&self, raft: &Raft, command: &Command) -> Result<Applied, ProposeError> {
        let deadline = clock::monotonic() + ELECTED_TIMEOUT;
        loop {
            let decided = raft.propose(command.clone()).await;
            let is_new = matches!(decided, Err(ProposeError::NotLeader { .. })) && raft.is_elected();
            if !is_new || clock::monotonic() > deadline {
                return decided;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until this node shows what was agreed.
    async fn seen(&self, revision: Revision) -> Result<Applied, ProposeError> {
        if !self.states.reach(revision, self.within).await {
            let reason = format!("it is done as revision {revision}, which this node does not show yet");
            return Err(ProposeError::Unknown { reason });
        }
        let (versions, deployments) = (Vec::new(), Vec::new());
        Ok(Applied { revision, versions, deployments, repeated: Repeated::No })
    }
}

async fn ask(mesh: &Mesh, to: NodeId, request: &pb::Propose, within: Duration) -> Result<Revision, ProposeError> {
    let unknown = |reason: String| Err(ProposeError::Unknown { reason });
    match mesh.call(to, request, within).await {
        Ok(pb::Proposed { outcome: Some(Outcome::Applied(revision)) }) => Ok(Revision(revision)),
        Ok(pb::Proposed { outcome: Some(Outcome::Rejected(reason)) }) => Err(ProposeError::Refused { reason }),
        Ok(pb::Proposed { outcome: Some(Outcome::Unknown(reason)) }) => unknown(reason),
        Ok(pb::Proposed { outcome: None }) => unknown("the leader's answer says nothing".to_owned()),
        Err(error @ (CallError::Unsent { .. } | CallError::Refused { .. })) => {
            Err(ProposeError::Unavailable { reason: error.to_string() })
        }
        Err(error @ (CallError::Lost { .. } | CallError::Malformed { .. })) => unknown(error.to_string()),
    }
}

/// Takes proposals of other nodes: what a node may say of itself, and what a voter does for a joiner.
pub(crate) struct ProposeService {
    pub(crate) seat: Seat,
}

#[async_trait]
impl Service for ProposeService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a node's proposal was not answered");
        }
    }
}

impl ProposeService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let request: pb::Propose = call.request(COMMAND_BYTES_MAX + 1024).await?;
        let command = match decode_command(&request.command) {
            Ok(command) => command,
            Err(error) => return call.refuse(Code::Invalid, &error.to_string()).await,
        };
        let Caller::Node(node) = from else {
            return call.refuse(Code::Forbidden, "only members propose").await;
        };
        let Some(raft) = self.seat.raft() else {
            return call.refuse(Code::Unavailable, "this node is no voter").await;
        };
        let command = match believed(&raft.catalog(), node, command, clock::unix_ms()) {
            Ok(command) => command,
            Err((code, reason)) => return call.refuse(code, reason).await,
        };
        let outcome = match raft.propose(command).await {
            Ok(applied) => Outcome::Applied(applied.revision.0),
            Err(ProposeError::Rejected(rejection)) => Outcome::Rejected(rejection.to_string()),
            Err(ProposeError::Unknown { reason }) => Outcome::Unknown(reason),
            Err(error) => return call.refuse(Code::Unavailable, &error.to_string()).await,
        };
        call.answer(&pb::Proposed { outcome: Some(outcome) }).await
    }
}

/// The command that a node's proposal stands for: what changes is its own word, when and by whom is not. The time decides
/// whether a join token is still good, and the actor is what the audit log shows.
fn believed(catalog: &Catalog, from: NodeId, asked: Command, now_ms: i64) -> Result<Command, (Code, &'static str)> {
    let forbidden = |what| Err((Code::Forbidden, what));
    let Command { changes, expects, idempotency, .. } = asked;
    if !expects.is_empty() || idempotency.is_some() {
        return forbidden("a node's proposal has no conditions and no idempotency key");
    }
    let actor = match &changes[..] {
        [Change::UpdateNode(update)] if update.id == from => match catalog.node(from) {
            Some(node) => Actor::node(&node.name),
            None => return Err((Code::Unavailable, "this node does not know the one that proposes yet")),
        },
        // It proves itself by its token, so any node may carry one.
        [Change::AdmitNode(joiner)] if joiner.admission != Admission::Founder => Actor::node(&joiner.name),
        _ => return forbidden("a node proposes one thing that it says of itself or of a joiner"),
    };
    Ok(Command::new(actor, now_ms, changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Expectation, Idempotency, TokenHash, testing::Lab};

    const TOKEN: Admission = Admission::Token(TokenHash([7; 32]));

    fn lab() -> (Lab, NodeId, NodeId) {
        let mut lab = Lab::new();
        let (first, second) = (lab.voter("n1"), lab.voter("n2"));
        (lab, first, second)
    }

    /// What a node is believed when it asks for this.
    fn asked(lab: &Lab, node: NodeId, command: Command) -> Result<Command, Code> {
        believed(&lab.catalog, node, command, 1_000).map_err(|(code, _)| code)
    }

    #[test]
    fn a_node_does_not_say_when_or_who_it_is() {
        let (lab, _, second) = lab();
        let actor = Actor { name: "ada".to_owned(), from: "192.0.2.1".to_owned(), ..Actor::default() };
        let update = vec![Change::UpdateNode(lab.node_update(second, 2))];
        let expected = Command::new(Actor::node("n2"), 1_000, update.clone());
        assert_eq!(asked(&lab, second, Command::new(actor.clone(), 1, update)), Ok(expected));
        let admit = vec![lab.new_node("n3", TOKEN)];
        let expected = Command::new(Actor::node("n3"), 1_000, admit.clone());
        assert_eq!(asked(&lab, second, Command::new(actor, i64::MAX, admit)), Ok(expected));
    }

    #[test]
    fn a_node_proposes_one_thing_of_its_own_without_conditions() {
        let (lab, first, second) = lab();
        let own = Change::UpdateNode(lab.node_update(second, 2));
        let command = |changes| Command::new(Actor::node("n2"), 1, changes);
        let key = Idempotency { key: "0/deploy".to_owned(), fingerprint: [0; 32] };
        let absent = Expectation::Absent { environment: lab.environment("shop", "production") };
        for wrong in [
            Command { idempotency: Some(key), ..command(vec![own.clone()]) },
            command(vec![own.clone()]).expecting(absent),
            command(vec![own.clone(), own.clone()]),
            command(vec![]),
            command(vec![Change::UpdateNode(lab.node_update(first, 2))]),
            command(vec![lab.new_node("n3", Admission::Founder)]),
            command(vec![Change::SetFeatureLevel { level: 1 }]),
        ] {
            assert_eq!(asked(&lab, second, wrong), Err(Code::Forbidden));
        }
        let unknown = NodeId(999);
        let early = command(vec![Change::UpdateNode(lab.node_update(unknown, 2))]);
        assert_eq!(asked(&lab, unknown, early), Err(Code::Unavailable));
    }
}
