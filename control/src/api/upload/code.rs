//! Pure. From the parts of an upload to a bundle.
//!
//! **Owns** which files make a worker and how its entry point is written. **Must not know** how code runs. **Enter at**
//! [`Code::from_parts`].

use std::collections::BTreeSet;

use skerry_proto::bundle::{Bundle, Module};

use super::{
    form::{Form, Part},
    metadata::{Metadata, clip},
};
use crate::{api::error::ApiError, catalog::Syntax};

/// BOUND: a module's name: import specifiers are paths.
const NAME_BYTES_MAX: usize = 512;
/// The first eight bytes of a WebAssembly component, as opposed to a core module.
const COMPONENT_PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// The MIME type of a component.
const COMPONENT: &str = "application/wasm+component";
const WASM: &str = "application/wasm";

/// The files of a version with what they are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Code {
    /// How the entry point is written.
    pub syntax: Syntax,
    /// The files.
    pub bundle: Bundle,
}

impl Code {
    /// Puts the bundle together; every error names the part or the metadata field.
    pub(crate) fn from_parts(form: &Form, metadata: &Metadata) -> Result<Self, ApiError> {
        if form.parts.is_empty() {
            return Err(ApiError::upload("multipart", "has no module; send one part for each file of the worker"));
        }
        let mut names = BTreeSet::new();
        for part in &form.parts {
            check_name(&part.name)?;
            if !names.insert(part.name.as_str()) {
                return Err(ApiError::upload(clip(&part.name), "is sent twice; module names are unique"));
            }
        }
        let (field, main) = entry_name(form, metadata)?;
        let Some(entry) = form.parts.iter().find(|part| part.name == main) else {
            let problem = format!("{:?} is not a part of this upload; name one of its parts", clip(&main));
            return Err(ApiError::upload(field, problem));
        };
        let syntax = syntax_of(field, entry)?;
        let modules = form.parts.iter().map(|part| module(part, entry, syntax)).collect::<Result<_, _>>()?;
        Ok(Self { syntax, bundle: Bundle { main_module: main, modules } })
    }
}

/// The metadata field that names the entry, and the name.
fn entry_name(form: &Form, metadata: &Metadata) -> Result<(&'static str, String), ApiError> {
    match (&metadata.main_module, &metadata.body_part, form.parts.as_slice()) {
        (Some(name), None, _) => Ok(("main_module", name.clone())),
        (None, Some(name), _) => Ok(("body_part", name.clone())),
        // A bare script without metadata.
        (None, None, [only]) if only.content_type == "application/javascript" => Ok(("body_part", only.name.clone())),
        _ => Err(ApiError::upload("main_module", "is missing; name the part that is the entry module")),
    }
}

fn syntax_of(field: &'static str, entry: &Part) -> Result<Syntax, ApiError> {
    if field == "body_part" {
        return Ok(Syntax::ServiceWorker);
    }
    match entry.content_type.as_str() {
        COMPONENT => Ok(Syntax::Component),
        WASM if entry.content.starts_with(&COMPONENT_PREAMBLE) => Ok(Syntax::Component),
        "application/javascript+module" | "application/javascript" | "text/javascript" => Ok(Syntax::Modules),
        other => Err(ApiError::upload(
            "main_module",
            format!(
                "part {:?} has the content type {other:?}; use application/javascript+module or \
                 application/wasm+component",
                clip(&entry.name)
            ),
        )),
    }
}

/// What the platform's own modules are called: a worker's must not pass for one of them.
const RESERVED_SCHEMES: [&str; 3] = ["cloudflare:", "node:", "skerry:"];

fn check_name(name: &str) -> Result<(), ApiError> {
    let is_fine = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('/')
        && !name.contains('\\')
        && !RESERVED_SCHEMES.iter().any(|scheme| name.starts_with(scheme))
        && !name.chars().any(char::is_control);
    if is_fine {
        return Ok(());
    }
    let problem = "is not a module name; use a relative path of 1 to 512 bytes without control characters, not one of \
                   the platform's (cloudflare:, node:, skerry:)";
    Err(ApiError::upload(format!("multipart part {:?}", clip(name)), problem))
}

/// One file, with its content checked against its type.
fn module(part: &Part, entry: &Part, syntax: Syntax) -> Result<Module, ApiError> {
    let is_entry = part.name == entry.name;
    let content_type = match part.content_type.as_str() {
        _ if is_entry && syntax == Syntax::Component => COMPONENT,
        _ if is_entry && syntax == Syntax::ServiceWorker => "application/javascript",
        _ if is_entry => "application/javascript+module",
        "application/javascript+module" | "application/javascript" | "text/javascript" => {
            "application/javascript+module"
        }
        "text/plain" | "text/html" | "application/json" | "application/source-map" | WASM | COMPONENT => {
            part.content_type.as_str()
        }
        "application/octet-stream" | "" => "application/octet-stream",
        other => {
            return Err(ApiError::upload(
                clip(&part.name),
                format!(
                    "has the content type {other:?}; use application/javascript+module, text/plain, \
                     application/json, application/octet-stream, application/wasm, application/wasm+component or \
                     application/source-map"
                ),
            ));
        }
    };
    check_content(part, content_type)?;
    if syntax != Syntax::Component && matches!(content_type, WASM | COMPONENT) {
        // It would deploy and then fail at its first use: JavaScript has no `WebAssembly` here.
        let what = "WebAssembly in a JavaScript worker (deploy a component of its own instead, and bind to it as a \
                    service)";
        return Err(ApiError::Unsupported(format!("{}: {what}", clip(&part.name))));
    }
    Ok(Module { name: part.name.clone(), content_type: content_type.to_owned(), content: part.content.clone() })
}

fn check_content(part: &Part, content_type: &str) -> Result<(), ApiError> {
    match content_type {
        COMPONENT if !part.content.starts_with(&COMPONENT_PREAMBLE) => Err(ApiError::upload(
            clip(&part.name),
            "is not a WebAssembly component; its first eight bytes say otherwise",
        )),
        WASM if !part.content.starts_with(b"\0asm") => {
            Err(ApiError::upload(clip(&part.name), "is not WebAssembly; its first four bytes say otherwise"))
        }
        "application/json" => match serde_json::from_slice::<serde::de::IgnoredAny>(&part.content) {
            Ok(_) => Ok(()),
            Err(error) => Err(ApiError::upload(clip(&part.name), format!("is not JSON: {error}"))),
        },
        COMPONENT | WASM | "application/octet-stream" => Ok(()),
        _ => match std::str::from_utf8(&part.content) {
            Ok(_) => Ok(()),
            Err(error) => {
                let problem = format!("is not UTF-8 text: invalid byte at offset {}", error.valid_up_to());
                Err(ApiError::upload(clip(&part.name), problem))
            }
        },
    }
}
