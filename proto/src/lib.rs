//! Every byte that Skerry puts on a wire or a disk.
//!
//! **Owns** identifiers, message shapes and their versions. **Must not know** who sends or stores them. **Enter at**
//! [`id`], [`versioned`] and [`archive`].

pub mod archive;
pub mod id;
pub mod versioned;

/// A module with the messages of the `.proto` file of its name.
macro_rules! messages {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[allow(missing_docs, reason = "generated from a .proto file, whose comments are its documentation")]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/skerry.", stringify!($name), ".rs"));
        }
    };
}

messages! {
    /// What a backup says of itself.
    backup
}
messages! {
    /// The code of a version.
    bundle
}
messages! {
    /// The catalog and the commands that change it.
    #[allow(clippy::large_enum_variant, reason = "generated; few messages exist at once")]
    catalog
}
messages! {
    /// How nodes that do not vote follow the catalog.
    feed
}
messages! {
    /// What members tell each other about themselves.
    gossip
}
messages! {
    /// What a KV store keeps, and what its node is asked.
    kv
}
messages! {
    /// What nodes say to each other.
    mesh
}
messages! {
    /// Spans, as OpenTelemetry's collectors take them.
    otlp
}
messages! {
    /// What a voter keeps.
    raft
}
