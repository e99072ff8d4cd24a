//! One compressor or decompressor of the formats of CompressionStream, and brotli.
//!
//! **Owns** what a step hands over, and what each format costs. **Must not know** who asks. **Enter at** [`Zlib`].

#[path = "zlib/decompressor.rs"]
mod decompressor;

use std::io::{self, Write};

use flate2::{Compression, write};

use self::decompressor::Decompressor;
use crate::runtime::limits;

/// brotli's quality; 11, its default, takes a hundred times as long for a tenth less output.
const BROTLI_QUALITY: u32 = 5;
/// brotli's window, as a power of two. The encoder gathers twice as much before it writes, and takes ten times as much memory:
/// 22 would save a few percent of texts beyond the window, for 40 MB and steps that are sixteen times as long.
const BROTLI_WINDOW: u32 = 18;
const BROTLI_BUFFER_BYTES: usize = 4096;

/// Memory of a compressor: tables of a fixed size.
const DEFLATE_BYTES: usize = 320 * 1024;
/// Memory of one of brotli: half a megabyte of input, its commands, their bits, and a hash table of 1 MiB.
const BROTLI_BYTES: usize = 5 << 20;

/// A compressor or decompressor.
pub(super) struct Zlib {
    engine: Engine,
    /// What has come out for the input in hand.
    produced: usize,
}

/// What one step came to.
pub(super) struct Step {
    pub(super) output: Vec<u8>,
    /// Bytes of the input that it has taken.
    pub(super) read: usize,
    /// Whether that was all that the input holds; else the next step goes on with the rest of it, which may be empty.
    pub(super) is_done: bool,
}

enum Engine {
    Compress(Compressor),
    Decompress(Decompressor),
}

enum Compressor {
    Gzip(write::GzEncoder<Vec<u8>>),
    Deflate(write::ZlibEncoder<Vec<u8>>),
    DeflateRaw(write::DeflateEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
}

impl Zlib {
    pub(super) fn new(format: &str, compress: bool) -> Option<Self> {
        let engine = if compress {
            Engine::Compress(Compressor::new(format)?)
        } else {
            Engine::Decompress(Decompressor::new(format)?)
        };
        Some(Self { engine, produced: 0 })
    }

    /// Feeds `input`, or the rest of it when the last step was not done; the error is the message of a TypeError.
    pub(super) fn step(&mut self, input: &[u8], last: bool) -> Result<Step, String> {
        let step = match &mut self.engine {
            // It writes less than it has read, which is bounded.
            Engine::Compress(compressor) => {
                let output = compressor.step(input, last).map_err(|error| error.to_string())?;
                Step { output, read: input.len(), is_done: true }
            }
            Engine::Decompress(decompressor) => decompressor.step(input, last)?,
        };
        self.produced += step.output.len();
        if self.produced > limits::INFLATED_BYTES_MAX {
            return Err("The decompressed data is too large.".to_owned());
        }
        if step.is_done {
            self.produced = 0;
        }
        Ok(step)
    }

    /// Memory that it takes now; that of a brotli decompressor grows with what it reads.
    pub(super) fn bytes(&self) -> usize {
        match &self.engine {
            Engine::Compress(Compressor::Brotli(_)) => BROTLI_BYTES,
            Engine::Compress(_) => DEFLATE_BYTES,
            Engine::Decompress(decompressor) => decompressor.bytes(),
        }
    }
}

impl Compressor {
    fn new(format: &str) -> Option<Self> {
        let (output, level) = (Vec::new(), Compression::default());
        Some(match format {
            "gzip" => Self::Gzip(write::GzEncoder::new(output, level)),
            "deflate" => Self::Deflate(write::ZlibEncoder::new(output, level)),
            "deflate-raw" => Self::DeflateRaw(write::DeflateEncoder::new(output, level)),
            "brotli" => Self::Brotli(Box::new(brotli_writer())),
            _ => return None,
        })
    }

    fn step(&mut self, input: &[u8], last: bool) -> io::Result<Vec<u8>> {
        Ok(match self {
            Self::Gzip(writer) => {
                writer.write_all(input)?;
                if last {
                    writer.try_finish()?;
                }
                std::mem::take(writer.get_mut())
            }
            Self::Deflate(writer) => {
                writer.write_all(input)?;
                if last {
                    writer.try_finish()?;
                }
                std::mem::take(writer.get_mut())
            }
            Self::DeflateRaw(writer) => {
                writer.write_all(input)?;
                if last {
                    writer.try_finish()?;
                }
                std::mem::take(writer.get_mut())
            }
            Self::Brotli(writer) => {
                writer.write_all(input)?;
                if last {
                    // The encoder writes its end only when it is dropped or taken apart.
                    std::mem::replace(&mut **writer, brotli_writer()).into_inner()
                } else {
                    std::mem::take(writer.get_mut())
                }
            }
        })
    }
}

fn brotli_writer() -> brotli::CompressorWriter<Vec<u8>> {
    brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW)
}

#[cfg(test)]
#[path = "zlib/tests.rs"]
mod tests;
