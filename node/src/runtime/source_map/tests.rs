use proptest::prelude::*;

use super::*;

/// A number as maps write it.
fn vlq(number: i64, out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut rest = if number < 0 { (-number << 1) | 1 } else { number << 1 };
    loop {
        let digit = rest & 31;
        rest >>= 5;
        out.push(char::from(DIGITS[(digit | if rest > 0 { 32 } else { 0 }) as usize]));
        if rest == 0 {
            return;
        }
    }
}

/// Generated line and column; source, line and column there.
type Row = (u32, u32, Option<(u32, u32, u32)>);

fn mappings(rows: &[Row]) -> String {
    let mut out = String::new();
    let (mut line, mut column, mut from) = (0, 0, (0, 0, 0));
    for (at_line, at_column, origin) in rows {
        while line < *at_line {
            out.push(';');
            (line, column) = (line + 1, 0);
        }
        out.push(',');
        vlq(i64::from(*at_column) - i64::from(column), &mut out);
        column = *at_column;
        if let Some((source, original_line, original_column)) = *origin {
            vlq(i64::from(source) - i64::from(from.0), &mut out);
            vlq(i64::from(original_line) - i64::from(from.1), &mut out);
            vlq(i64::from(original_column) - i64::from(from.2), &mut out);
            from = (source, original_line, original_column);
        }
    }
    out
}

fn map(rows: &[Row], sources: &[&str]) -> SourceMap {
    let json = serde_json::json!({ "version": 3, "sources": sources, "mappings": mappings(rows), "names": [] });
    SourceMap::read(&json.to_string().into(), "").unwrap()
}

fn place(map: &SourceMap, line: u32, column: u32) -> Option<String> {
    map.origin(line, column).map(|origin| format!("{}:{}:{}", origin.source, origin.line, origin.column))
}

#[test]
fn a_place_belongs_to_the_segment_that_begins_at_or_before_it() {
    let rows = [(0, 4, Some((0, 10, 2))), (0, 9, Some((1, 0, 0))), (0, 20, None), (3, 0, Some((0, 2, 7)))];
    let map = map(&rows, &["src/a.ts", "src/b.ts"]);
    let expected = [
        (0, 3, None),
        (0, 4, Some("src/a.ts:11:3")),
        (0, 8, Some("src/a.ts:11:3")),
        (0, 9, Some("src/b.ts:1:1")),
        (0, 20, None),
        (1, 0, None),
        (3, 100, Some("src/a.ts:3:8")),
        (4, 0, None),
    ];
    for (line, column, origin) in expected {
        assert_eq!(place(&map, line, column).as_deref(), origin, "{line}:{column}");
    }
}

#[test]
fn marks_are_a_kibibyte_apart_whatever_the_map_holds() {
    const RUN: usize = 1 << 20;
    let (lines, commas) = (";".repeat(RUN), ",".repeat(RUN));
    // Lines 0 and RUN have code, the latter at two places with a million separators between and behind them.
    let mappings = format!("AAAA{lines}IACA{commas}IACA{commas}{lines}");
    let json = serde_json::json!({ "version": 3, "sources": ["a"], "mappings": mappings });
    let map = SourceMap::read(&json.to_string().into(), "").unwrap();
    let ends = map.marks.iter().map(|mark| mark.at as usize).skip(1).chain([map.mappings.len()]);
    for (mark, end) in map.marks.iter().zip(ends) {
        // A number has seven digits at most, and a segment five numbers.
        assert!(end - mark.at as usize <= MARK_BYTES + 35, "at {}", mark.at);
    }
    let last = RUN as u32;
    for (line, column, origin) in [
        (0, 0, Some("a:1:1")),
        (0, 1000, Some("a:1:1")),
        (1, 0, None),
        (last / 2, 7, None),
        (last, 3, None),
        (last, 4, Some("a:2:1")),
        (last, 7, Some("a:2:1")),
        (last, 8, Some("a:3:1")),
        (last, u32::MAX, Some("a:3:1")),
        (last + 1, 0, None),
        (u32::MAX, u32::MAX, None),
    ] {
        assert_eq!(place(&map, line, column).as_deref(), origin, "{line}:{column}");
    }
}

#[test]
fn names_are_shown_without_detours_or_not_at_all() {
    let long = "x".repeat(600);
    let sources = ["../src/./a.ts", "../../lib/../b.ts", "webpack://app/./c.ts", "", "a\nb", &long];
    let json = serde_json::json!({ "version": 3, "sources": sources, "sourceRoot": "r/", "mappings": "AAAA,CCAA,CCAA,CCAA,CCAA,CCAA" });
    let map = SourceMap::read(&json.to_string().into(), "dist/deep").unwrap();
    let names: Vec<_> = (0..6).map(|column| map.origin(0, column).map(|origin| origin.source.to_owned())).collect();
    let name = |name: &str| Some(name.to_owned());
    // `r/` alone is a folder's name, as the map says.
    assert_eq!(
        names,
        [
            name("dist/deep/src/a.ts"),
            name("dist/b.ts"),
            name("r/webpack://app/./c.ts"),
            name("dist/deep/r"),
            None,
            None
        ]
    );
}

#[test]
fn what_is_no_map_is_none() {
    let broken = |json: &str| SourceMap::read(&Bytes::copy_from_slice(json.as_bytes()), "").is_none();
    for json in [
        "",
        "{}",
        "[]",
        r#"{"version":2,"sources":[],"mappings":""}"#,
        r#"{"version":3,"sources":["a"],"mappings":"ACAA"}"#,
        r#"{"version":3,"sources":["a"],"mappings":"ADAA"}"#,
        r#"{"version":3,"sources":["a"],"mappings":"A!"}"#,
        r#"{"version":3,"sources":["a"],"mappings":"AAA"}"#,
        r#"{"version":3,"sources":["a"],"mappings":"AAAAAA"}"#,
        r#"{"version":3,"sources":["a"],"mappings":"EAAA,DAAA"}"#,
        r#"{"version":3,"sources":["a"],"mappings":"gggggggggA"}"#,
        r#"{"version":3,"sections":[]}"#,
    ] {
        assert!(broken(json), "{json}");
    }
    let many = format!(r#"{{"version":3,"sources":[{}""],"mappings":""}}"#, r#""","#.repeat(limits::SOURCES_MAX));
    assert!(broken(&many));
    assert!(broken(&format!(
        r#"{{"version":3,"sources":[],"mappings":""}}{}"#,
        " ".repeat(limits::SOURCE_MAP_BYTES_MAX)
    )));
    assert!(!broken(r#"{"version":3,"sources":["a",null],"mappings":"AAAA;;A,CAAAA","sourcesContent":["x"]}"#));
}

/// Rows in the order of the generated code, as generators write them.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let origin = proptest::option::of((0..3_u32, 0..5000_u32, 0..300_u32));
    proptest::collection::vec((0..400_u32, 0..2000_u32, origin), 0..1500).prop_map(|mut rows: Vec<Row>| {
        rows.sort_by_key(|(line, column, _)| (*line, *column));
        rows.dedup_by_key(|(line, column, _)| (*line, *column));
        rows
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_lookup_finds_what_a_search_of_all_segments_does(rows in rows(), places in proptest::collection::vec((0..401_u32, 0..2001_u32), 50)) {
        let names = ["a", "b", "c"];
        let map = map(&rows, &names);
        for (line, column) in places {
            let last = rows.iter().rfind(|(at_line, at_column, _)| *at_line == line && *at_column <= column);
            let expected = last.and_then(|(_, _, origin)| *origin);
            let expected = expected.map(|(source, line, column)| format!("{}:{}:{}", names[source as usize], line + 1, column + 1));
            prop_assert_eq!(place(&map, line, column), expected);
        }
    }

    #[test]
    fn no_map_makes_the_host_panic(mappings in "[A-Za-z0-9+/,;!]{0,200}", line in 0..10_u32, column in any::<u32>()) {
        let json = serde_json::json!({ "version": 3, "sources": ["a"], "mappings": mappings });
        if let Some(map) = SourceMap::read(&json.to_string().into(), "x") {
            let _origin = map.origin(line, column);
        }
    }
}
