//! Text decoders, compressors and digests: objects on the host that JavaScript feeds piece by piece.
//!
//! **Owns** the table of them. **Must not know** TextDecoder or CompressionStream. **Enter at** [`Codecs`]. Each belongs to an
//! event and goes with it; one that was made outside events stays until the guest drops it.

#[path = "codec/zlib.rs"]
mod zlib;

use std::collections::HashMap;

use encoding_rs::{Decoder, DecoderResult, Encoding};

use self::zlib::Zlib;
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

struct Held {
    /// The event that it belongs to.
    request: i32,
    codec: Codec,
}

/// The table.
#[derive(Default)]
pub(crate) struct Codecs {
    // BOUND: CODECS_MAX.
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
        let output = zlib.step(input, last);
        if last || output.is_err() {
            self.table.remove(&id);
        }
        let output = output.map_err(|message| OpError::throw("TypeError", message))?;
        reply.bytes(&output);
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

    fn codec(&mut self, id: i32) -> Option<&mut Codec> {
        self.table.get_mut(&id).map(|held| &mut held.codec)
    }

    fn insert(&mut self, held: Held) -> Result<i32, OpError> {
        if self.table.len() >= limits::CODECS_MAX {
            return Err(OpError::throw("Error", "Too many decoders and compression streams are open."));
        }
        self.next = self.next.wrapping_add(1).max(1);
        self.table.insert(self.next, held);
        Ok(self.next)
    }
}

fn gone() -> OpError {
    OpError::throw("TypeError", "The stream has ended.")
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
