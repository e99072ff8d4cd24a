//! Pure. Node.js's own modules, which there are none of here.
//!
//! **Owns** their names and what is said of them. **Must not know** who imports. **Enter at** [`is_builtin`].

/// Why an import of one is refused.
pub(super) const NONE_HERE: &str = "this version of Skerry has no Node.js modules; use the web platform's, or a package with \
     a \"worker\" or \"browser\" build";

/// What `require("module").builtinModules` of Node.js 20 lists, without what begins with `_` and without subpaths.
const BUILTINS: [&str; 42] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];

/// Whether `specifier` names one without `node:` before it. Packages of the same names exist, so ask this only of what was not
/// found.
pub(super) fn is_builtin(specifier: &str) -> bool {
    let name = specifier.split('/').next().unwrap_or(specifier);
    BUILTINS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order_and_found_with_their_subpaths() {
        assert!(BUILTINS.is_sorted() && BUILTINS.iter().all(|name| is_builtin(name)));
        assert!(is_builtin("fs/promises") && !is_builtin("./fs") && !is_builtin("hono"));
    }
}
