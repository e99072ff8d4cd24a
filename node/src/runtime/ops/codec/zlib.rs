//! One compressor or decompressor of the formats of CompressionStream, and brotli.

use std::io::{self, Write};

use flate2::{Compression, Decompress, FlushDecompress, Status, write};

use crate::runtime::limits;

/// brotli's quality; 11, its default, takes a hundred times as long for a tenth less output.
const BROTLI_QUALITY: u32 = 5;
/// brotli's window, as a power of two.
const BROTLI_WINDOW: u32 = 22;
const BROTLI_BUFFER_BYTES: usize = 4096;
/// BOUND: a decoder's window of 16 MB, RFC 7932's. A first byte of this form asks for the "large window" extension, which
/// lets the sender choose up to 1 GB.
const BROTLI_LARGE_WINDOW: u8 = 0x11;
const BROTLI_HEAD_MASK: u8 = 0x7f;

pub(super) enum Zlib {
    Gzip(write::GzEncoder<Output>),
    Deflate(write::ZlibEncoder<Output>),
    DeflateRaw(write::DeflateEncoder<Output>),
    Brotli(Box<brotli::CompressorWriter<Output>>),
    Gunzip(write::GzDecoder<Output>),
    Inflate { state: Decompress, ended: bool },
    Unbrotli { writer: Box<brotli::DecompressorWriter<Output>>, begun: bool },
}

impl Zlib {
    pub(super) fn new(format: &str, compress: bool) -> Option<Self> {
        let (output, level) = (Output::default(), Compression::default());
        Some(match (format, compress) {
            ("gzip", true) => Self::Gzip(write::GzEncoder::new(output, level)),
            ("deflate", true) => Self::Deflate(write::ZlibEncoder::new(output, level)),
            ("deflate-raw", true) => Self::DeflateRaw(write::DeflateEncoder::new(output, level)),
            ("brotli", true) => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                output,
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW,
            ))),
            ("gzip", false) => Self::Gunzip(write::GzDecoder::new(output)),
            ("deflate", false) => Self::Inflate { state: Decompress::new(true), ended: false },
            ("deflate-raw", false) => Self::Inflate { state: Decompress::new(false), ended: false },
            ("brotli", false) => {
                let writer = Box::new(brotli::DecompressorWriter::new(output, BROTLI_BUFFER_BYTES));
                Self::Unbrotli { writer, begun: false }
            }
            _ => return None,
        })
    }

    /// Feeds `input` and returns what came out; the error is the message of a TypeError.
    pub(super) fn step(&mut self, input: &[u8], last: bool) -> Result<Vec<u8>, String> {
        let done = match self {
            Self::Gzip(writer) => {
                let done = writer.write_all(input).and_then(|()| if last { writer.try_finish() } else { Ok(()) });
                done.map(|()| writer.get_mut().take())
            }
            Self::Deflate(writer) => {
                let done = writer.write_all(input).and_then(|()| if last { writer.try_finish() } else { Ok(()) });
                done.map(|()| writer.get_mut().take())
            }
            Self::DeflateRaw(writer) => {
                let done = writer.write_all(input).and_then(|()| if last { writer.try_finish() } else { Ok(()) });
                done.map(|()| writer.get_mut().take())
            }
            Self::Gunzip(writer) => {
                let done = writer.write_all(input).and_then(|()| if last { writer.try_finish() } else { Ok(()) });
                done.map(|()| writer.get_mut().take())
            }
            Self::Brotli(writer) => return brotli(writer, input, last),
            Self::Unbrotli { writer, begun } => {
                if let (false, Some(first)) = (*begun, input.first()) {
                    *begun = true;
                    if first & BROTLI_HEAD_MASK == BROTLI_LARGE_WINDOW {
                        return Err("Decompression failed.".to_owned());
                    }
                }
                let done = writer.write_all(input).and_then(|()| if last { writer.close() } else { Ok(()) });
                done.map(|()| writer.get_mut().take())
            }
            Self::Inflate { state, ended } => return inflate(state, ended, input, last),
        };
        done.map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => "The decompressed data is too large.".to_owned(),
            _ => "Decompression failed.".to_owned(),
        })
    }
}

/// The encoder writes its end only when it is dropped or taken apart.
fn brotli(writer: &mut Box<brotli::CompressorWriter<Output>>, input: &[u8], last: bool) -> Result<Vec<u8>, String> {
    writer.write_all(input).map_err(|error| error.to_string())?;
    if !last {
        return Ok(writer.get_mut().take());
    }
    let fresh = brotli::CompressorWriter::new(Output::default(), BROTLI_BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW);
    Ok(std::mem::replace(&mut **writer, fresh).into_inner().0)
}

fn inflate(state: &mut Decompress, ended: &mut bool, mut input: &[u8], last: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(input.len().saturating_mul(3).clamp(1024, 1 << 20));
    while !*ended {
        if out.len() == out.capacity() {
            if out.len() >= limits::INFLATED_BYTES_MAX {
                return Err("The decompressed data is too large.".to_owned());
            }
            out.reserve(out.len().max(1024));
        }
        let before = state.total_in();
        let produced = out.len();
        let status = state
            .decompress_vec(input, &mut out, FlushDecompress::None)
            .map_err(|_ignored| "Decompression failed.".to_owned())?;
        let consumed = usize::try_from(state.total_in() - before).map_err(|error| error.to_string())?;
        input = &input[consumed..];
        *ended = status == Status::StreamEnd;
        // Without room it comes again with more; without progress it waits for more input.
        if !*ended && out.len() < out.capacity() && consumed == 0 && out.len() == produced {
            break;
        }
    }
    if *ended && !input.is_empty() {
        return Err("Trailing bytes after end of compressed data".to_owned());
    }
    if last && !*ended {
        return Err("Called close() on a decompression stream with incomplete data".to_owned());
    }
    Ok(out)
}

/// Where compressed or decompressed bytes gather, within a bound.
#[derive(Default)]
pub(super) struct Output(Vec<u8>);

impl Output {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > limits::INFLATED_BYTES_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_gives_back_what_it_was_given() {
        let text = b"skerry ".repeat(5000);
        for format in ["gzip", "deflate", "deflate-raw", "brotli"] {
            let mut compress = Zlib::new(format, true).unwrap();
            let mut packed = compress.step(&text[..100], false).unwrap();
            packed.extend(compress.step(&text[100..], true).unwrap());
            assert!(packed.len() < text.len() / 10, "{format}");
            let mut decompress = Zlib::new(format, false).unwrap();
            let mut unpacked = decompress.step(&packed[..10], false).unwrap();
            unpacked.extend(decompress.step(&packed[10..], true).unwrap());
            assert_eq!(unpacked, text, "{format}");
        }
    }

    #[test]
    fn cut_off_and_trailing_input_are_errors() {
        for format in ["gzip", "deflate", "deflate-raw"] {
            let packed = Zlib::new(format, true).unwrap().step(b"hello hello", true).unwrap();
            let cut = &packed[..packed.len() - 2];
            assert!(Zlib::new(format, false).unwrap().step(cut, true).is_err(), "{format} cut");
            let long = [&packed[..], b"x"].concat();
            assert!(Zlib::new(format, false).unwrap().step(&long, true).is_err(), "{format} trailing");
        }
    }

    #[test]
    fn the_sender_can_not_choose_a_brotli_window_past_the_standard() {
        let mut decompress = Zlib::new("brotli", false).unwrap();
        assert_eq!(decompress.step(b"", false).unwrap(), b"");
        assert!(decompress.step(&[0x11, 0x1e, 0x00, 0x00], false).is_err());
    }

    #[test]
    fn unknown_formats_are_refused() {
        assert!(Zlib::new("lzma", true).is_none());
    }
}
