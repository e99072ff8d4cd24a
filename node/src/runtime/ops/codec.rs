//! Text decoders, compressors and digests: objects on the host that JavaScript feeds piece by piece.
//!
//! **Owns** the table of them. **Must not know** TextDecoder or CompressionStream. **Enter at** [`Codecs`]. Each belongs to an
//! event and goes with it; one that was made outside events stays until the guest drops it.

#[path = "codec/zlib.rs"]
mod zlib;

use std::collections::HashMap;

use encoding_rs::{Decoder, DecoderResult, Encoding};

use self::zlib::{Step, Zlib};
use super::{OpError, Ops, Replied, code, crypto};
use crate::runtime::{
    frame::{Reader, Writer},
    limits,
};

enum Codec {
    Text { decoder: Decoder, fatal: bool },
    Zlib(Box<Zlib>),
    Digest(Box<crypto::Digest>),
}

impl Codec {
    /// Memory that it takes; decoders of text and digests take some hundred bytes, which nobody counts.
    fn bytes(&self) -> usize {
        match self {
            Self::Zlib(zlib) => zlib.bytes(),
            Self::Text { .. } | Self::Digest(_) => 0,
        }
    }
}

struct Held {
    /// The event that it belongs to.
    request: i32,
    codec: Codec,
}

/// The table.
#[derive(Default)]
pub(crate) struct Codecs {
    // BOUND: CODECS_MAX, CODEC_BYTES_MAX.
    table: HashMap<i32, Held>,
    next: i32,
}

impl Ops {
    /// DECODER_NEW, ZLIB_NEW, DIGEST_NEW, HMAC_NEW: the first argument is the event.
    pub(super) fn codec_new(&mut self, code: i32, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let request = args.int()?;
        // What is made after its event has ended would otherwise never be dropped.
        let request = if self.requests.contains(request) { request } else { -1 };
        let codec = match code {
            code::DECODER_NEW => decoder(args)?,
            code::ZLIB_NEW => zlib(args)?,
            code::DIGEST_NEW => Codec::Digest(Box::new(crypto::Digest::new(args.text()?)?)),
            _ => Codec::Digest(Box::new(crypto::Digest::hmac(args.text()?, args.bytes()?)?)),
        };
        reply.int(self.codecs.insert(Held { request, codec })?);
        Ok(true)
    }
}

fn decoder(args: &mut Reader<'_>) -> Result<Codec, OpError> {
    let label = args.text()?;
    let (fatal, ignore_bom) = (args.bool()?, args.bool()?);
    let encoding = Encoding::for_label_no_replacement(label.as_bytes())
        .ok_or_else(|| OpError::throw("RangeError", format!("\"{label}\" is not a valid encoding.")))?;
    let decoder =
        if ignore_bom { encoding.new_decoder_without_bom_handling() } else { encoding.new_decoder_with_bom_removal() };
    Ok(Codec::Text { decoder, fatal })
}

fn zlib(args: &mut Reader<'_>) -> Result<Codec, OpError> {
    let format = args.text()?;
    let compress = args.bool()?;
    let zlib = Zlib::new(format, compress)
        .ok_or_else(|| OpError::throw("TypeError", format!("Unsupported compression format: \"{format}\".")))?;
    Ok(Codec::Zlib(Box::new(zlib)))
}

impl Codecs {
    /// Drops what belongs to an event that is over.
    pub(super) fn end_request(&mut self, request: i32) {
        if !self.table.is_empty() {
            self.table.retain(|_, held| held.request != request);
        }
    }

    pub(super) fn decoder_write(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let id = args.int()?;
        let input = crypto::bounded(args.bytes()?)?;
        let last = args.bool()?;
        let Some(Codec::Text { decoder, fatal }) = self.codec(id) else { return Err(gone()) };
        let decoded = decode(decoder, input, last, *fatal);
        if last || decoded.is_none() {
            self.table.remove(&id);
        }
        let text = decoded.ok_or_else(|| OpError::throw("TypeError", "Failed to decode input."))?;
        reply.text(&text);
        Ok(true)
    }

    pub(super) fn zlib_write(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let id = args.int()?;
        let input = crypto::bounded(args.bytes()?)?;
        let last = args.bool()?;
        let Some(Codec::Zlib(zlib)) = self.codec(id) else { return Err(gone()) };
        let before = zlib.bytes();
        let step = zlib.step(input, last).map_err(|message| OpError::throw("TypeError", message));
        let has_grown = zlib.bytes() > before;
        let step = if has_grown && self.bytes() > limits::CODEC_BYTES_MAX { Err(no_room()) } else { step };
        if !step.as_ref().is_ok_and(|step| !last || !step.is_done) {
            self.table.remove(&id);
        }
        let Step { output, read, is_done } = step?;
        if is_done {
            reply.bytes(&output);
        } else {
            // The input is bounded far below.
            reply.list(2).bytes(&output).int(i32::try_from(read).unwrap_or(i32::MAX));
        }
        Ok(true)
    }

    pub(super) fn digest_write(&mut self, args: &mut Reader<'_>) -> Replied {
        match self.codec(args.int()?) {
            Some(Codec::Digest(digest)) => digest.update(crypto::bounded(args.bytes()?)?),
            _ => return Err(gone()),
        }
        Ok(false)
    }

    pub(super) fn digest_end(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        match self.table.remove(&args.int()?).map(|held| held.codec) {
            Some(Codec::Digest(digest)) => drop(reply.bytes(&digest.finish())),
            _ => return Err(gone()),
        }
        Ok(true)
    }

    pub(super) fn discard(&mut self, args: &mut Reader<'_>) -> Replied {
        self.table.remove(&args.int()?);
        Ok(false)
    }

    /// Memory of all of them.
    fn bytes(&self) -> usize {
        self.table.values().map(|held| held.codec.bytes()).sum()
    }

    fn codec(&mut self, id: i32) -> Option<&mut Codec> {
        self.table.get_mut(&id).map(|held| &mut held.codec)
    }

    fn insert(&mut self, held: Held) -> Result<i32, OpError> {
        if self.table.len() >= limits::CODECS_MAX {
            return Err(OpError::throw("Error", "Too many decoders and compression streams are open."));
        }
        let bytes = held.codec.bytes();
        if bytes > 0 && self.bytes() + bytes > limits::CODEC_BYTES_MAX {
            return Err(no_room());
        }
        self.next = self.next.wrapping_add(1).max(1);
        self.table.insert(self.next, held);
        Ok(self.next)
    }
}

fn gone() -> OpError {
    OpError::throw("TypeError", "The stream has ended.")
}

fn no_room() -> OpError {
    OpError::throw("RangeError", "The compression streams that are open take too much memory.")
}

/// `None` when `fatal` and the input is ill-formed.
fn decode(decoder: &mut Decoder, input: &[u8], last: bool, fatal: bool) -> Option<String> {
    let room = if fatal {
        decoder.max_utf8_buffer_length_without_replacement(input.len())
    } else {
        decoder.max_utf8_buffer_length(input.len())
    };
    let mut text = String::with_capacity(room.unwrap_or(input.len().saturating_mul(3)));
    if !fatal {
        let (_result, read, _had_errors) = decoder.decode_to_string(input, &mut text, last);
        debug_assert_eq!(read, input.len(), "the buffer has the size that the decoder asked for");
        return Some(text);
    }
    match decoder.decode_to_string_without_replacement(input, &mut text, last) {
        (DecoderResult::InputEmpty, _) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn open(codecs: &mut Codecs, request: i32, format: &str, compress: bool) -> Result<i32, OpError> {
        let codec = Codec::Zlib(Box::new(Zlib::new(format, compress).unwrap()));
        codecs.insert(Held { request, codec })
    }

    fn write(codecs: &mut Codecs, id: i32, bytes: &[u8], last: bool) -> Result<Vec<u8>, OpError> {
        let (mut frame, mut reply) = (Writer::new(), Writer::new());
        frame.int(id).bytes(bytes).bool(last);
        codecs.zlib_write(&mut Reader::new(frame.as_bytes()), &mut reply)?;
        Ok(reply.into_bytes())
    }

    fn is_refused<T>(result: &Result<T, OpError>) -> bool {
        matches!(result, Err(OpError::Throw { name: "RangeError", .. }))
    }

    #[test]
    fn compressors_are_bounded_by_the_memory_that_they_take() {
        let mut codecs = Codecs::default();
        for _ in 0..limits::CODECS_MAX {
            open(&mut codecs, 1, "gzip", true).unwrap();
        }
        assert!(matches!(open(&mut codecs, 1, "gzip", true), Err(OpError::Throw { name: "Error", .. })));
        codecs.end_request(1);
        let ids: Vec<i32> = std::iter::from_fn(|| open(&mut codecs, 2, "brotli", true).ok()).collect();
        assert!((20..30).contains(&ids.len()), "{}", ids.len());
        assert!(is_refused(&open(&mut codecs, 3, "brotli", true)));
        write(&mut codecs, ids[0], b"x", true).unwrap();
        open(&mut codecs, 3, "brotli", true).unwrap();
        codecs.end_request(2);
        open(&mut codecs, 3, "brotli", true).unwrap();
    }

    #[test]
    fn a_decompressor_whose_window_finds_no_room_is_refused_and_dropped() {
        let mut wide = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 24);
        wide.write_all(b"skerry").unwrap();
        wide.flush().unwrap();
        let packed = wide.get_ref().clone();
        let mut codecs = Codecs::default();
        let ids: Vec<i32> = (0..10).map(|_| open(&mut codecs, 1, "brotli", false).unwrap()).collect();
        let fit = ids.iter().filter(|id| write(&mut codecs, **id, &packed, false).is_ok()).count();
        assert_eq!(fit, 7);
        assert_eq!(codecs.table.len(), 7);
        assert!(codecs.bytes() <= limits::CODEC_BYTES_MAX);
    }

    #[test]
    fn what_is_not_handed_over_at_once_is_asked_for() {
        let mut codecs = Codecs::default();
        let compressor = open(&mut codecs, 1, "deflate", true).unwrap();
        let mut packed = Vec::new();
        for last in [false, false, false, false, false, true] {
            let reply = write(&mut codecs, compressor, &vec![7; limits::COMPUTED_BYTES_MAX], last).unwrap();
            packed.extend_from_slice(Reader::new(&reply).bytes().unwrap());
        }
        let decompressor = open(&mut codecs, 1, "deflate", false).unwrap();
        let reply = write(&mut codecs, decompressor, &packed, true).unwrap();
        let mut first = Reader::new(&reply);
        assert_eq!(first.list().unwrap(), 2);
        assert_eq!(first.bytes().unwrap().len(), limits::INFLATED_STEP_BYTES);
        let read = first.int().unwrap() as usize;
        let reply = write(&mut codecs, decompressor, &packed[read..], true).unwrap();
        let rest = Reader::new(&reply).bytes().unwrap().len();
        assert_eq!(limits::INFLATED_STEP_BYTES + rest, 6 * limits::COMPUTED_BYTES_MAX);
        assert!(codecs.table.is_empty());
    }
}
