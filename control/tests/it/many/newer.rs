//! What nodes of this build make of commands that only a newer build knows.

use prost::Message;
use skerry_control::{
    catalog::{Actor, Change, Command, NodeUpdate, wire::encode_command},
    mesh::{Call, CallError, Directory, Mesh, MeshConfig, NodeIdentity},
};
use skerry_proto::{
    catalog as pb,
    mesh::{Method, Proposed, proposed::Outcome, refusal::Code},
    versioned::{HEADER_BYTES, MAGIC},
};

use super::*;

/// BOUND: longer than any call takes.
const LONG: Duration = Duration::from_secs(20);
/// The number of a field that no build has.
const LATER: u32 = 900;

/// A proposal as a later build may write it.
#[derive(Clone, PartialEq, prost::Message)]
struct NewerPropose {
    #[prost(bytes = "vec", tag = "1")]
    command: Vec<u8>,
    #[prost(string, tag = "900")]
    since_later: String,
}

impl Call for NewerPropose {
    type Answer = Proposed;
    const METHOD: Method = Method::Propose;
}

/// A node of a later build that has no state of its own: it speaks to one other.
struct Newer {
    mesh: Mesh,
    other: NodeId,
}

struct Only(NodeId, String);

impl Directory for Only {
    fn address(&self, node: NodeId) -> Option<String> {
        (node == self.0).then(|| self.1.clone())
    }

    fn is_member(&self, node: NodeId) -> bool {
        node == self.0
    }
}

impl Newer {
    /// In the place of a node that was stopped.
    async fn replace(old: Node, other: &Node) -> Self {
        old.control.shutdown().await;
        let identity = NodeIdentity::open(&old.config.data_dir).unwrap().unwrap();
        let directory = Only(other.control.node(), other.address());
        let mesh = Mesh::build(MeshConfig::new(mesh().listen), identity, Arc::new(directory)).unwrap();
        Self { mesh, other: other.control.node() }
    }

    async fn propose(&self, command: Vec<u8>) -> Result<Proposed, CallError> {
        let call = NewerPropose { command, since_later: "later".to_owned() };
        self.mesh.call(self.other, &call, LONG).await
    }
}

/// Puts more fields behind a framed message.
fn extended(framed: &[u8], more: &[u8]) -> Vec<u8> {
    let body = [&framed[HEADER_BYTES..], more].concat();
    let sum = blake3::hash(&[&framed[2..4], &body].concat());
    [&MAGIC, &framed[2..4], &sum.as_bytes()[..8], &body].concat()
}

/// A field that holds these bytes.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut field);
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_node_ignores_new_fields_refuses_new_changes_and_goes_on() {
    let mut cluster = Cluster::start(1).await;
    let token = cluster.join_token(json!({})).await;
    let edge = cluster.join("edge", NodeRole::Edge, &token).await.unwrap();
    let catalog = cluster.nodes[0].control.catalog();
    let own = catalog.node(cluster.nodes[edge].control.node()).unwrap().as_ref().clone();
    let newer = Newer::replace(cluster.nodes.remove(edge), &cluster.nodes[0]).await;

    let update = NodeUpdate {
        id: own.id,
        region: "moved".to_owned(),
        zone: own.zone,
        address: own.address,
        api: own.api,
        feature_level: own.feature_level,
        build: own.build,
        boot: own.boot,
    };
    let command = encode_command(&Command::new(Actor::node("edge"), 1, vec![Change::UpdateNode(update)]));
    // A field of the command that is not known changes nothing about the ones that are.
    let proposed = newer.propose(extended(&command, &field(LATER, b"later"))).await.unwrap();
    assert!(matches!(proposed.outcome, Some(Outcome::Applied(_))), "{proposed:?}");
    let moved = cluster.nodes[0].control.catalog().node(own.id).unwrap().region.clone();
    assert_eq!(moved, "moved");

    // A change of a kind that is not known is no smaller command: it is none.
    let kind = field(LATER, b"later");
    let changes = field(5, &kind);
    assert_eq!(pb::Command::decode(&changes[..]).unwrap().changes, [pb::Change { kind: None }]);
    let before = cluster.nodes[0].control.catalog().revision();
    let refused = newer.propose(extended(&command, &changes)).await.unwrap_err();
    let CallError::Refused { code: Code::Invalid, message, .. } = refused else { panic!("{refused:?}") };
    assert!(message.contains("change.kind") && message.contains("only a newer build knows"), "{message}");
    assert_eq!(cluster.nodes[0].control.catalog().revision(), before, "a refusal changes nothing");

    let (status, answer) = cluster.write(0, "after").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let again = newer.propose(command).await.unwrap();
    assert!(matches!(again.outcome, Some(Outcome::Applied(_))), "{again:?}");
    cluster.stop().await;
}
