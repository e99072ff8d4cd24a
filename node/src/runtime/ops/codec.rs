//! Text decoders, compressors and digests: objects on the host that JavaScript feeds piece by piece.
//!
//! **Owns** the table of them. **Must not know** TextDecoder or CompressionStream. **Enter at** [`Codecs`].

#[path = "codec/zlib.rs"]
mod zlib;

use std::collections::HashMap;

use encoding_rs::{Decoder, DecoderResult, Encoding};

use self::zlib::Zlib;
use super::{OpError, Replied, crypto};
use crate::runtime::{
    frame::{Reader, Writer},
    limits,
};

enum Codec {
    Text { decoder: Decoder, fatal: bool },
    Zlib(Box<Zlib>),
    Digest(Box<crypto::Digest>),
}

/// The table.
#[derive(Default)]
pub(crate) struct Codecs {
    table: HashMap<i32, Codec>,
    next: i32,
}

impl Codecs {
    pub(super) fn decoder_new(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let label = args.text()?;
        let (fatal, ignore_bom) = (args.bool()?, args.bool()?);
        let encoding = Encoding::for_label_no_replacement(label.as_bytes())
            .ok_or_else(|| OpError::throw("RangeError", format!("\"{label}\" is not a valid encoding.")))?;
        let decoder = if ignore_bom {
            encoding.new_decoder_without_bom_handling()
        } else {
            encoding.new_decoder_with_bom_removal()
        };
        self.insert(Codec::Text { decoder, fatal }, reply)
    }

    pub(super) fn decoder_write(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let id = args.int()?;
        let input = args.bytes()?;
        let last = args.bool()?;
        let Some(Codec::Text { decoder, fatal }) = self.table.get_mut(&id) else { return Err(gone()) };
        let decoded = decode(decoder, input, last, *fatal);
        if last || decoded.is_none() {
            self.table.remove(&id);
        }
        let text = decoded.ok_or_else(|| OpError::throw("TypeError", "Failed to decode input."))?;
        reply.text(&text);
        Ok(true)
    }

    pub(super) fn zlib_new(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let format = args.text()?;
        let compress = args.bool()?;
        let zlib = Zlib::new(format, compress)
            .ok_or_else(|| OpError::throw("TypeError", format!("Unsupported compression format: \"{format}\".")))?;
        self.insert(Codec::Zlib(Box::new(zlib)), reply)
    }

    pub(super) fn zlib_write(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let id = args.int()?;
        let input = args.bytes()?;
        let last = args.bool()?;
        let Some(Codec::Zlib(zlib)) = self.table.get_mut(&id) else { return Err(gone()) };
        let output = zlib.step(input, last);
        if last || output.is_err() {
            self.table.remove(&id);
        }
        let output = output.map_err(|message| OpError::throw("TypeError", message))?;
        reply.bytes(&output);
        Ok(true)
    }

    pub(super) fn digest_new(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let digest = crypto::Digest::new(args.text()?)?;
        self.insert(Codec::Digest(Box::new(digest)), reply)
    }

    pub(super) fn digest_write(&mut self, args: &mut Reader<'_>) -> Replied {
        match self.table.get_mut(&args.int()?) {
            Some(Codec::Digest(digest)) => digest.update(args.bytes()?),
            _ => return Err(gone()),
        }
        Ok(false)
    }

    pub(super) fn digest_end(&mut self, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        match self.table.remove(&args.int()?) {
            Some(Codec::Digest(digest)) => drop(reply.bytes(&digest.finish())),
            _ => return Err(gone()),
        }
        Ok(true)
    }

    pub(super) fn discard(&mut self, args: &mut Reader<'_>) -> Replied {
        self.table.remove(&args.int()?);
        Ok(false)
    }

    fn insert(&mut self, codec: Codec, reply: &mut Writer) -> Replied {
        if self.table.len() >= limits::RESOURCES_MAX {
            return Err(OpError::throw("Error", "Too many decoders and compression streams are open."));
        }
        self.next = self.next.wrapping_add(1).max(1);
        self.table.insert(self.next, codec);
        reply.int(self.next);
        Ok(true)
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
