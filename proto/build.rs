//! Compiles the message descriptions with protox, so that no `protoc` is needed.

use std::error::Error;

const FILES: [&str; 9] = [
    "src/backup.proto",
    "src/bundle.proto",
    "src/catalog.proto",
    "src/feed.proto",
    "src/gossip.proto",
    "src/kv.proto",
    "src/mesh.proto",
    "src/otlp.proto",
    "src/raft.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["src"])?;
    // `btree_map`: a map's entries are written in the order of its keys, so equal messages have equal bytes.
    prost_build::Config::new().btree_map(["."]).bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
