//! The bytes on disk, pinned: whoever changes them must still read what is here, or raise the format version. `messages.rs`
//! pins every message there is, field by field; here are whole values as they occur.
//!
//! Each file in `golden/` is one framed message in hexadecimal. After a deliberate change, `SKERRY_WRITE_GOLDEN=1` writes
//! the files anew; never do that for a format version that has been released.

use std::{collections::BTreeMap, env, fmt::Debug, fs, path::PathBuf};

use prost::Message;
use skerry_proto::{
    backup, bundle, catalog, feed, gossip, kv, mesh, otlp, raft,
    versioned::{DecodeError, FORMAT_VERSION, Kind, SAFE_VERSION, decode, encode, encode_as},
};

fn pinned<M: Message + Default + PartialEq + Debug>(name: &str, kind: Kind, message: &M) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let found = hex::encode(encode(kind, message));
    if env::var_os("SKERRY_WRITE_GOLDEN").is_some() {
        fs::write(&file, format!("{found}\n")).expect("the golden folder is there");
    }
    let golden = fs::read_to_string(&file).expect("every pinned message has its file");
    assert_eq!(found, golden.trim(), "the bytes of {name} have changed");
    let bytes = hex::decode(golden.trim()).expect("golden files are hexadecimal");
    assert_eq!(decode::<M>(kind, &bytes).as_ref(), Ok(message));
}

/// As [`pinned`], for what is on a wire only and so has no frame.
fn pinned_bare<M: Message + Default + PartialEq + Debug>(name: &str, message: &M) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let found = hex::encode(message.encode_to_vec());
    if env::var_os("SKERRY_WRITE_GOLDEN").is_some() {
        fs::write(&file, format!("{found}\n")).expect("the golden folder is there");
    }
    let golden = fs::read_to_string(&file).expect("every pinned message has its file");
    assert_eq!(found, golden.trim(), "the bytes of {name} have changed");
    let bytes = hex::decode(golden.trim()).expect("golden files are hexadecimal");
    assert_eq!(M::decode(&bytes[..]).as_ref(), Ok(message));
}

fn log_id() -> raft::LogId {
    raft::LogId { leader_id: Some(raft::LeaderId { term: 3, node_id: 1 }), index: 42 }
}

fn membership() -> raft::Membership {
    raft::Membership {
        configs: vec![raft::VoterSet { ids: vec![1, 2] }],
        nodes: vec![raft::Node { id: 1, address: String::new() }, raft::Node { id: 2, address: "b:1".to_owned() }],
    }
}

fn environment() -> catalog::EnvironmentKey {
    let service = catalog::ServiceKey { account: "a".repeat(32), name: "shop".to_owned() };
    catalog::EnvironmentKey { service: Some(service), environment: "staging".to_owned() }
}

fn binding(value: catalog::binding::Value) -> catalog::Binding {
    catalog::Binding { value: Some(value) }
}

fn config() -> catalog::VersionConfig {
    use catalog::binding::Value;
    let sealed = catalog::Sealed { scope: "secret/x".to_owned(), bytes: vec![1, 2, 3].into() };
    let service = catalog::ServiceBinding { service: "cart".to_owned(), ..catalog::ServiceBinding::default() };
    catalog::VersionConfig {
        bindings: BTreeMap::from([
            ("CACHE".to_owned(), binding(Value::KvNamespace("b".repeat(32)))),
            ("CART".to_owned(), binding(Value::Service(service))),
            ("JSON".to_owned(), binding(Value::Json("{}".to_owned()))),
            ("KEY".to_owned(), binding(Value::Secret(sealed))),
            ("META".to_owned(), binding(Value::VersionMetadata(catalog::Empty {}))),
            ("URL".to_owned(), binding(Value::PlainText("https://example.com".to_owned()))),
        ]),
        removed: vec!["OLD".to_owned()],
        limits: Some(catalog::Limits { cpu_ms: Some(50), subrequests: None }),
    }
}

fn code() -> catalog::Code {
    catalog::Code {
        bundle_hash: vec![7; 32].into(),
        bundle_size_bytes: 8,
        syntax: catalog::Syntax::Modules.into(),
        main_module: "index.js".to_owned(),
        handlers: vec!["fetch".to_owned()],
        compatibility_date: "2026-01-01".to_owned(),
        compatibility_flags: vec!["nodejs_compat".to_owned()],
        startup_ms: 3,
    }
}

fn command() -> catalog::Command {
    use catalog::{base, change::Kind, config_edit, expectation};
    let upload = catalog::UploadVersion {
        environment: Some(environment()),
        version: Some(catalog::NewVersion {
            id: "00000001-0000-4000-8000-000000000000".to_owned(),
            code: Some(code()),
            config: Some(config()),
            keep_kinds: vec![catalog::BindingKind::Secret.into()],
            keep_names: vec!["A".to_owned()],
            base: Some(catalog::Base { kind: Some(base::Kind::Live(catalog::Empty {})) }),
            annotations: BTreeMap::from([("workers/tag".to_owned(), "v1".to_owned())]),
            source: "wrangler".to_owned(),
        }),
    };
    let configure = catalog::Configure {
        environment: Some(environment()),
        edits: vec![catalog::ConfigEdit { kind: Some(config_edit::Kind::Unset("A".to_owned())) }],
        ..catalog::Configure::default()
    };
    let expect = catalog::ExpectUnchanged { environment: Some(environment()), revision: 41 };
    catalog::Command {
        actor: Some(catalog::Actor { name: "admin".to_owned(), ..catalog::Actor::default() }),
        at_ms: 1_790_000_000_000,
        expects: vec![catalog::Expectation { kind: Some(expectation::Kind::Unchanged(expect)) }],
        idempotency: Some(catalog::Idempotency { key: "k".to_owned(), fingerprint: vec![9; 32].into() }),
        changes: [Kind::UploadVersion(upload), Kind::Configure(configure), Kind::RemoveCertificate("c".repeat(32))]
            .map(|kind| catalog::Change { kind: Some(kind) })
            .to_vec(),
    }
}

fn whole_catalog() -> catalog::Catalog {
    let version = catalog::Version {
        id: "00000001-0000-4000-8000-000000000000".to_owned(),
        number: 1,
        code: Some(code()),
        config: Some(config()),
        ..catalog::Version::default()
    };
    let share = catalog::Share { version: version.id.clone(), hundredths: 10_000 };
    let environment = catalog::Environment {
        name: "staging".to_owned(),
        parent: Some("production".to_owned()),
        versions: vec![version],
        next_number: 2,
        deployments: vec![catalog::Deployment { shares: vec![share], ..catalog::Deployment::default() }],
        workers_dev: catalog::Exposure::Public.into(),
        crons: vec!["*/5 * * * *".to_owned()],
        ..catalog::Environment::default()
    };
    catalog::Catalog {
        revision: 42,
        services: vec![catalog::Service { environments: vec![environment], ..catalog::Service::default() }],
        tokens: vec![catalog::Token { scopes: vec!["all:write".to_owned()], ..catalog::Token::default() }],
        ..catalog::Catalog::default()
    }
}

fn sealed(scope: &str) -> catalog::Sealed {
    catalog::Sealed { scope: scope.to_owned(), bytes: vec![4, 5, 6].into() }
}

/// A cluster as it was stored before there were nodes.
fn old_cluster() -> catalog::Cluster {
    catalog::Cluster {
        domain: "workers.localhost".to_owned(),
        ca_certificate: vec![1, 2, 3].into(),
        ca_key: Some(sealed("cluster-ca")),
        created_at_ms: 1_790_000_000_000,
        ..catalog::Cluster::default()
    }
}

fn authority() -> catalog::Authority {
    let key = Some(sealed("mesh-authority/x"));
    catalog::Authority { certificate: vec![7, 8, 9].into(), key, created_at_ms: 1_790_000_000_001 }
}

fn node() -> catalog::Node {
    catalog::Node {
        id: 42,
        name: "n2".to_owned(),
        role: catalog::NodeRole::Edge.into(),
        region: "eu".to_owned(),
        zone: "a".to_owned(),
        address: "192.0.2.2:7000".to_owned(),
        api: "192.0.2.2:8700".to_owned(),
        public_key: vec![2; 32].into(),
        state: catalog::NodeState::Draining.into(),
        feature_level: 2,
        build: "0.1.0".to_owned(),
        joined_at_ms: 1_790_000_000_002,
        boot: 3,
        admitted_by: Some(vec![5; 32].into()),
    }
}

fn join_token() -> catalog::JoinToken {
    catalog::JoinToken {
        id: "d".repeat(32),
        hash: vec![5; 32].into(),
        role: catalog::NodeRole::Voter.into(),
        uses_left: 2,
        expires_at_ms: 1_790_000_003_600,
        created_at_ms: 1_790_000_000_000,
        name: "rack 7".to_owned(),
    }
}

fn node_changes() -> catalog::Command {
    use catalog::change::Kind;
    let node = node();
    let admit = catalog::AdmitNode {
        name: node.name.clone(),
        role: node.role,
        region: node.region.clone(),
        zone: node.zone.clone(),
        address: node.address.clone(),
        api: node.api.clone(),
        public_key: node.public_key.clone(),
        feature_level: node.feature_level,
        build: node.build.clone(),
        boot: node.boot,
        token: node.admitted_by.clone(),
    };
    let update = catalog::UpdateNode {
        id: node.id,
        region: node.region,
        zone: node.zone,
        address: node.address,
        api: node.api,
        feature_level: node.feature_level,
        build: node.build,
        boot: node.boot,
    };
    let changes = [
        Kind::AdmitNode(admit),
        Kind::UpdateNode(update),
        Kind::SetNodeRole(catalog::SetNodeRole { id: node.id, role: catalog::NodeRole::Voter.into() }),
        Kind::SetNodeState(catalog::SetNodeState { id: node.id, state: catalog::NodeState::Active.into() }),
        Kind::RemoveNode(catalog::RemoveNode { id: node.id, although_voter: true }),
        Kind::CreateJoinToken(join_token()),
        Kind::RevokeJoinToken("d".repeat(32)),
        Kind::SetMeshAuthorities(catalog::SetMeshAuthorities { authorities: vec![authority()], replaces: Vec::new() }),
        Kind::SetFeatureLevel(2),
    ];
    let changes = changes.map(|kind| catalog::Change { kind: Some(kind) }).to_vec();
    catalog::Command { at_ms: 1_790_000_000_000, changes, ..catalog::Command::default() }
}

#[test]
fn nodes_are_stored_as_they_were() {
    pinned("command_nodes", Kind::Command, &node_changes());
    let old = catalog::Catalog { revision: 7, cluster: Some(old_cluster()), ..catalog::Catalog::default() };
    pinned("catalog_before_nodes", Kind::Catalog, &old);
    let cluster =
        catalog::Cluster { id: "e".repeat(32), mesh_authorities: vec![authority()], feature_level: 2, ..old_cluster() };
    let catalog = catalog::Catalog {
        revision: 43,
        cluster: Some(cluster),
        nodes: vec![node()],
        join_tokens: vec![join_token()],
        ..catalog::Catalog::default()
    };
    pinned("catalog_nodes", Kind::Catalog, &catalog);
}

#[test]
fn code_is_stored_as_it_was() {
    let module = bundle::Module {
        name: "index.js".to_owned(),
        content_type: "application/javascript+module".to_owned(),
        content: b"export default {}".to_vec().into(),
    };
    let message = bundle::Bundle { main_module: "index.js".to_owned(), modules: vec![module] };
    pinned("bundle", Kind::Bundle, &message);
}

#[test]
fn kv_entries_are_stored_as_they_were() {
    let message = kv::Entry {
        value: Some(b"value".to_vec().into()),
        metadata: Some("{}".to_owned()),
        expiration: Some(1_790_000_000),
        value_hash: Vec::new().into(),
    };
    pinned("kv_entry", Kind::Kv, &message);
    pinned("kv_mark", Kind::KvMark, &kv::Mark { revision: 42 });
}

#[test]
fn what_a_node_has_shown_keeps_its_bytes() {
    pinned("shown", Kind::Shown, &feed::Shown { revision: 42 });
}

/// Nodes of two builds keep namespaces for each other while a cluster is upgraded.
#[test]
fn a_namespaces_home_is_asked_and_answers_as_it_did() {
    use kv::{answer::Outcome, request::Operation};
    let (key, text) = ("k".to_owned(), "t".to_owned());
    let asks = [
        ("get", Operation::Get(kv::Get { key: key.clone() })),
        ("put", Operation::Put(kv::Put { pairs: 2, size_bytes: 70_000 })),
        ("delete", Operation::Delete(kv::Delete { keys: vec![key.clone(), "l".to_owned()] })),
        ("increment", Operation::Increment(kv::Increment { key: key.clone(), delta: -2 })),
        ("list", Operation::List(kv::List { prefix: "p".to_owned(), limit: Some(3), cursor: Some(text.clone()) })),
        ("clear", Operation::Clear(kv::Clear {})),
    ];
    for (name, operation) in asks {
        let request = kv::Request { namespace: "b".repeat(32), operation: Some(operation) };
        pinned_bare(&format!("kv_ask_{name}"), &request);
    }
    let metadata = Some("{}".to_owned());
    let inline = kv::Value { inline: Some(b"v".to_vec().into()), metadata, expiration: Some(9), size_bytes: 0 };
    let apart = kv::Value { inline: None, size_bytes: 70_000, ..inline.clone() };
    pinned_bare("kv_pair", &kv::Pair { key: key.clone(), value: Some(apart) });
    let page = kv::Page { keys: vec![kv::Key { name: key, ..kv::Key::default() }], cursor: Some(text.clone()) };
    let failure = kv::Failure { kind: kv::failure::Kind::Invalid.into(), status: 413, message: text };
    let answers = [
        ("done", Outcome::Done(kv::Done {})),
        ("found", Outcome::Found(kv::Found { value: Some(inline) })),
        ("page", Outcome::Page(page)),
        ("sum", Outcome::Sum(-3)),
        ("removed", Outcome::Removed(4)),
        ("failure", Outcome::Failure(failure)),
    ];
    for (name, outcome) in answers {
        pinned_bare(&format!("kv_answer_{name}"), &kv::Answer { outcome: Some(outcome) });
    }
}

#[test]
fn a_namespace_says_where_its_entries_are() {
    let home = |home| catalog::Namespace {
        id: "b".repeat(32),
        account: "a".repeat(32),
        title: "cache".to_owned(),
        created_at_ms: 1_790_000_000_000,
        home,
    };
    let catalog = catalog::Catalog { revision: 44, namespaces: vec![home(0), home(7)], ..catalog::Catalog::default() };
    pinned("catalog_homes", Kind::Catalog, &catalog);
    let put = catalog::PutNamespace { home: 7, ..catalog::PutNamespace::default() };
    pinned_bare("put_namespace", &put);
}

#[test]
fn commands_and_catalogs_are_stored_as_they_were() {
    pinned("command", Kind::Command, &command());
    pinned("catalog", Kind::Catalog, &whole_catalog());
}

#[test]
fn what_a_voter_keeps_is_stored_as_it_was() {
    let vote = raft::Vote { leader_id: log_id().leader_id, committed: true };
    pinned("vote", Kind::Vote, &vote);
    pinned("log_id", Kind::LogId, &log_id());
    let payload = raft::entry::Payload::Command(encode(Kind::Command, &command()).into());
    pinned("entry_command", Kind::Entry, &raft::Entry { log_id: Some(log_id()), payload: Some(payload) });
    let payload = raft::entry::Payload::Membership(membership());
    pinned("entry_membership", Kind::Entry, &raft::Entry { log_id: Some(log_id()), payload: Some(payload) });
    let snapshot = raft::Snapshot {
        last_log_id: Some(log_id()),
        last_membership: Some(raft::StoredMembership { log_id: Some(log_id()), membership: Some(membership()) }),
        catalog: encode(Kind::Catalog, &whole_catalog()).into(),
    };
    pinned("snapshot", Kind::Snapshot, &snapshot);
}

#[test]
fn a_node_stays_itself() {
    let member = mesh::Member { node_id: 1, name: "a".to_owned(), address: "a:1".to_owned(), role: "voter".to_owned() };
    let message = mesh::Identity {
        cluster: "c".repeat(32),
        node_id: 7,
        key: vec![1, 2].into(),
        chain: vec![vec![3].into(), vec![4].into()],
        authorities: vec![vec![4].into()],
        members: vec![member],
        role: "edge".to_owned(),
        feature_level: 0,
    };
    pinned("identity", Kind::Identity, &message);
    let newer = mesh::Identity { feature_level: 2, ..message };
    pinned("identity_level", Kind::Identity, &newer);
}

#[test]
fn a_node_says_whom_it_trusts_as_it_did() {
    let (old, new) = (vec![1; 32].into(), vec![2; 32].into());
    let trusted = mesh::Trusted { signed_by: vec![1; 32].into(), trusts: vec![old, new] };
    pinned_bare("trusted", &trusted);
}

#[test]
fn a_backup_says_of_itself_what_it_did() {
    let part = |kind: backup::PartKind, byte: u8| backup::Part {
        kind: kind.into(),
        hash: vec![byte; 32].into(),
        size_bytes: 70_000,
    };
    let manifest = backup::Manifest {
        format: 1,
        cluster: "c".repeat(32),
        domain: "workers.example".to_owned(),
        revision: 42,
        digest: vec![9; 16].into(),
        feature_level: 2,
        made_at_ms: 1_700_000_000_000,
        build: "0.1.0".to_owned(),
        node: 7,
        parts: vec![
            part(backup::PartKind::Catalog, 1),
            part(backup::PartKind::Bundle, 2),
            part(backup::PartKind::Keys, 3),
            part(backup::PartKind::Kv, 4),
        ],
    };
    pinned("backup_manifest", Kind::Manifest, &manifest);
    let keys = backup::Keys { cluster_key: vec![5; 32].into(), admin_token: "skt_text".to_owned() };
    pinned("backup_keys", Kind::Keys, &keys);
}

/// Not framed: what nodes of two builds say to each other before they know each other's.
#[test]
fn calls_begin_and_end_as_they_did() {
    let head = mesh::CallHead { method: mesh::Method::Join.into(), traceparent: "t".to_owned() };
    assert_eq!(hex::encode(head.encode_to_vec()), "0828120174");
    let code = mesh::refusal::Code::Unavailable.into();
    let refusal = Some(mesh::Refusal { code, message: "m".to_owned() });
    assert_eq!(hex::encode(mesh::AnswerHead { refusal }.encode_to_vec()), "0a05080412016d");
    assert_eq!(mesh::AnswerHead::default().encode_to_vec(), [0_u8; 0]);
    let join = mesh::Join {
        token: "t".to_owned(),
        name: "n".to_owned(),
        role: "edge".to_owned(),
        region: "r".to_owned(),
        zone: "z".to_owned(),
        address: "a".to_owned(),
        certificate_request: vec![5].into(),
        feature_level: 1,
        build: String::new(),
    };
    assert_eq!(hex::encode(join.encode_to_vec()), "0a017412016e1a04656467652201722a017a3201613a01054001");
}

#[test]
fn what_members_say_is_written_as_it_was() {
    let life = |node_id, boot, generation| Some(gossip::Identity { node_id, boot, generation });
    let header = gossip::Header {
        source: life(1, 5, 2),
        source_incarnation: 3,
        destination: life(2, 0, 0),
        kind: gossip::header::Kind::PingRequest.into(),
        probe_number: 255,
        subject: life(300, 7, 0),
    };
    pinned_bare("gossip_header", &header);
    let state = gossip::member::State::Suspect.into();
    pinned_bare("gossip_member", &gossip::Member { identity: life(300, 7, 1), incarnation: 65_535, state });
    let news = gossip::News {
        node_id: 300,
        boot: 7,
        sequence: 12,
        revision: 4_000,
        load: 17,
        feature_level: 2,
        version: "0.1.0".to_owned(),
        certificate_ends_s: 0,
    };
    pinned_bare("gossip_news", &news);
    pinned_bare("gossip_news_certificate", &gossip::News { certificate_ends_s: 1_790_000_000, ..news });
    pinned("boot", Kind::Boot, &gossip::Boot { boot: 7 });
}

#[test]
fn what_is_not_ours_newer_or_damaged_is_refused_with_the_reason() {
    let bytes = encode(Kind::LogId, &log_id());
    let refused = |bytes: &[u8], kind| decode::<raft::LogId>(kind, bytes).unwrap_err();
    assert!(matches!(refused(&bytes[..5], Kind::LogId), DecodeError::Short { length: 5 }));
    assert!(matches!(refused(&[b'X'; 40], Kind::LogId), DecodeError::Magic));
    assert!(matches!(refused(&bytes, Kind::Vote), DecodeError::Kind { found: 'L', .. }));
    let mut newer = bytes.clone();
    newer[3] = FORMAT_VERSION + 1;
    assert!(refused(&newer, Kind::LogId).to_string().contains("update Skerry"));
    for at in 4..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(matches!(refused(&damaged, Kind::LogId), DecodeError::Damaged), "byte {at}");
    }
}

/// How a format is raised: the older version is written until every node reads the newer one.
#[test]
fn the_version_that_is_written_without_asking_is_one_that_older_builds_read() {
    const { assert!(SAFE_VERSION <= FORMAT_VERSION) };
    let bytes = encode(Kind::LogId, &log_id());
    assert_eq!(bytes[3], SAFE_VERSION);
    assert_eq!(encode_as(SAFE_VERSION, Kind::LogId, &log_id()), bytes);
    let newer = encode_as(FORMAT_VERSION + 1, Kind::LogId, &log_id());
    let found = decode::<raft::LogId>(Kind::LogId, &newer);
    assert_eq!(
        found,
        Err(DecodeError::Newer { found: FORMAT_VERSION + 1 }),
        "an older build says so, and does not misread"
    );
}

#[test]
fn live_events_travel_as_they_did() {
    let request = mesh::TailRequest {
        account: "a".to_owned(),
        service: "s".to_owned(),
        environment: "e".to_owned(),
        filters: "[]".to_owned(),
    };
    pinned_wire(&request, "0a01611201731a016522025b5d");
    pinned_wire(&mesh::TailEvent { event: "{}".to_owned(), lost: 0 }, "0a027b7d");
    pinned_wire(&mesh::TailEvent { event: String::new(), lost: 300 }, "10ac02");
}

/// Collectors read these bytes: field by field the numbers of opentelemetry-proto.
#[test]
fn a_span_is_written_as_collectors_read_it() {
    let span = otlp::Span {
        trace_id: vec![1, 2].into(),
        span_id: vec![3].into(),
        trace_state: "t".to_owned(),
        parent_span_id: vec![4].into(),
        name: "n".to_owned(),
        kind: otlp::span::SpanKind::Server.into(),
        start_time_unix_nano: 5,
        end_time_unix_nano: 6,
        attributes: vec![otlp::KeyValue {
            key: "k".to_owned(),
            value: Some(otlp::AnyValue { value: Some(otlp::any_value::Value::IntValue(7)) }),
        }],
        status: Some(otlp::Status { message: "m".to_owned(), code: otlp::status::StatusCode::Error.into() }),
        flags: 1,
    };
    let golden = "0a0201021201031a01742201042a016e30023905000000000000004106000000000000004a070a016b1202180\
                  77a0512016d1802850101000000";
    pinned_wire(&span, golden);
}

#[test]
fn the_feeds_records_keep_their_bytes() {
    let delta = feed::Record {
        revision: 42,
        digest: vec![1; 16].into(),
        command: vec![2, 3].into(),
        at_ms: 1_790_000_000_000,
        previous: 40,
        ..feed::Record::default()
    };
    pinned("feed_delta", Kind::FeedRecord, &delta);
    let state = feed::Record { command: Vec::new().into(), catalog: vec![4, 5].into(), previous: 0, at_ms: 0, ..delta };
    pinned("feed_state", Kind::FeedRecord, &state);
    let boot =
        feed::Boot { number: 3, at_ms: 1_790_000_000_000, settled: 40, reached: 42, quarantined: 42, clean: true };
    pinned("feed_boots", Kind::Boots, &feed::Boots { boots: vec![boot, feed::Boot { number: 4, ..boot }] });
}

/// These cross a wire and are not framed.
fn pinned_wire<M: Message + Default + PartialEq + Debug>(message: &M, golden: &str) {
    assert_eq!(hex::encode(message.encode_to_vec()), golden, "the bytes of {message:?} have changed");
    let bytes = hex::decode(golden).expect("golden bytes are hexadecimal");
    assert_eq!(M::decode(bytes.as_slice()).as_ref(), Ok(message));
}

#[test]
fn the_feeds_messages_keep_their_bytes() {
    use feed::{downward, upward};
    let up = |message| feed::Upward { message: Some(message) };
    let subscribe = feed::Subscribe { revision: 42, digest: vec![1; 2].into(), acks_only: true, snapshot_from: 43 };
    pinned_wire(&up(upward::Message::Subscribe(subscribe)), "0a0a082a120201011801202b");
    let ack = feed::Ack { node_id: 7, revision: 42, refused: 43, reason: "no".to_owned(), boot: 2, sequence: 9 };
    pinned_wire(&up(upward::Message::Acks(feed::Acks { acks: vec![ack] })), "12100a0e0807102a182b22026e6f28023009");
    let down = |message| feed::Downward { message: Some(message) };
    pinned_wire(&down(downward::Message::Redirect(feed::Redirect { nodes: vec![1, 2] })), "0a040a020102");
    let begin = feed::SnapshotBegin { revision: 42, digest: vec![1; 2].into(), size_bytes: 9 };
    pinned_wire(&down(downward::Message::Snapshot(begin)), "1208082a120201011809");
    pinned_wire(&down(downward::Message::Chunk(feed::SnapshotChunk { bytes: vec![5].into() })), "1a030a0105");
    let (command, digest) = (vec![2].into(), vec![1; 2].into());
    let delta = feed::Delta { previous: 40, revision: 42, command, digest, at_ms: 3 };
    pinned_wire(&down(downward::Message::Delta(delta)), "220d0828102a1a0102220201012803");
    let heartbeat = feed::Heartbeat { revision: 42, digest: vec![1; 2].into(), depth: 2, age_ms: 100 };
    pinned_wire(&down(downward::Message::Heartbeat(heartbeat)), "2a0a082a1202010118022064");
}
