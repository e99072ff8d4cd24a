use proptest::prelude::*;

use super::*;

fn write(writer: &mut Writer, value: &Value<'_>) {
    match value {
        Value::Undefined => writer.undefined(),
        Value::Null => writer.null(),
        Value::Bool(value) => writer.bool(*value),
        Value::Int(value) => writer.int(*value),
        Value::Number(value) => writer.number(*value),
        Value::Text(value) => writer.text(value),
        Value::Bytes(value) => writer.bytes(value),
        Value::List(items) => {
            writer.list(items.len());
            for item in items {
                write(writer, item);
            }
            writer
        }
        Value::Error(name, message) => writer.error(name, message),
    };
}

#[test]
fn what_is_written_is_read_back() {
    let values = [
        Value::Undefined,
        Value::Null,
        Value::Bool(true),
        Value::Int(-7),
        Value::Number(0.5),
        Value::Text("grüße"),
        Value::Bytes(&[0, 255]),
        Value::List(vec![Value::List(vec![]), Value::Error("TypeError", "no")]),
    ];
    let mut writer = Writer::new();
    for value in &values {
        write(&mut writer, value);
    }
    let frame = writer.into_bytes();
    let mut reader = Reader::new(&frame);
    for value in &values {
        assert_eq!(reader.value().as_ref(), Ok(value));
    }
    assert!(reader.is_empty());
}

#[test]
fn a_list_that_claims_more_items_than_bytes_is_refused_before_allocating() {
    let frame = [LIST, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(Reader::new(&frame).value(), Err(FrameError::CutOff));
}

#[test]
fn nesting_is_bounded() {
    let mut writer = Writer::new();
    for _ in 0..=DEPTH_MAX {
        writer.list(1);
    }
    writer.null();
    assert_eq!(Reader::new(writer.as_bytes()).value(), Err(FrameError::TooDeep));
}

#[test]
fn header_bytes_become_characters_of_the_same_number() {
    let mut writer = Writer::new();
    writer.latin1(&[b'a', 0xe9]);
    assert_eq!(Reader::new(writer.as_bytes()).text(), Ok("a\u{e9}"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(frame in proptest::collection::vec(any::<u8>(), 0..512)) {
        let mut reader = Reader::new(&frame);
        while !reader.is_empty() && reader.value().is_ok() {}
        let mut reader = Reader::new(&frame);
        let _ = reader.texts();
        let _ = reader.int();
        let _ = reader.optional_text();
    }

    #[test]
    fn text_survives(text in ".*") {
        let mut writer = Writer::new();
        writer.text(&text);
        prop_assert_eq!(Reader::new(writer.as_bytes()).text(), Ok(text.as_str()));
    }
}
