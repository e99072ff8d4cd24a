//! How far the log is known to be agreed, for a start at which no other voter answers.
//!
//! **Owns** one small file beside the log. **Must not know** entries. **Enter at** [`Mark`].
//!
//! Whatever a node has shown is marked first, so that a process that is killed and starts alone shows it again. The file is
//! written in place and not synced: an fsync for each change would halve how many there can be. After a power cut it
//! may be older, by half a minute at most with Linux's defaults, or torn; then the mark inside the log counts.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use super::{
    type_config::LogId,
    wire::{decode_log_id, encode_log_id},
};

/// The file's size: one byte for the length of a framed log id, which takes at most 45, and the frame.
const SIZE_BYTES: usize = 64;

/// The open file.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
}

impl Mark {
    /// Opens or makes the file, and reads it; `None` when it is new or torn. Blocking.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<LogId>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut record = [0; SIZE_BYTES];
        if file.metadata()?.len() < SIZE_BYTES as u64 {
            // Its blocks exist from now on, so a full disk does not stop it.
            file.write_all_at(&record, 0)?;
            file.sync_all()?;
        }
        file.read_exact_at(&mut record, 0)?;
        let frame = record[1..].get(..usize::from(record[0])).unwrap_or_default();
        Ok((Self { file }, decode_log_id(frame).ok()))
    }

    /// Notes that everything up to here is agreed. A few bytes into the page cache: it does not wait for the disk.
    pub(super) fn set(&self, committed: &LogId) -> io::Result<()> {
        let frame = encode_log_id(committed);
        let mut record = [0; SIZE_BYTES];
        let length = u8::try_from(frame.len()).map_err(io::Error::other)?;
        record[0] = length;
        let place = record[1..].get_mut(..frame.len());
        place.ok_or_else(|| io::Error::other("a log id is too long"))?.copy_from_slice(&frame);
        self.file.write_all_at(&record, 0)
    }
}
