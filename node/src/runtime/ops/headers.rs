//! Pure. How headers cross between the host and an isolate (`js/OPS.md`, "Headers").
//!
//! **Owns** both spellings: a block, one text of lines, and a list of texts. **Must not know** whose headers they are. **Enter
//! at** [`write()`] and [`read()`]. A block costs an isolate one string, and most handlers never look into it.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::OpError;
use crate::runtime::{
    frame::{Reader, Writer},
    limits,
};

/// Writes headers as a block: name, value, name, value, each a line. `host` goes first when the map has none.
pub(crate) fn write(out: &mut Writer, host: Option<&str>, headers: &HeaderMap) {
    let host = host.map(|host| ("host", host.as_bytes()));
    let all = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut lines = out.open_text();
    for (at, (name, value)) in host.into_iter().chain(all).enumerate() {
        if at > 0 {
            lines.push_text("\n");
        }
        lines.push_text(name);
        lines.push_text("\n");
        match std::str::from_utf8(value) {
            Ok(text) => lines.push_text(text),
            // What older programs send.
            Err(_) => lines.push_latin1(value),
        }
    }
}

/// Reads headers that a guest sends, a block or a list; values are sent in UTF-8.
pub(crate) fn read(args: &mut Reader<'_>) -> Result<HeaderMap, OpError> {
    let mut ahead = args.clone();
    if let Ok(count) = ahead.list() {
        let mut fields = Fields::with_capacity(count / 2)?;
        for _ in 0..count / 2 {
            fields.add(ahead.text()?, ahead.text()?)?;
        }
        *args = ahead;
        return Ok(fields.headers);
    }
    let block = args.text()?;
    let mut fields = Fields::with_capacity(ROOM)?;
    let mut lines = block.split('\n');
    while let Some(name) = lines.next().filter(|_| !block.is_empty()) {
        fields.add(name, lines.next().unwrap_or_default())?;
    }
    Ok(fields.headers)
}

/// Headers of most answers, together with those that the node adds. More make the map grow.
const ROOM: usize = 6;

/// Headers as they are read.
struct Fields {
    headers: HeaderMap,
    left_bytes: usize,
}

impl Fields {
    fn with_capacity(count: usize) -> Result<Self, OpError> {
        // A map panics where this and `try_append` do not: a guest chooses how many there are.
        let headers = HeaderMap::try_with_capacity(count).map_err(|_ignored| too_large())?;
        Ok(Self { headers, left_bytes: limits::HEADER_BLOCK_BYTES_MAX })
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), OpError> {
        self.left_bytes = self.left_bytes.checked_sub(name.len() + value.len()).ok_or_else(too_large)?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_ignored| OpError::throw("TypeError", format!("Invalid header name: {name}")))?;
        self.headers.try_append(name, header_value(value)?).map_err(|_ignored| too_large())?;
        Ok(())
    }
}

fn too_large() -> OpError {
    OpError::throw("TypeError", "The headers are larger than 128 KiB.")
}

fn header_value(text: &str) -> Result<HeaderValue, OpError> {
    let invalid = |_ignored| OpError::throw("TypeError", "Invalid header value.");
    HeaderValue::from_bytes(text.as_bytes()).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap())
        });
        pairs.fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    fn written(host: Option<&str>, headers: &HeaderMap) -> Vec<u8> {
        let mut out = Writer::new();
        write(&mut out, host, headers);
        out.into_bytes()
    }

    #[test]
    fn a_block_is_read_back_byte_for_byte() {
        let text = "grüße “€”".as_bytes();
        for headers in [map(&[]), map(&[("a", b"1")]), map(&[("a", b""), ("a", b"2"), ("set-cookie", text)])] {
            assert_eq!(read(&mut Reader::new(&written(None, &headers))).unwrap(), headers);
        }
    }

    #[test]
    fn a_value_in_latin_1_is_read_as_such_and_sent_in_utf_8() {
        let frame = written(None, &map(&[("a", b"gr\xfc\xdfe")]));
        assert_eq!(Reader::new(&frame).text().unwrap(), "a\ngrüße");
        assert_eq!(read(&mut Reader::new(&frame)).unwrap(), map(&[("a", "grüße".as_bytes())]));
    }

    #[test]
    fn the_host_goes_first() {
        let frame = written(Some("app.test"), &map(&[("a", b"1")]));
        assert_eq!(Reader::new(&frame).text().unwrap(), "host\napp.test\na\n1");
    }

    #[test]
    fn a_list_is_read_as_well() {
        let mut out = Writer::new();
        out.list(4).text("a").text("1").text("b").text("2");
        assert_eq!(read(&mut Reader::new(out.as_bytes())).unwrap(), map(&[("a", b"1"), ("b", b"2")]));
    }

    #[test]
    fn more_than_a_header_block_may_hold_is_refused() {
        let mut out = Writer::new();
        let value = "x".repeat(1024);
        out.list(400);
        for _ in 0..200 {
            out.text("a").text(&value);
        }
        assert!(matches!(read(&mut Reader::new(out.as_bytes())), Err(OpError::Throw { name: "TypeError", .. })));
    }

    proptest! {
        #[test]
        fn whatever_a_guest_sends_is_headers_or_an_error(block in "\\PC{0,40}|([a-z\n: é]{0,40})") {
            let mut out = Writer::new();
            out.text(&block);
            let _either = read(&mut Reader::new(out.as_bytes()));
        }
    }
}
