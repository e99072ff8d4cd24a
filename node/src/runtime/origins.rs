//! Where a worker's code was written.
//!
//! **Owns** the source maps of one worker, which are read when a place is first asked for. **Must not know** who asks.
//! **Enter at** [`Origins`]. What has no map, or one with a mistake, stays where the engine says it is.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use super::{
    limits, position,
    source_map::{self, Origin, SourceMap},
    worker::{Code, LoadError, Module, ModuleKind},
};

/// The way from a worker's code to its sources.
#[derive(Debug)]
pub(crate) struct Origins {
    code: Arc<Code>,
    /// Whether it has a file that may be a map.
    has_maps: bool,
    files: OnceLock<Vec<File>>,
}

/// A file of the worker with its map.
#[derive(Debug)]
struct File {
    name: String,
    map: Arc<SourceMap>,
    /// `None` for a file of ASCII, whose columns are the same in bytes and in UTF-16 units.
    columns: Option<Columns>,
}

/// The way from bytes to UTF-16 units.
#[derive(Debug)]
struct Columns {
    text: bytes::Bytes,
    /// Where the lines begin.
    lines: Vec<u32>,
    /// How many units there are before each [`UNITS_BYTES`].
    units: Vec<u32>,
}

/// BOUND: bytes whose units are counted for one end of a column; a line may be as long as the file.
const UNITS_BYTES: usize = 1024;

impl Origins {
    /// Of this code; looks at nothing yet.
    pub(crate) fn of(code: &Arc<Code>) -> Self {
        let has_maps = code.modules.iter().any(|module| module.kind == ModuleKind::SourceMap);
        Self { code: Arc::clone(code), has_maps, files: OnceLock::new() }
    }

    /// Whether asking will take a moment: the maps have not been read.
    pub(crate) fn are_unread(&self) -> bool {
        self.has_maps && self.files.get().is_none()
    }

    /// The text with its stack lines in the worker's sources, the first [`limits::STACK_LINES_MAX`] of them.
    pub(crate) fn stack<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.has_maps || !text.contains("at ") {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut asked = 0;
        while !rest.is_empty() && asked < limits::STACK_LINES_MAX {
            let (line, after) = rest.split_at(rest.find('\n').map_or(rest.len(), |at| at + 1));
            rest = after;
            let place = position::place(line);
            asked += usize::from(place.is_some());
            match place.and_then(|place| Some((place, self.place(place)?))) {
                Some((place, origin)) => {
                    let at = place.as_ptr().addr() - line.as_ptr().addr();
                    out.push_str(&line[..at]);
                    out.push_str(&origin);
                    out.push_str(&line[at + place.len()..]);
                }
                None => out.push_str(line),
            }
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// Where a line of the log is from, a place or a stack, in the worker's sources.
    pub(crate) fn position<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.place(text) {
            Some(origin) => Cow::Owned(origin),
            None => self.stack(text),
        }
    }

    /// `file:line:column` in the sources; `None` where that is not known.
    fn place(&self, place: &str) -> Option<String> {
        let (file, line, column) = position::parts(place);
        let Origin { source, line, column } = self.origin(file, line?, column)?;
        Some(format!("{source}:{line}:{column}"))
    }

    /// A failed load with its position in the sources.
    pub(crate) fn load_error(&self, error: LoadError) -> LoadError {
        let origin =
            error.file.as_deref().zip(error.line).and_then(|(file, line)| self.origin(file, line, error.column));
        match origin {
            Some(Origin { source, line, column }) => LoadError {
                message: error.message,
                file: Some(source.to_owned()),
                line: Some(line),
                column: Some(column),
            },
            None => error,
        }
    }

    fn origin(&self, file: &str, line: u32, column: Option<u32>) -> Option<Origin<'_>> {
        if !self.has_maps {
            return None;
        }
        let files = self.files.get_or_init(|| read(&self.code));
        let file = files.iter().find(|known| known.name == file)?;
        let line = line.checked_sub(1)?;
        file.map.origin(line, file.column(line, column.unwrap_or(1)))
    }
}

impl File {
    /// A column as the engine counts, in bytes, as maps do: in UTF-16 units from 0.
    fn column(&self, line: u32, column: u32) -> u32 {
        // The engine counts from 1, but for some tokens of the first line from 0: one too many is within the same token, one
        // too few would be before it.
        let bytes = if line == 0 { column } else { column.saturating_sub(1) };
        self.columns.as_ref().and_then(|columns| columns.units_of(line, bytes)).unwrap_or(bytes)
    }
}

impl Columns {
    fn of(text: &bytes::Bytes) -> Self {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let lines = std::iter::once(0).chain(ends.filter_map(|(at, _)| u32::try_from(at + 1).ok())).collect();
        let mut units = Vec::with_capacity(text.len() / UNITS_BYTES + 1);
        let mut before = 0;
        for piece in text.chunks(UNITS_BYTES) {
            units.push(before);
            before += units_in(piece);
        }
        units.push(before);
        Self { text: text.clone(), lines, units }
    }

    /// How many units the first `bytes` of a line are; `None` for a line that is not there.
    fn units_of(&self, line: u32, bytes: u32) -> Option<u32> {
        let begins = *self.lines.get(line as usize)? as usize;
        let end = self.text.len().min(begins.saturating_add(bytes as usize));
        Some(self.units_before(end) - self.units_before(begins))
    }

    fn units_before(&self, at: usize) -> u32 {
        let piece = at / UNITS_BYTES;
        self.units[piece] + units_in(&self.text[piece * UNITS_BYTES..at])
    }
}

/// A byte that begins a character is a unit; one that begins a character of four bytes is two.
fn units_in(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| u32::from(byte & 0xc0 != 0x80) + u32::from(*byte >= 0xf0)).sum()
}

fn read(code: &Code) -> Vec<File> {
    let maps = code.modules.iter().filter(|module| module.kind == ModuleKind::SourceMap);
    let maps: HashMap<&str, &Module> = maps.map(|module| (module.name.as_str(), module)).collect();
    // Each map is read once, however many files say that it is theirs.
    let mut known: HashMap<&str, Option<Arc<SourceMap>>> = HashMap::new();
    let mut files = Vec::new();
    for module in code.modules.iter().filter(|module| module.kind == ModuleKind::EsModule) {
        let Some(map) = maps.get(map_name(module).as_str()).copied() else { continue };
        let read = known.entry(map.name.as_str()).or_insert_with(|| read_map(map));
        let Some(map) = read.clone() else { continue };
        let columns = (!module.bytes.is_ascii()).then(|| Columns::of(&module.bytes));
        files.push(File { name: module.name.clone(), map, columns });
    }
    files
}

fn read_map(map: &Module) -> Option<Arc<SourceMap>> {
    let folder = map.name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let read = SourceMap::read(&map.bytes, folder);
    if read.is_none() {
        tracing::debug!(map = map.name, "a source map can not be used");
    }
    read.map(Arc::new)
}

/// The name of the file's map: what the file says at its end, else its own with `.map`.
fn map_name(module: &Module) -> String {
    const MARK: &[u8] = b"//# sourceMappingURL=";
    // BOUND: a comment that is looked for in the last line that a tool has written.
    const TAIL_BYTES: usize = 1024;
    let tail = &module.bytes[module.bytes.len().saturating_sub(TAIL_BYTES)..];
    let said = tail.windows(MARK.len()).rposition(|window| window == MARK).and_then(|at| {
        let rest = std::str::from_utf8(&tail[at + MARK.len()..]).ok()?;
        rest.split_whitespace().next().filter(|url| !url.contains(':'))
    });
    match said {
        Some(url) => {
            let folder = module.name.rsplit_once('/').map_or("", |(folder, _)| folder);
            source_map::joined(folder, url)
        }
        None => format!("{}.map", module.name),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::runtime::worker::Syntax;

    fn module(name: &str, kind: ModuleKind, text: &str) -> Module {
        Module { name: name.to_owned(), kind, bytes: Bytes::copy_from_slice(text.as_bytes()) }
    }

    /// A file whose second line has one place, the UTF-16 unit 8, from `a.ts:1:1`; what comes after is from `b.ts`.
    fn origins(second_line: &str, map_name: &str, end: &str) -> Origins {
        let map = r#"{"version":3,"sources":["a.ts","b.ts"],"mappings":";QAAA,CCAA"}"#;
        let code = format!("first\n{second_line}\n{end}");
        let modules =
            vec![module("dir/index.js", ModuleKind::EsModule, &code), module(map_name, ModuleKind::SourceMap, map)];
        Origins::of(&Arc::new(Code { syntax: Syntax::Modules, main_module: "dir/index.js".to_owned(), modules }))
    }

    #[test]
    fn columns_in_bytes_are_found_among_those_in_utf16_units() {
        for (line, before, at, after) in [
            ("........x", "8", "9", "10"),
            // Two bytes and one unit; four bytes and two.
            ("\u{e9}\u{e9}\u{e9}\u{e9}....x", "12", "13", "14"),
            ("\u{1d11e}\u{1d11e}....x", "12", "13", "14"),
        ] {
            let origins = origins(line, "dir/index.js.map", "");
            let place = |column: &str| origins.place(&format!("dir/index.js:2:{column}"));
            assert_eq!(place(before), None, "{line}");
            assert_eq!(place(at).as_deref(), Some("dir/a.ts:1:1"), "{line}");
            assert_eq!(place(after).as_deref(), Some("dir/b.ts:1:1"), "{line}");
        }
    }

    #[test]
    fn columns_are_counted_from_the_nearest_kibibyte_of_a_line_of_any_length() {
        let pieces = ["a", "\u{e9}", "\u{20ac}", "\u{1d11e}", "z\n"];
        let text: String = (0..20_000).map(|number| pieces[(number * number / 7) % 4]).collect();
        let text = format!("{text}\n{}", pieces.concat().repeat(300));
        let columns = Columns::of(&Bytes::from(text.clone()));
        for (line, content) in text.split('\n').enumerate().take(40) {
            for (at, _) in content.char_indices().step_by(97) {
                let expected = content[..at].encode_utf16().count() as u32;
                assert_eq!(columns.units_of(line as u32, at as u32), Some(expected), "{line}:{at}");
            }
        }
        let whole = text.encode_utf16().count() as u32;
        assert_eq!(columns.units_of(0, u32::MAX), Some(whole));
        assert_eq!(columns.units_of(u32::MAX, 0), None);
        // A text that ends where a piece does has all places, too.
        let columns = Columns::of(&Bytes::from("\u{e9}".repeat(UNITS_BYTES)));
        assert_eq!(columns.units_of(0, 2 * UNITS_BYTES as u32), Some(UNITS_BYTES as u32));
    }

    #[test]
    fn only_the_first_lines_of_a_text_are_looked_up() {
        let origins = origins("........x", "dir/index.js.map", "");
        let text = format!("Error\n{}", "    at dir/index.js:2:9\n".repeat(limits::STACK_LINES_MAX + 7));
        let stack = origins.stack(&text);
        assert_eq!(stack.matches("dir/a.ts:1:1").count(), limits::STACK_LINES_MAX);
        assert_eq!(stack.matches("dir/index.js:2:9").count(), 7);
        assert_eq!(stack.lines().count(), text.lines().count());
    }

    #[test]
    fn files_that_share_a_map_have_it_read_once() {
        let map = r#"{"version":3,"sources":["a.ts"],"mappings":"AAAA"}"#;
        let mut modules = vec![module("shared.map", ModuleKind::SourceMap, map)];
        for name in ["a.js", "b.js", "c.js"] {
            modules.push(module(name, ModuleKind::EsModule, "x\n//# sourceMappingURL=shared.map"));
        }
        let files = read(&Code { syntax: Syntax::Modules, main_module: "a.js".to_owned(), modules });
        assert_eq!(files.len(), 3);
        assert!(files.iter().all(|file| Arc::ptr_eq(&file.map, &files[0].map)));
    }

    #[test]
    fn a_file_says_where_its_map_is() {
        for (map, end) in [
            ("dir/index.js.map", ""),
            ("dir/index.js.map", "//# sourceMappingURL=index.js.map"),
            ("maps/m.json", "//# sourceMappingURL=../maps/m.json\n"),
            ("dir/index.js.map", "//# sourceMappingURL=data:application/json;base64,e30="),
        ] {
            assert!(origins("........x", map, end).place("dir/index.js:2:9").is_some(), "{map} {end}");
        }
    }

    #[test]
    fn only_places_that_are_known_change() {
        let origins = origins("........x", "dir/index.js.map", "");
        assert!(origins.are_unread());
        let text = "Error: at dir/index.js:2:9\n  at f (dir/index.js:2:9)\n    at dir/index.js:1:1\n    at g (other.js:2:9)\r\n";
        let expected =
            "Error: at dir/index.js:2:9\n  at f (dir/a.ts:1:1)\n    at dir/index.js:1:1\n    at g (other.js:2:9)\r\n";
        assert_eq!(origins.stack(text), expected);
        assert_eq!(origins.position("dir/index.js:2:9"), "dir/a.ts:1:1");
        for odd in
            ["", "at ", "    at (", "dir/index.js:0:0", "dir/index.js:4294967295:4294967295", "    at dir/index.js"]
        {
            assert_eq!(origins.stack(odd), odd);
            assert_eq!(origins.position(odd), odd);
        }
        assert!(!origins.are_unread());
    }
}
