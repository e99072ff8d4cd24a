//! The name of a span as it travels: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
//!
//! **Owns** `traceparent` and `tracestate`. **Must not know** headers or calls. **Enter at** [`TraceContext`].

use std::sync::Arc;

/// BOUND: bytes of a `tracestate`; section 3.3.1.5 asks to hand on 512 at least.
pub const STATE_BYTES_MAX: usize = 512;
/// BOUND: members of a `tracestate`; section 3.3.1.1.
const STATE_MEMBERS_MAX: usize = 32;
/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const PARENT_BYTES: usize = 55;

/// A span, as others name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Its trace; never all zero.
    pub trace_id: [u8; 16],
    /// Itself; never all zero.
    pub span_id: [u8; 8],
    /// Whether the trace is kept.
    pub sampled: bool,
    /// What others have said beside it, as it came.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// The first span of a trace.
    pub(super) fn new(sampled: bool) -> Self {
        Self { trace_id: nonzero(), span_id: nonzero(), sampled, state: None }
    }

    /// Another span of the trace. One that is not kept has no name of its own: its children are its parent's.
    pub(super) fn child(&self) -> Self {
        let span_id = if self.sampled { nonzero() } else { self.span_id };
        Self { span_id, ..self.clone() }
    }

    /// Reads the two headers. `None` for a `traceparent` that is malformed: it says nothing, and a new trace begins. A
    /// malformed `tracestate` alone is left out.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let text = traceparent.trim_matches([' ', '\t']);
        // Bytes that are no digits end here too, so the places are those of characters.
        if !text.is_ascii() || text.len() < PARENT_BYTES {
            return None;
        }
        let (version, rest) = (&text[..2], &text[PARENT_BYTES..]);
        let fits = match digits::<1>(version)? {
            [0xff] => false,
            [0] => rest.is_empty(),
            // A later version may say more behind another dash.
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let is_parted = [2, 35, 52].iter().all(|at| text.as_bytes()[*at] == b'-');
        if !fits || !is_parted {
            return None;
        }
        let (trace_id, span_id) = (digits(&text[3..35])?, digits(&text[36..52])?);
        let [flags] = digits::<1>(&text[53..55])?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        let state = tracestate.filter(|state| is_state(state)).map(Arc::from);
        Some(Self { trace_id, span_id, sampled: flags & 1 == 1, state })
    }

    /// The `traceparent` of this span's children.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let flags = u8::from(self.sampled);
        format!("00-{}-{}-{flags:02x}", hex::encode(self.trace_id), hex::encode(self.span_id))
    }

    /// Whether a `traceparent` names this very span.
    #[must_use]
    pub fn is_named_by(&self, traceparent: &str) -> bool {
        let named = Self::parse(traceparent, None);
        named.is_some_and(|named| (named.trace_id, named.span_id) == (self.trace_id, self.span_id))
    }
}

/// Lower-case hexadecimal digits, as the standard has it.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

fn is_state(text: &str) -> bool {
    let is_printable = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    !text.is_empty()
        && text.len() <= STATE_BYTES_MAX
        && text.bytes().all(is_printable)
        && text.split(',').count() <= STATE_MEMBERS_MAX
}

fn nonzero<const N: usize>() -> [u8; N] {
    loop {
        let bytes = random::<N>();
        if bytes != [0; N] {
            return bytes;
        }
    }
}

/// Names have to differ; they are no secrets.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes once it has booted");
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn what_is_read_is_written_again() {
        for flags in ["00", "01"] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            let context = TraceContext::parse(&text, Some("a=1,b=2")).unwrap();
            assert_eq!(context.traceparent(), text);
            assert_eq!(context.state.as_deref(), Some("a=1,b=2"));
            assert!(context.is_named_by(&text));
        }
        let later = TraceContext::parse(&format!(" cc-{TRACE}-{SPAN}-03-more "), None).unwrap();
        assert_eq!(later.traceparent(), format!("00-{TRACE}-{SPAN}-01"));
    }

    #[test]
    fn a_malformed_name_says_nothing() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01more"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{TRACE}-{SPAN}"),
        ] {
            assert_eq!(TraceContext::parse(&text, None), None, "{text}");
        }
    }

    #[test]
    fn a_malformed_state_is_left_out_alone() {
        let text = format!("00-{TRACE}-{SPAN}-01");
        for state in [String::new(), "a=\u{e9}".to_owned(), "a=1,".repeat(40), "x".repeat(STATE_BYTES_MAX + 1)] {
            assert_eq!(TraceContext::parse(&text, Some(&state)).unwrap().state, None, "{state}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(parent in "\\PC{0,60}", state in "\\PC{0,20}") {
            let _read = TraceContext::parse(&parent, Some(&state));
        }
    }
}
