//! Decompressors that stop where a step's output ends: a few bytes may hold any amount.
//!
//! **Owns** the end of the data and what may stand behind it. **Must not know** who asks. **Enter at** [`Decompressor`].

use std::io::Write;

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper, enc::StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status, write};

use super::Step;
use crate::runtime::limits::INFLATED_STEP_BYTES;

/// Memory of a decompressor apart from brotli's window and tables: its state, and a window of 32 KiB or buffers.
const STATE_BYTES: usize = 96 * 1024;

const FAILED: &str = "Decompression failed.";
const TRAILING: &str = "Trailing bytes after end of compressed data";
const INCOMPLETE: &str = "Called close() on a decompression stream with incomplete data";

/// A decompressor.
pub(super) enum Decompressor {
    Gunzip(Box<write::GzDecoder<Vec<u8>>>),
    Inflate { state: Decompress, ended: bool },
    Unbrotli { state: Box<Unbrotli>, ended: bool },
}

type Unbrotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

impl Decompressor {
    pub(super) fn new(format: &str) -> Option<Self> {
        let alloc = StandardAlloc::default;
        Some(match format {
            "gzip" => Self::Gunzip(Box::new(write::GzDecoder::new(Vec::new()))),
            "deflate" => Self::Inflate { state: Decompress::new(true), ended: false },
            "deflate-raw" => Self::Inflate { state: Decompress::new(false), ended: false },
            // BOUND: a window of 16 MB, RFC 7932's. What is not strict knows an extension that lets the sender choose up to 1 GB.
            "brotli" => {
                let state = Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()));
                Self::Unbrotli { state, ended: false }
            }
            _ => return None,
        })
    }

    pub(super) fn step(&mut self, input: &[u8], last: bool) -> Result<Step, String> {
        match self {
            Self::Gunzip(writer) => gunzip(writer, input, last),
            Self::Inflate { state, ended } => flow(input, last, ended, |input, output| inflate(state, input, output)),
            Self::Unbrotli { state, ended } => flow(input, last, ended, |input, output| unbrotli(state, input, output)),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let Self::Unbrotli { state, .. } = self else { return STATE_BYTES };
        let trees = [&state.literal_hgroup, &state.insert_copy_hgroup, &state.distance_hgroup];
        let trees = trees.map(|group| size_of_val(group.codes.slice()));
        STATE_BYTES + state.ringbuffer.slice().len() + trees.iter().sum::<usize>()
    }
}

/// What a decompressor did with some input and some room.
struct Flowed {
    read: usize,
    written: usize,
    ended: bool,
}

fn inflate(state: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<Flowed, String> {
    let before = (state.total_in(), state.total_out());
    let status = state.decompress(input, output, FlushDecompress::None).map_err(|_ignored| FAILED.to_owned())?;
    Ok(Flowed {
        read: (state.total_in() - before.0) as usize,
        written: (state.total_out() - before.1) as usize,
        ended: status == Status::StreamEnd,
    })
}

fn unbrotli(state: &mut Unbrotli, input: &[u8], output: &mut [u8]) -> Result<Flowed, String> {
    let (mut left, mut read) = (input.len(), 0);
    let (mut room, mut written, mut total) = (output.len(), 0, 0);
    let result =
        BrotliDecompressStream(&mut left, &mut read, input, &mut room, &mut written, output, &mut total, state);
    let ended = match result {
        BrotliResult::ResultSuccess => true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
        BrotliResult::ResultFailure => return Err(FAILED.to_owned()),
    };
    Ok(Flowed { read, written, ended })
}

/// Lets `decompress` read `input` until its end or that of the step's output.
fn flow(
    input: &[u8],
    last: bool,
    ended: &mut bool,
    mut decompress: impl FnMut(&[u8], &mut [u8]) -> Result<Flowed, String>,
) -> Result<Step, String> {
    let mut output = vec![0; input.len().saturating_mul(3).clamp(1024, INFLATED_STEP_BYTES)];
    let (mut read, mut written) = (0, 0);
    let is_done = loop {
        if *ended {
            break true;
        }
        if written == output.len() {
            if written >= INFLATED_STEP_BYTES {
                break false;
            }
            output.resize((2 * written).min(INFLATED_STEP_BYTES), 0);
        }
        let flowed = decompress(&input[read..], &mut output[written..])?;
        read += flowed.read;
        written += flowed.written;
        *ended = flowed.ended;
        // Without room it comes again with more; without progress it waits for more input.
        if !*ended && flowed.read == 0 && flowed.written == 0 {
            break true;
        }
    };
    output.truncate(written);
    if is_done && read < input.len() {
        return Err(if *ended { TRAILING } else { FAILED }.to_owned());
    }
    if is_done && last && !*ended {
        return Err(INCOMPLETE.to_owned());
    }
    Ok(Step { output, read, is_done })
}

/// Header and checksum are the library's; each of its writes hands over 64 KiB at most.
fn gunzip(writer: &mut write::GzDecoder<Vec<u8>>, input: &[u8], last: bool) -> Result<Step, String> {
    let mut read = 0;
    while read < input.len() && writer.get_ref().len() < INFLATED_STEP_BYTES {
        read += match writer.write(&input[read..]) {
            Ok(0) => return Err(TRAILING.to_owned()),
            Ok(taken) => taken,
            Err(_) => return Err(FAILED.to_owned()),
        };
    }
    let is_done = read == input.len();
    if is_done && last {
        writer.try_finish().map_err(|_ignored| FAILED.to_owned())?;
    } else if is_done {
        // Or the end of a piece would stay in the library until the next one comes.
        writer.flush().map_err(|_ignored| FAILED.to_owned())?;
    }
    Ok(Step { output: std::mem::take(writer.get_mut()), read, is_done })
}
