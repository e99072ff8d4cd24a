//! Whatever is sent, the answer is an upload or an error that names a field.

use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;

use super::{code::Code, form::Form, metadata::Metadata};
use crate::api::error::ApiError;

/// Reads a body in chunks; all of it is there, so nothing waits.
fn read(body: &[u8], chunk: usize) -> Result<Form, ApiError> {
    let chunks: Vec<_> = body.chunks(chunk.max(1)).map(|chunk| Ok(bytes::Bytes::copy_from_slice(chunk))).collect();
    Form::read_parts(stream::iter(chunks), "XXX".into()).now_or_never().expect("every chunk is ready")
}

/// An error that an upload may end with: it names a field and is one line.
fn names_a_field(error: &ApiError) -> bool {
    let text = error.to_string();
    let named = match error {
        ApiError::Upload { field, problem } => !field.is_empty() && !problem.is_empty(),
        ApiError::TooLarge { what, .. } => !what.is_empty(),
        ApiError::Unsupported(what) => !what.is_empty(),
        _ => false,
    };
    named && text.len() < 2000
}

fn part(name: &str, content_type: &str, content: &[u8]) -> Vec<u8> {
    let mut part = format!(
        "--XXX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Type: {content_type}\r\n\r\n"
    )
    .into_bytes();
    part.extend_from_slice(content);
    part.extend_from_slice(b"\r\n");
    part
}

/// Any JSON, of a few levels.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let field = prop_oneof![
            prop::sample::select(vec![
                "main_module",
                "body_part",
                "bindings",
                "name",
                "type",
                "text",
                "compatibility_date",
                "compatibility_flags",
                "keep_bindings",
                "annotations",
                "tags",
                "limits",
                "cpu_ms",
                "assets",
                "migrations",
                "containers",
                "removed_bindings",
                "tail_consumers",
            ])
            .prop_map(str::to_owned),
            "[a-z]{1,4}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((field, inner), 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[tokio::test]
async fn an_upload_that_stops_coming_is_given_up() {
    let begin = part("metadata", "application/json", b"{}");
    let chunks = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(begin))]).chain(stream::pending());
    let body = crate::api::body::chunks(axum::body::Body::from_stream(chunks), std::time::Duration::from_millis(20));
    let error = Form::read_parts(body, "XXX".into()).await.unwrap_err();
    assert!(matches!(error, ApiError::Stalled { .. }), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_form_or_an_error(body in prop::collection::vec(any::<u8>(), 0..600), chunk in 1_usize..64) {
        if let Err(error) = read(&body, chunk) {
            prop_assert!(names_a_field(&error), "{error:?}");
        }
    }

    #[test]
    fn a_damaged_form_is_a_form_or_an_error(
        content in prop::collection::vec(any::<u8>(), 0..80),
        name in "[ -~]{0,12}",
        content_type in "[a-z/+;= \"-]{0,30}",
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        chunk in 1_usize..64,
    ) {
        let mut body = part("metadata", "application/json", b"{\"main_module\":\"a\"}");
        body.extend(part(&name, &content_type, &content));
        body.extend_from_slice(b"--XXX--\r\n");
        let place = place.index(body.len());
        body[place] = byte;
        match read(&body, chunk) {
            Err(error) => prop_assert!(names_a_field(&error), "{error:?}"),
            Ok(form) => {
                let metadata = Metadata { main_module: Some("a".into()), ..Metadata::default() };
                if let Err(error) = Code::from_parts(&form, &metadata) {
                    prop_assert!(names_a_field(&error), "{error:?}");
                }
            }
        }
    }

    #[test]
    fn a_whole_form_is_read_as_it_was_written(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5),
        chunk in 1_usize..64,
    ) {
        let mut body = Vec::new();
        for (place, content) in contents.iter().enumerate() {
            body.extend(part(&format!("m{place}"), "application/octet-stream", content));
        }
        body.extend_from_slice(b"--XXX--\r\n");
        // A content that holds the boundary is not a form of these parts.
        prop_assume!(contents.iter().all(|content| !content.windows(5).any(|window| window == b"--XXX")));
        let form = read(&body, chunk).expect("it is a form");
        let got: Vec<_> = form.parts.iter().map(|part| part.content.to_vec()).collect();
        prop_assert_eq!(got, contents);
    }

    #[test]
    fn any_json_is_metadata_or_an_error(json in any_json()) {
        if let Err(error) = Metadata::parse(json.to_string().as_bytes()) {
            prop_assert!(names_a_field(&error), "{error:?}");
        }
    }

    #[test]
    fn any_text_is_metadata_or_an_error(text in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = Metadata::parse(&text) {
            prop_assert!(names_a_field(&error), "{error:?}");
        }
    }
}
