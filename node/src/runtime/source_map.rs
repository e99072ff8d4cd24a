//! Pure. Source maps (ECMA-426, which calls their format version 3).
//!
//! **Owns** the way from a place in generated code to the place it was made from. **Must not know** stacks. **Enter at**
//! [`SourceMap`].
//!
//! A map comes from a tenant: every number in it is checked, and one with a mistake is no map. It is read from end to end
//! once. What is kept of that is a mark for each KiB, whatever stands there, from which a lookup reads on to the next at
//! most: a tenth of a map taken apart, and the map itself lies in memory with the version's other files.

#[path = "source_map/json.rs"]
mod json;

use bytes::Bytes;

pub(crate) use self::json::joined;
use super::limits;

/// The map of one file of generated code.
#[derive(Debug)]
pub(crate) struct SourceMap {
    /// Their names; `None` where there is none that can be shown.
    sources: Vec<Option<Box<str>>>,
    mappings: Bytes,
    /// In the order of the generated code.
    marks: Vec<Mark>,
}

/// A place in a source; lines and columns count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    /// The name of the source.
    pub(crate) source: &'a str,
    /// Its line.
    pub(crate) line: u32,
    /// The column, in UTF-16 units.
    pub(crate) column: u32,
}

/// What has been read of a map up to some place: numbers are relative to those before them.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Where the code of the last segment begins, or the line that has begun since.
    line: u32,
    column: u32,
    source: u32,
    original_line: u32,
    original_column: u32,
    /// Whether the code from there on is from `source`.
    has_origin: bool,
}

impl State {
    fn place(&self) -> (u32, u32) {
        (self.line, self.column)
    }
}

/// A place in the map between two segments or separators, and what stands before it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: u32,
    before: State,
}

/// A map with a mistake.
#[derive(Debug)]
struct Broken;

impl SourceMap {
    /// Reads a map. The names of sources are relative to `folder`, the map's own. `None` when it is none, or too large.
    pub(crate) fn read(json: &Bytes, folder: &str) -> Option<Self> {
        if json.len() > limits::SOURCE_MAP_BYTES_MAX {
            return None;
        }
        let json::Map { sources, mappings } = json::read(json, folder)?;
        let marks = marks(&mappings, sources.len()).ok()?;
        Some(Self { sources, mappings, marks })
    }

    /// Where the code at a place is from; `line` and `column`, in UTF-16 units, count from 0.
    pub(crate) fn origin(&self, line: u32, column: u32) -> Option<Origin<'_>> {
        let after = self.marks.partition_point(|mark| mark.before.place() <= (line, column));
        let mark = self.marks.get(after.checked_sub(1)?)?;
        let mut cursor = Cursor { text: &self.mappings, at: mark.at as usize, state: mark.before };
        let mut found = mark.before;
        // The next mark lies behind the place, so it is not passed.
        while let Ok(true) = cursor.step()
            && cursor.state.place() <= (line, column)
        {
            found = cursor.state;
        }
        let known = Some(found).filter(|found| found.has_origin && found.line == line);
        let State { source, original_line, original_column, .. } = known?;
        let source = self.sources.get(source as usize)?.as_deref()?;
        Some(Origin { source, line: original_line.checked_add(1)?, column: original_column.checked_add(1)? })
    }
}

/// BOUND: bytes of a map between two marks, and a segment; a lookup reads so many, in a few microseconds.
const MARK_BYTES: usize = 1024;

/// Checks all of a map and marks the way.
fn marks(mappings: &[u8], sources: usize) -> Result<Vec<Mark>, Broken> {
    let mut cursor = Cursor { text: mappings, at: 0, state: State::default() };
    let mut marks: Vec<Mark> = Vec::new();
    loop {
        // By bytes and not by segments: a map may be nothing but separators for megabytes.
        if marks.last().is_none_or(|mark| cursor.at - mark.at as usize >= MARK_BYTES) {
            let at = u32::try_from(cursor.at).or(Err(Broken))?;
            marks.push(Mark { at, before: cursor.state });
        }
        if !cursor.step()? {
            return Ok(marks);
        }
        if cursor.state.has_origin && cursor.state.source as usize >= sources {
            return Err(Broken);
        }
    }
}

/// A way through a map.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
}

impl Cursor<'_> {
    /// Reads a separator or a segment; false at the end.
    fn step(&mut self) -> Result<bool, Broken> {
        match self.text.get(self.at) {
            None => return Ok(false),
            Some(b';') => {
                self.at += 1;
                self.state.line = self.state.line.saturating_add(1);
                self.state.column = 0;
                self.state.has_origin = false;
            }
            Some(b',') => self.at += 1,
            Some(_) => self.segment()?,
        }
        Ok(true)
    }

    fn segment(&mut self) -> Result<(), Broken> {
        let column = self.number()?;
        // Segments are sorted, or they could not be searched.
        if column < 0 {
            return Err(Broken);
        }
        self.state.column = moved(self.state.column, column)?;
        self.state.has_origin = self.is_in_segment();
        if !self.state.has_origin {
            return Ok(());
        }
        let deltas = [self.number()?, self.number()?, self.number()?];
        let state = &mut self.state;
        state.source = moved(state.source, deltas[0])?;
        state.original_line = moved(state.original_line, deltas[1])?;
        state.original_column = moved(state.original_column, deltas[2])?;
        if self.is_in_segment() {
            // Of its name in the source, which stacks do not show.
            self.number()?;
        }
        if self.is_in_segment() { Err(Broken) } else { Ok(()) }
    }

    fn is_in_segment(&self) -> bool {
        self.text.get(self.at).is_some_and(|byte| !matches!(byte, b';' | b','))
    }

    /// A number in base 64: five bits a digit, the lowest first, of which the sign is the very first.
    fn number(&mut self) -> Result<i64, Broken> {
        let mut value = 0_i64;
        // BOUND: 32 bits and the sign are seven digits.
        for shift in (0..35).step_by(5) {
            let digit = self.text.get(self.at).and_then(|byte| digit(*byte)).ok_or(Broken)?;
            self.at += 1;
            value |= i64::from(digit & 31) << shift;
            if digit < 32 {
                return Ok(if value & 1 == 0 { value >> 1 } else { -(value >> 1) });
            }
        }
        Err(Broken)
    }
}

fn moved(from: u32, delta: i64) -> Result<u32, Broken> {
    u32::try_from(i64::from(from) + delta).or(Err(Broken))
}

fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "source_map/tests.rs"]
mod tests;
