//! Pure. Messages in a stream: four bytes of length, big endian, then the message.
//!
//! **Owns** where a frame ends. **Must not know** what the messages mean. **Enter at** [`Decoder`].

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

use crate::limits::FRAME_BYTES_MAX;

const LENGTH_BYTES: usize = 4;

/// A frame is larger than its receiver takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame has {size_bytes} bytes, more than {max_bytes}")]
pub(super) struct TooLarge {
    pub(super) size_bytes: usize,
    pub(super) max_bytes: usize,
}

/// Puts a message behind what is in `frames`.
pub(super) fn append<M: Message>(frames: &mut BytesMut, message: &M) -> Result<(), TooLarge> {
    let length = length(message.encoded_len())?;
    frames.reserve(LENGTH_BYTES + message.encoded_len());
    frames.extend_from_slice(&length);
    message.encode(frames).expect("the buffer grows as needed");
    Ok(())
}

/// A frame's first bytes.
pub(super) fn length(size_bytes: usize) -> Result<[u8; LENGTH_BYTES], TooLarge> {
    let too_large = TooLarge { size_bytes, max_bytes: FRAME_BYTES_MAX };
    if size_bytes > FRAME_BYTES_MAX {
        return Err(too_large);
    }
    u32::try_from(size_bytes).map(u32::to_be_bytes).ok().ok_or(too_large)
}

/// Finds the frames in bytes that come in pieces. It keeps at most one frame and one piece: ask for frames before you
/// push more.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// More bytes have come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` when more bytes are needed.
    pub(super) fn next(&mut self, max_bytes: usize) -> Result<Option<Bytes>, TooLarge> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let (size_bytes, max_bytes) = (u32::from_be_bytes(*length) as usize, max_bytes.min(FRAME_BYTES_MAX));
        if size_bytes > max_bytes {
            return Err(TooLarge { size_bytes, max_bytes });
        }
        if self.buffer.len() < LENGTH_BYTES + size_bytes {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(Some(self.buffer.split_to(size_bytes).freeze()))
    }

    /// Whether the bytes so far end where a frame ends.
    pub(super) fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skerry_proto::mesh::Chunk;

    use super::*;

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_were_cut(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
            cuts in prop::collection::vec(1_usize..20, 1..20),
        ) {
            let mut frames = BytesMut::new();
            for content in &contents {
                append(&mut frames, &Chunk { bytes: content.clone().into() }).unwrap();
            }
            let (mut decoder, mut found, mut cuts) = (Decoder::default(), Vec::new(), cuts.into_iter().cycle());
            while !frames.is_empty() {
                let piece = frames.split_to(cuts.next().unwrap().min(frames.len()));
                decoder.push(&piece);
                while let Some(frame) = decoder.next(1000).unwrap() {
                    found.push(Chunk::decode(frame).unwrap().bytes.to_vec());
                }
            }
            prop_assert!(decoder.is_between_frames());
            prop_assert_eq!(found, contents);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(frame)) = decoder.next(100) {
                prop_assert!(frame.len() <= 100);
            }
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_has_come() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 101]);
        assert_eq!(decoder.next(100), Err(TooLarge { size_bytes: 101, max_bytes: 100 }));
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_be_bytes());
        assert_eq!(decoder.next(usize::MAX).unwrap_err().max_bytes, FRAME_BYTES_MAX);
        assert!(length(FRAME_BYTES_MAX + 1).is_err());
    }
}
