//! Names of text encodings, by the WHATWG Encoding standard's table.
//!
//! **Owns** the labels. **Must not know** TextDecoder. **Enter at** [`encoding_for_label`].

use encoding_rs::Encoding;

use super::Replied;
use crate::runtime::frame::{Reader, Writer};

pub(super) fn encoding_for_label(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    match Encoding::for_label_no_replacement(args.text()?.as_bytes()) {
        Some(encoding) => {
            reply.text(&encoding.name().to_ascii_lowercase());
            Ok(true)
        }
        None => Ok(false),
    }
}
