//! Every byte that Skerry puts on a wire or a disk.
//!
//! **Owns** identifiers, message shapes and their versions. **Must not know** who sends or stores them. **Enter at**
//! [`id`], [`versioned`] and [`archive`].

pub mod archive;
pub mod id;
pub mod versioned;

/// What a backup says of itself.
#[allow(missing_docs, reason = "generated from backup.proto, whose comments are its documentation")]
pub mod backup {
    include!(concat!(env!("OUT_DIR"), "/skerry.backup.rs"));
}

/// The code of a version.
#[allow(missing_docs, reason = "generated from bundle.proto, whose comments are its documentation")]
pub mod bundle {
    include!(concat!(env!("OUT_DIR"), "/skerry.bundle.rs"));
}

/// The catalog and the commands that change it.
#[allow(missing_docs, reason = "generated from catalog.proto, whose comments are its documentation")]
#[allow(clippy::large_enum_variant, reason = "generated; few messages exist at once")]
pub mod catalog {
    include!(concat!(env!("OUT_DIR"), "/skerry.catalog.rs"));
}

/// How nodes that do not vote follow the catalog.
#[allow(missing_docs, reason = "generated from feed.proto, whose comments are its documentation")]
pub mod feed {
    include!(concat!(env!("OUT_DIR"), "/skerry.feed.rs"));
}

/// What members tell each other about themselves.
#[allow(missing_docs, reason = "generated from gossip.proto, whose comments are its documentation")]
pub mod gossip {
    include!(concat!(env!("OUT_DIR"), "/skerry.gossip.rs"));
}

/// What a KV store keeps, and what its node is asked.
#[allow(missing_docs, reason = "generated from kv.proto, whose comments are its documentation")]
pub mod kv {
    include!(concat!(env!("OUT_DIR"), "/skerry.kv.rs"));
}

/// What nodes say to each other.
#[allow(missing_docs, reason = "generated from mesh.proto, whose comments are its documentation")]
pub mod mesh {
    include!(concat!(env!("OUT_DIR"), "/skerry.mesh.rs"));
}

/// Spans, as OpenTelemetry's collectors take them.
#[allow(missing_docs, reason = "generated from otlp.proto, whose comments are its documentation")]
pub mod otlp {
    include!(concat!(env!("OUT_DIR"), "/skerry.otlp.rs"));
}

/// What a voter keeps.
#[allow(missing_docs, reason = "generated from raft.proto, whose comments are its documentation")]
pub mod raft {
    include!(concat!(env!("OUT_DIR"), "/skerry.raft.rs"));
}
