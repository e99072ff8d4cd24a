//! Every message there is, pinned field by field: its number, its type, whether it repeats, and the bytes that make it.
//!
//! `golden/messages.txt` has lines for each message of the `.proto` files: a value in which every field is set (of a `oneof` one
//! member after the other, so such a message has several lines), as the generated code writes it. A message within a message is
//! filled, and those within that one are empty: all have lines of their own. `SKERRY_WRITE_GOLDEN=1` writes the file anew: for a new message or field that is
//! right; a line that changes otherwise is a format that older builds can not read.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use prost::{Message, encoding::encode_varint};
use prost_types::{
    DescriptorProto, FieldDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use skerry_proto::{backup, bundle, catalog, feed, gossip, kv, mesh, otlp, raft};

/// Messages by their names, without `skerry.`.
type Messages = BTreeMap<String, DescriptorProto>;

/// What is in the messages of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nested {
    Filled,
    Empty,
}

/// What the generated code makes of bytes.
type Recode = fn(&[u8]) -> Vec<u8>;

macro_rules! recodes {
    ($($package:ident: $($name:ident)+;)+) => {
        BTreeMap::from([$($(
            (concat!(stringify!($package), ".", stringify!($name)), recode::<$package::$name> as Recode),
        )+)+])
    };
}

fn recode<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
    M::decode(bytes).expect("a sample parses").encode_to_vec()
}

/// The type of each message. A message without one is found by the test.
#[rustfmt::skip]
fn recodes() -> BTreeMap<&'static str, Recode> {
    recodes! {
        backup:
            Manifest Part Keys;
        bundle:
            Bundle Module;
        catalog:
            Empty Actor Sealed ServiceKey EnvironmentKey Account
            Authority Cluster Node JoinToken ServiceBinding DurableObjectBinding
            Binding Limits VersionConfig Code Version Share
            Deployment Environment Pipeline Service Route Domain
            Namespace Certificate Token Detail AuditAction AuditEntry
            CreatedVersion CreatedDeployment Replay Catalog Idempotency ExpectUnchanged
            ExpectServiceUnchanged ExpectLive Expectation CreateService RenameService DeleteService
            SetPipeline CloneSource CreateEnvironment RenameEnvironment DeleteUnboundEnvironment MoveService
            SetParent SetExposure SetCrons SetTags Base NewVersion
            UploadVersion NewDeployment Deploy SetBinding ConfigEdit Configure
            Promote NewRoute DeleteRoute EnvironmentRoute ReplaceRoutes PutDomain
            DeleteDomain PutNamespace DeleteNamespace RevokeToken AdmitNode UpdateNode
            SetNodeRole SetNodeState RemoveNode SetMeshAuthorities Change Command;
        feed:
            Upward Downward Subscribe Redirect SnapshotBegin SnapshotChunk
            Delta Heartbeat Acks Ack Record Boots
            Boot Shown;
        gossip:
            Identity Header Member Boot News;
        kv:
            Entry Mark Request Get Put Pair
            Value Delete Increment List Clear Answer
            Done Found Page Key Failure;
        mesh:
            CallHead AnswerHead Refusal Join Joined Member
            Renew Renewed VoterKeys VoterKeysAnswer Propose Proposed
            BundleGet BundleSize Chunk BundlePut BundleStored BundlesLacking
            BundlesLackingAnswer RoleAsk RoleTold ApiRequest ApiResponse Header Trust Trusted TailRequest TailEvent
            Identity;
        otlp:
            ExportTraceServiceRequest ExportTraceServiceResponse ExportTracePartialSuccess ResourceSpans Resource ScopeSpans
            InstrumentationScope Span Status KeyValue AnyValue;
        raft:
            LeaderId Vote LogId Node VoterSet Membership
            StoredMembership Entry Blank Snapshot AppendEntries AppendAnswer
            Partial VoteRequest VoteAnswer SnapshotOffer SnapshotAnswer TransferLeader
            TransferAnswer VoteChanged LogNotFlushed;
    }
}

#[test]
fn every_message_keeps_its_bytes() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (recodes, all) = (recodes(), messages(&root));
    let mut found = String::new();
    for (name, message) in &all {
        let recode = recodes.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no line in `recodes`"));
        for turn in 0..turns(message) {
            let sample = sample(&all, message, turn, Nested::Filled);
            let bytes = recode(&sample);
            assert_eq!(bytes.len(), sample.len(), "the generated code loses something of {name}");
            found.push_str(&format!("{name} {}\n", hex::encode(bytes)));
        }
    }
    let file = root.join("tests/golden/messages.txt");
    if env::var_os("SKERRY_WRITE_GOLDEN").is_some() {
        fs::write(&file, &found).expect("the golden folder is there");
    }
    let golden = fs::read_to_string(&file).expect("the golden file is there");
    let changed = golden.lines().zip(found.lines()).find(|(golden, found)| golden != found);
    assert_eq!(changed, None, "a message has changed, is new, or is gone");
    assert_eq!(golden.lines().count(), found.lines().count(), "messages are new or gone");
}

/// Every message of every file, those within messages too, without the entries of maps, which their fields show.
fn messages(root: &std::path::Path) -> Messages {
    let folder = root.join("src");
    let files = fs::read_dir(&folder).expect("the messages are there").map(|file| file.expect("a file").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "proto")).collect();
    let mut found = BTreeMap::new();
    for file in protox::compile(files, [folder]).expect("the messages compile").file {
        let package = file.package().trim_start_matches("skerry.").to_owned();
        for message in file.message_type {
            let inside = message.nested_type.iter().filter(|nested| !is_map_entry(nested)).count();
            assert_eq!(inside, 0, "{} has a message inside: give it a place of its own", message.name());
            found.insert(format!("{package}.{}", message.name()), message);
        }
    }
    found
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry)
}

/// How many samples show every field: as many as the largest `oneof` has members.
fn turns(message: &DescriptorProto) -> usize {
    (0..message.oneof_decl.len()).map(|oneof| members(message, oneof).count()).max().unwrap_or(1).max(1)
}

fn members(message: &DescriptorProto, oneof: usize) -> impl Iterator<Item = &FieldDescriptorProto> {
    let is_member = move |field: &&FieldDescriptorProto| {
        !field.proto3_optional() && field.oneof_index.is_some_and(|index| usize::try_from(index) == Ok(oneof))
    };
    message.field.iter().filter(is_member)
}

/// All fields, each with something in it; of each `oneof` one member. Messages in it are filled where `nested` says so.
fn sample(all: &Messages, message: &DescriptorProto, turn: usize, nested: Nested) -> Vec<u8> {
    let mut fields: Vec<_> =
        message.field.iter().filter(|field| field.proto3_optional() || field.oneof_index.is_none()).collect();
    for oneof in 0..message.oneof_decl.len() {
        let members: Vec<_> = members(message, oneof).collect();
        if !members.is_empty() {
            fields.push(members[turn % members.len()]);
        }
    }
    let mut bytes = Vec::new();
    for field in fields {
        let is_entry = |entry: &&DescriptorProto| field.type_name().ends_with(&format!(".{}", entry.name()));
        match message.nested_type.iter().filter(|nested| is_map_entry(nested)).find(is_entry) {
            // A map has a key once, and an empty value is not written.
            Some(entry) => write(&mut bytes, field, &sample(all, entry, 0, Nested::Filled), 1),
            None => write(&mut bytes, field, &content(all, field, nested), 2),
        }
    }
    bytes
}

/// What one field has in it.
fn content(all: &Messages, field: &FieldDescriptorProto, nested: Nested) -> Vec<u8> {
    match (field.r#type(), nested) {
        (Type::Bool | Type::Enum, _) => vec![1],
        (Type::Int32 | Type::Int64 | Type::Uint32 | Type::Uint64 | Type::Sint32 | Type::Sint64, _) => vec![2],
        (Type::Fixed64 | Type::Sfixed64 | Type::Double, _) => vec![3, 0, 0, 0, 0, 0, 0, 0],
        (Type::Fixed32 | Type::Sfixed32 | Type::Float, _) => vec![4, 0, 0, 0],
        (Type::String, _) => b"s".to_vec(),
        (Type::Bytes, _) => vec![5],
        (Type::Message, Nested::Filled) => {
            let name = field.type_name().trim_start_matches(".skerry.");
            sample(all, &all[name], 0, Nested::Empty)
        }
        (Type::Message, Nested::Empty) => Vec::new(),
        (Type::Group, _) => panic!("proto3 has no groups"),
    }
}

/// One field as the wire has it (protobuf.dev/programming-guides/encoding). What repeats is there so often, numbers packed.
fn write(bytes: &mut Vec<u8>, field: &FieldDescriptorProto, content: &[u8], repeated: usize) {
    const VARINT: u8 = 0;
    const FIXED64: u8 = 1;
    const LENGTH: u8 = 2;
    const FIXED32: u8 = 5;
    let wire = match field.r#type() {
        Type::Fixed64 | Type::Sfixed64 | Type::Double => FIXED64,
        Type::Fixed32 | Type::Sfixed32 | Type::Float => FIXED32,
        Type::String | Type::Bytes | Type::Message | Type::Group => LENGTH,
        _ => VARINT,
    };
    let repeats = field.label() == Label::Repeated;
    let (wire, content, times) = match (repeats, wire) {
        (false, _) => (wire, content.to_vec(), 1),
        (true, LENGTH) => (LENGTH, content.to_vec(), repeated),
        (true, _) => (LENGTH, content.repeat(repeated), 1),
    };
    for _ in 0..times {
        let number = u64::try_from(field.number()).expect("field numbers are positive");
        encode_varint(number << 3 | u64::from(wire), bytes);
        if wire == LENGTH {
            encode_varint(content.len() as u64, bytes);
        }
        bytes.extend_from_slice(&content);
    }
}
