//! Pure. The frames that cross between the host and an isolate (`js/OPS.md`).
//!
//! **Owns** the encoding of values. **Must not know** what the values mean. **Enter at** [`Reader`] and [`Writer`].
//! A frame comes from tenant-controlled memory: every length is checked against what is left, and nothing panics.

/// BOUND: lists inside lists, as OPS.md says; more would let a guest choose the host's recursion depth.
pub(crate) const DEPTH_MAX: usize = 16;

const UNDEFINED: u8 = 0;
const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const INT: u8 = 4;
const NUMBER: u8 = 5;
const TEXT: u8 = 6;
const BYTES: u8 = 7;
const LIST: u8 = 8;
const ERROR: u8 = 9;

/// Why a frame can not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// The frame ends inside a value. State: unchanged. Retry: no.
    #[error("the frame is cut off")]
    CutOff,
    /// A tag that does not exist, or not the one that the operation wants. State: unchanged. Retry: no.
    #[error("the frame has another value than expected")]
    Unexpected,
    /// Text that is not UTF-8. State: unchanged. Retry: no.
    #[error("the frame has text that is not UTF-8")]
    NotUtf8,
    /// Lists nested deeper than [`DEPTH_MAX`]. State: unchanged. Retry: no.
    #[error("the frame is nested too deeply")]
    TooDeep,
}

/// One value, borrowed from its frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// `undefined`
    Undefined,
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A number that is a 32-bit integer.
    Int(i32),
    /// Any other number.
    Number(f64),
    /// A string.
    Text(&'a str),
    /// An `ArrayBuffer` or what a view covers of one.
    Bytes(&'a [u8]),
    /// An array.
    List(Vec<Value<'a>>),
    /// An error: its name and message.
    Error(&'a str, &'a str),
}

/// Reads values, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `frame`.
    #[must_use]
    pub(crate) fn new(frame: &'a [u8]) -> Self {
        Self { rest: frame }
    }

    /// Whether every value has been read.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes have not been read.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next value, whatever it is.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, FrameError> {
        self.value_at(0)
    }

    /// The next value, which must be an integer.
    pub(crate) fn int(&mut self) -> Result<i32, FrameError> {
        match self.value()? {
            Value::Int(value) => Ok(value),
            // The engine may keep a small integer as a double.
            Value::Number(value) if value.fract() == 0.0 && value.abs() < 2_147_483_648.0 => Ok(value as i32),
            _ => Err(FrameError::Unexpected),
        }
    }

    /// The next value, which must be a number.
    pub(crate) fn number(&mut self) -> Result<f64, FrameError> {
        match self.value()? {
            Value::Int(value) => Ok(f64::from(value)),
            Value::Number(value) => Ok(value),
            _ => Err(FrameError::Unexpected),
        }
    }

    /// The next value, which must be a boolean.
    pub(crate) fn bool(&mut self) -> Result<bool, FrameError> {
        match self.value()? {
            Value::Bool(value) => Ok(value),
            _ => Err(FrameError::Unexpected),
        }
    }

    /// The next value, which must be text.
    pub(crate) fn text(&mut self) -> Result<&'a str, FrameError> {
        self.optional_text()?.ok_or(FrameError::Unexpected)
    }

    /// The next value: text, or `None` for `undefined` and `null`, or when there is none.
    pub(crate) fn optional_text(&mut self) -> Result<Option<&'a str>, FrameError> {
        match self.optional()? {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(FrameError::Unexpected),
        }
    }

    /// The next value, which must be bytes or text (as UTF-8).
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        match self.value()? {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Text(text) => Ok(text.as_bytes()),
            _ => Err(FrameError::Unexpected),
        }
    }

    /// The next value, or `None` for `undefined` and `null`, or when there is none.
    pub(crate) fn optional(&mut self) -> Result<Option<Value<'a>>, FrameError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        Ok(match self.value()? {
            Value::Undefined | Value::Null => None,
            value => Some(value),
        })
    }

    /// The head of a list; its `count` items follow as values of this reader.
    pub(crate) fn list(&mut self) -> Result<usize, FrameError> {
        if self.byte()? != LIST {
            return Err(FrameError::Unexpected);
        }
        self.count()
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self) -> Result<Vec<&'a str>, FrameError> {
        let count = self.list()?;
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(self.text()?);
        }
        Ok(texts)
    }

    fn value_at(&mut self, depth: usize) -> Result<Value<'a>, FrameError> {
        Ok(match self.byte()? {
            UNDEFINED => Value::Undefined,
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => Value::Int(i32::from_le_bytes(self.array()?)),
            NUMBER => Value::Number(f64::from_le_bytes(self.array()?)),
            TEXT => Value::Text(self.span_text()?),
            BYTES => Value::Bytes(self.span()?),
            LIST if depth >= DEPTH_MAX => return Err(FrameError::TooDeep),
            LIST => {
                let count = self.count()?;
                let mut items = Vec::with_capacity(count);
                for _ in 0..count {
                    items.push(self.value_at(depth + 1)?);
                }
                Value::List(items)
            }
            ERROR => {
                let (TEXT, name) = (self.byte()?, self.span_text()?) else { return Err(FrameError::Unexpected) };
                let (TEXT, message) = (self.byte()?, self.span_text()?) else { return Err(FrameError::Unexpected) };
                Value::Error(name, message)
            }
            _ => return Err(FrameError::Unexpected),
        })
    }

    /// A list's length; each item takes a byte at least, so that the count can not make the host allocate more than the
    /// frame's own size in items.
    fn count(&mut self) -> Result<usize, FrameError> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        if count > self.rest.len() { Err(FrameError::CutOff) } else { Ok(count) }
    }

    fn byte(&mut self) -> Result<u8, FrameError> {
        let (first, rest) = self.rest.split_first().ok_or(FrameError::CutOff)?;
        self.rest = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(FrameError::CutOff)?;
        self.rest = rest;
        Ok(*head)
    }

    fn span(&mut self) -> Result<&'a [u8], FrameError> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (span, rest) = self.rest.split_at_checked(length).ok_or(FrameError::CutOff)?;
        self.rest = rest;
        Ok(span)
    }

    fn span_text(&mut self) -> Result<&'a str, FrameError> {
        std::str::from_utf8(self.span()?).map_err(|_ignored| FrameError::NotUtf8)
    }
}

/// Writes values, one after the other.
#[derive(Debug, Default, Clone)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty frame.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends to `bytes`, and so keeps their memory in use.
    #[must_use]
    pub(crate) fn over(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The frame so far.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The frame.
    #[must_use]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Empties the frame and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// `undefined`
    pub(crate) fn undefined(&mut self) -> &mut Self {
        self.bytes.push(UNDEFINED);
        self
    }

    /// `null`
    pub(crate) fn null(&mut self) -> &mut Self {
        self.bytes.push(NULL);
        self
    }

    /// A boolean.
    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        self.bytes.push(if value { TRUE } else { FALSE });
        self
    }

    /// An integer.
    pub(crate) fn int(&mut self, value: i32) -> &mut Self {
        self.bytes.push(INT);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A number.
    pub(crate) fn number(&mut self, value: f64) -> &mut Self {
        self.bytes.push(NUMBER);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A string.
    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.span(TEXT, value.as_bytes())
    }

    /// A string, or `undefined`.
    pub(crate) fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(text) => self.text(text),
            None => self.undefined(),
        }
    }

    /// A string that is written piece by piece; it ends when what is returned is dropped.
    pub(crate) fn open_text(&mut self) -> OpenText<'_> {
        self.bytes.push(TEXT);
        let start = self.bytes.len();
        self.length(0);
        OpenText { writer: self, start }
    }

    /// A string whose characters are these bytes, as the web platform reads header values.
    pub(crate) fn latin1(&mut self, value: &[u8]) -> &mut Self {
        self.open_text().push_latin1(value);
        self
    }

    /// An `ArrayBuffer`.
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.span(BYTES, value)
    }

    /// The head of a list whose `count` items the caller writes next.
    pub(crate) fn list(&mut self, count: usize) -> &mut Self {
        self.bytes.push(LIST);
        self.length(count);
        self
    }

    /// An error that JavaScript throws or rejects with.
    pub(crate) fn error(&mut self, name: &str, message: &str) -> &mut Self {
        self.bytes.push(ERROR);
        self.text(name).text(message)
    }

    fn span(&mut self, tag: u8, value: &[u8]) -> &mut Self {
        self.bytes.push(tag);
        self.length(value.len());
        self.bytes.extend_from_slice(value);
        self
    }

    fn length(&mut self, length: usize) {
        self.bytes.extend_from_slice(&encoded_length(length));
    }
}

/// A string that grows; see [`Writer::open_text`].
pub(crate) struct OpenText<'a> {
    writer: &'a mut Writer,
    /// Where its length stands.
    start: usize,
}

impl OpenText<'_> {
    /// Adds characters that are text already.
    pub(crate) fn push_text(&mut self, text: &str) {
        self.writer.bytes.extend_from_slice(text.as_bytes());
    }

    /// Adds characters that are these bytes.
    pub(crate) fn push_latin1(&mut self, bytes: &[u8]) {
        if bytes.is_ascii() {
            self.writer.bytes.extend_from_slice(bytes);
            return;
        }
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        self.writer.bytes.extend_from_slice(text.as_bytes());
    }
}

impl Drop for OpenText<'_> {
    fn drop(&mut self) {
        let content = self.start + size_of::<u32>();
        let length = encoded_length(self.writer.bytes.len() - content);
        self.writer.bytes[self.start..content].copy_from_slice(&length);
    }
}

fn encoded_length(length: usize) -> [u8; 4] {
    // Every body, header block and module that reaches a frame is bounded far below 4 GiB.
    u32::try_from(length).expect("frames stay below the 4 GiB of a guest's memory").to_le_bytes()
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
