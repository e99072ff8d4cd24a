//! Pure. Whether an uploaded file is a component that this node can run, judged by its outermost section headers alone.
//!
//! **Owns** the list of what a worker may import and must export. **Must not know** how any of it is implemented. **Enter
//! at** [`inspect`]. It runs before the compiler, so that a wrong upload is refused in microseconds.

use wasmparser::{Encoding, Parser, Payload};

use crate::worker::LoadError;

/// What a worker must export, at any 0.2 version.
const HANDLER: &str = "wasi:http/incoming-handler";

/// What a worker may import at any version of WASI 0.2; the linker accepts older minor versions for newer ones.
const OFFERED: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// What a worker may import at exactly these versions: packages that have not reached a release.
const OFFERED_EXACTLY: &[&str] = &[
    "wasi:config/store@0.2.0-rc.1",
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:keyvalue/store@0.2.0-draft",
];

/// Refuses a file that is no component, imports what is not offered, or exports no HTTP handler. `file` is the name it was
/// uploaded under.
///
/// # Errors
/// The message names what is missing.
pub(super) fn inspect(file: &str, bytes: &[u8]) -> Result<(), LoadError> {
    outermost(bytes).and_then(|outline| outline.check()).map_err(|message| LoadError {
        message,
        file: Some(file.to_owned()),
        line: None,
        column: None,
    })
}

/// The names on the outside of a component.
#[derive(Debug, Default)]
struct Outline {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Outline {
    fn check(&self) -> Result<(), String> {
        let missing: Vec<_> = self.imports.iter().filter(|name| !is_offered(name)).map(|name| hint(name)).collect();
        if !missing.is_empty() {
            return Err(format!("the component imports what this platform does not offer: {}", missing.join(", ")));
        }
        if self.exports.iter().any(|name| at_release(name, HANDLER)) {
            return Ok(());
        }
        let found = if self.exports.is_empty() { "nothing".to_owned() } else { self.exports.join(", ") };
        Err(format!("the component must export {HANDLER}@0.2, and exports {found}"))
    }
}

fn outermost(bytes: &[u8]) -> Result<Outline, String> {
    let mut outline = Outline::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| not_wasm(bytes, &error))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(
                    "this is a core WebAssembly module; a worker is a component (see `wasm-tools component new`, \
                            or a toolchain that targets wasi:http)"
                        .to_owned(),
                );
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    outline.imports.push(import.map_err(|error| not_wasm(bytes, &error))?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    outline.exports.push(export.map_err(|error| not_wasm(bytes, &error))?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

fn not_wasm(bytes: &[u8], error: &wasmparser::BinaryReaderError) -> String {
    if bytes.starts_with(b"\0asm") {
        format!("the component is damaged: {} (at byte {})", error.message(), error.offset())
    } else {
        "the file is not WebAssembly: it does not begin with the bytes \\0asm".to_owned()
    }
}

fn is_offered(name: &str) -> bool {
    OFFERED_EXACTLY.contains(&name) || OFFERED.iter().any(|offered| at_release(name, offered))
}

/// Whether `name` is `interface` at a release of WASI 0.2.
fn at_release(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface)
        .and_then(|rest| rest.strip_prefix("@0.2."))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The name, with the offered version where only the version is wrong.
fn hint(name: &str) -> String {
    let interface = name.split_once('@').map_or(name, |(interface, _)| interface);
    let exact = OFFERED_EXACTLY.iter().find(|offered| offered.split_once('@').is_some_and(|(own, _)| own == interface));
    match exact {
        Some(offered) => format!("{name} (offered: {offered})"),
        None if OFFERED.contains(&interface) => format!("{name} (offered: {interface}@0.2)"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        inspect("worker.wasm", &wat::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn garbage_is_refused_as_no_webassembly() {
        let error = inspect("worker.wasm", b"<!doctype html>").unwrap_err();
        assert!(error.to_string().contains("is not WebAssembly"), "{error}");
        assert_eq!(error.file.as_deref(), Some("worker.wasm"));
    }

    #[test]
    fn a_cut_off_component_is_refused_as_damaged() {
        let whole = wat::parse_str("(component (core module (memory 1)))").unwrap();
        let error = inspect("worker.wasm", &whole[..whole.len() - 2]).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    #[test]
    fn a_core_module_is_refused_with_the_way_out() {
        assert!(refusal("(module)").contains("core WebAssembly module"));
    }

    #[test]
    fn an_unknown_import_is_named() {
        let error = refusal(r#"(component (import "acme:gpu/device@1.2.3" (instance)))"#);
        assert!(error.contains("acme:gpu/device@1.2.3"), "{error}");
    }

    #[test]
    fn another_draft_of_an_offered_interface_is_answered_with_the_offered_one() {
        let error = refusal(r#"(component (import "wasi:keyvalue/store@0.2.0-draft2" (instance)))"#);
        assert!(error.contains("offered: wasi:keyvalue/store@0.2.0-draft"), "{error}");
        let error = refusal(r#"(component (import "wasi:http/types@0.3.0" (instance)))"#);
        assert!(error.contains("offered: wasi:http/types@0.2"), "{error}");
    }

    #[test]
    fn a_component_without_a_handler_is_told_what_to_export() {
        let error = refusal("(component)");
        assert!(error.contains("must export wasi:http/incoming-handler@0.2, and exports nothing"), "{error}");
    }

    #[test]
    fn names_inside_nested_components_do_not_count() {
        let error = refusal(r#"(component (component (import "acme:gpu/device" (instance))))"#);
        assert!(error.contains("must export"), "{error}");
    }
}
