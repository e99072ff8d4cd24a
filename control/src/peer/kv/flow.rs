//! Values on a stream.
//!
//! **Owns** that a value's chunks follow its message, and how long calls may take. **Must not know** what is asked. **Enter
//! at** [`receive_value`].

use std::time::Duration;

use bytes::Bytes;
use skerry_proto::mesh::Chunk;

use super::{
    super::raft::{CHUNK_BYTES, read_chunks},
    message::{Announced, follows},
};
use crate::{
    kv::KvEntry,
    mesh::{FrameError, FrameReceiver, FrameSender},
};

/// BOUND: how long a call may take; the home's disk takes milliseconds, twice the way across the world 300.
const SMALL_TIMEOUT: Duration = Duration::from_secs(5);
/// BOUND: how long a call with much in it may take: 25 MiB at 8 Mbit/s.
const LARGE_TIMEOUT: Duration = Duration::from_secs(30);
/// From how many bytes on that is.
const LARGE_BYTES: usize = 1 << 20;

/// How long a call with values of this size may take.
pub(super) fn patience(size_bytes: usize) -> Duration {
    if size_bytes > LARGE_BYTES { LARGE_TIMEOUT } else { SMALL_TIMEOUT }
}

/// The bytes of a value whose message did not hold them.
pub(super) async fn send_value(send: &mut FrameSender, value: &Bytes) -> Result<(), FrameError> {
    let mut rest = if follows(value) { value.clone() } else { Bytes::new() };
    while !rest.is_empty() {
        let bytes = rest.split_to(CHUNK_BYTES.min(rest.len()));
        send.send(&Chunk { bytes }).await?;
    }
    Ok(())
}

/// A whole value, whose bytes may have to be waited for.
pub(super) async fn receive_value(
    receive: &mut FrameReceiver,
    mut announced: Announced,
) -> Result<KvEntry, FrameError> {
    let value = match announced.inline.take() {
        Some(value) => value,
        None => read_chunks(receive, announced.size_bytes).await?,
    };
    Ok(announced.with(value))
}
