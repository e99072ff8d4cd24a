use std::fs;

use super::*;
use crate::project::{BuildCommand, BuildSettings};

/// A project folder with these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

async fn built(dir: &tempfile::TempDir, main: &str, settings: &BuildSettings) -> Result<Built, BundleError> {
    build(BuildRequest { dir: dir.path(), main: Some(main), settings, mode: Mode::Production }).await
}

fn code(built: &Built) -> String {
    let main = built.bundle.modules.iter().find(|module| module.name == built.bundle.main).unwrap();
    String::from_utf8(main.bytes.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_and_npm_packages_become_one_module() {
    let dir = project(&[
        (
            "src/index.ts",
            "import { greet } from \"greeter\";\nimport type { X } from \"./types\";\nconst name: string = LEVEL;\n\
           export default { async fetch(_: Request): Promise<Response> { return new Response(greet(name) + process.env.NODE_ENV); } };",
        ),
        ("src/types.ts", "export type X = number;"),
        (
            "node_modules/greeter/package.json",
            r#"{"name":"greeter","exports":{".":{"workerd":"./worker.js","node":"./node.js","default":"./other.js"}}}"#,
        ),
        (
            "node_modules/greeter/worker.js",
            "export const greet = (n) => `from the worker build: ${n}`; export const unused = 'shaken out';",
        ),
        ("node_modules/greeter/node.js", "export const greet = () => 'node';"),
        ("node_modules/greeter/other.js", "export const greet = () => 'other';"),
    ]);
    let settings =
        BuildSettings { define: [("LEVEL".to_owned(), "\"seven\"".to_owned())].into(), ..BuildSettings::default() };
    let built = built(&dir, "src/index.ts", &settings).await.unwrap();
    let code = code(&built);
    assert_eq!(built.bundle.main, "index.js");
    assert_eq!(built.bundle.main_kind(), ModuleKind::Esm);
    assert!(code.contains("from the worker build") && code.contains("seven") && code.contains("production"), "{code}");
    assert!(!code.contains("shaken out") && !code.contains(": string"), "{code}");
    assert!(built.sources.iter().any(|path| path.ends_with("worker.js")), "{:?}", built.sources);
    let map = built.bundle.modules.iter().find(|module| module.kind == ModuleKind::SourceMap).unwrap();
    assert!(String::from_utf8_lossy(&map.bytes).contains("index.ts"));
    assert!(built.bundle.gzip_size() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_rules_name_are_modules_of_their_own() {
    let dir = project(&[
        (
            "src/index.js",
            "import page from \"./page.html\";\nimport text from \"../notes.md\";\nimport data from \"./x.bin\";\n\
           import { env } from \"cloudflare:workers\";\nexport default { fetch: () => new Response(page + text + data + env) };",
        ),
        ("src/page.html", "<p>hello</p>"),
        ("src/x.bin", "\0\u{1}"),
        ("notes.md", "# notes"),
    ]);
    let rule = crate::project::Rule { kind: ModuleKind::Text, globs: vec!["**/*.md".to_owned()], fallthrough: true };
    let settings =
        BuildSettings { rules: Some(vec![rule]), upload_source_maps: Some(false), ..BuildSettings::default() };
    let built = built(&dir, "src/index.js", &settings).await.unwrap();
    let code = code(&built);
    assert!(code.contains("\"cloudflare:workers\""), "{code}");
    assert_eq!(built.bundle.modules.len(), 4);
    for module in built.bundle.modules.iter().filter(|module| module.name != "index.js") {
        assert!(code.contains(&format!("\"./{}\"", module.name)), "{} in {code}", module.name);
    }
    assert!(built.sources.iter().any(|path| path.ends_with("page.html")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_listens_and_exports_nothing_is_a_service_worker() {
    let dir =
        project(&[("index.js", "addEventListener(\"fetch\", (event) => event.respondWith(new Response(\"hi\")));")]);
    let bundled = built(&dir, "index.js", &BuildSettings::default()).await.unwrap();
    assert_eq!(bundled.bundle.main_kind(), ModuleKind::Script);
    let plain = BuildSettings { no_bundle: Some(true), ..BuildSettings::default() };
    assert_eq!(built(&dir, "index.js", &plain).await.unwrap().bundle.main_kind(), ModuleKind::Script);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_bundling_a_minified_module_is_a_module_and_a_word_in_a_script_is_a_word() {
    let plain = BuildSettings { no_bundle: Some(true), ..BuildSettings::default() };
    for (code, kind) in [
        (
            r#"const c=new AbortController;c.signal.addEventListener("abort",f);export default{fetch(){return new Response("hi")}}"#,
            ModuleKind::Esm,
        ),
        ("addEventListener(\"fetch\", f);export*from\"./x\"", ModuleKind::Esm),
        (
            "// export default {}\naddEventListener(\"fetch\", (event) => event.respondWith(new Response(\"export {}\")));",
            ModuleKind::Script,
        ),
        ("/*\nexport default {}\n*/\naddEventListener(\"fetch\", f);", ModuleKind::Script),
    ] {
        let dir = project(&[("index.js", code)]);
        assert_eq!(built(&dir, "index.js", &plain).await.unwrap().bundle.main_kind(), kind, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_code_are_named_with_file_and_line() {
    let settings = BuildSettings::default();
    let broken = project(&[("index.js", "export default {\n  fetch( { }\n};")]);
    let error = built(&broken, "index.js", &settings).await.unwrap_err().to_string();
    assert!(error.contains("[ index.js:3:1 ]"), "{error}");
    let missing = project(&[("index.js", "import { Hono } from \"hono\";\nexport default new Hono();")]);
    let error = built(&missing, "index.js", &settings).await.unwrap_err().to_string();
    assert!(error.contains("hono") && error.contains("npm install"), "{error}");
    let node = project(&[("index.js", "import fs from \"node:fs\";\nexport default { fetch: () => fs };")]);
    let error = built(&node, "index.js", &settings).await.unwrap_err().to_string();
    assert!(error.contains("index.js imports \"node:fs\""), "{error}");
    let bare = project(&[("index.js", "import { Buffer } from \"buffer\";\nexport default { fetch: () => Buffer };")]);
    let error = built(&bare, "index.js", &BuildSettings::default()).await.unwrap_err().to_string();
    assert!(error.contains("'buffer'") && error.contains("has no Node.js modules"), "{error}");
    let error = built(&node, "absent.js", &settings).await.unwrap_err();
    assert!(matches!(error, BundleError::Unreadable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn webassembly_beside_javascript_is_refused_by_name() {
    let dir = project(&[
        ("src/index.js", "import add from \"./add.wasm?module\";\nexport default { fetch: () => add };"),
        ("src/add.wasm", "\0asm\u{1}\0\0\0"),
    ]);
    let error = built(&dir, "src/index.js", &BuildSettings::default()).await.unwrap_err().to_string();
    assert!(error.contains("index.js imports \"./add.wasm?module\"") && error.contains("component"), "{error}");
    let plain = BuildSettings { no_bundle: Some(true), ..BuildSettings::default() };
    let error = built(&dir, "src/index.js", &plain).await.unwrap_err().to_string();
    assert!(error.contains("src/add.wasm: ") && error.contains("component"), "{error}");
    // Whoever wants only its bytes says so.
    let rule = crate::project::Rule { kind: ModuleKind::Data, globs: vec!["**/*.wasm".to_owned()], fallthrough: true };
    let bytes = BuildSettings { rules: Some(vec![rule]), ..plain };
    assert_eq!(built(&dir, "src/index.js", &bytes).await.unwrap().bundle.modules.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn jsx_follows_the_project() {
    let dir = project(&[(
        "index.tsx",
        "const h = (tag: string) => tag;\nexport default { fetch: () => new Response(<p>hi</p>) };",
    )]);
    let settings = BuildSettings { jsx_factory: Some("h".to_owned()), ..BuildSettings::default() };
    let code = code(&built(&dir, "index.tsx", &settings).await.unwrap());
    assert!(code.contains("h(\"p\""), "{code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn minify_makes_the_same_module_smaller() {
    let dir = project(&[(
        "index.js",
        "function longName(argument) { return argument + 1; }\nexport default { fetch: () => new Response(longName(Math.random())) };",
    )]);
    let of =
        |minify| BuildSettings { minify: Some(minify), upload_source_maps: Some(false), ..BuildSettings::default() };
    let (large, small) =
        (built(&dir, "index.js", &of(false)).await.unwrap(), built(&dir, "index.js", &of(true)).await.unwrap());
    assert!(small.bundle.size() < large.bundle.size());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_build_command_runs_first_and_its_failure_stops_the_build() {
    let dir = project(&[("keep", "")]);
    let with = |command: &str| BuildSettings {
        command: Some(BuildCommand { command: command.to_owned(), cwd: None, watch_dirs: Vec::new() }),
        ..BuildSettings::default()
    };
    let made = built(&dir, "out.js", &with("echo 'export default { fetch() {} }' > out.js")).await.unwrap();
    assert!(code(&made).contains("fetch"));
    let error = built(&dir, "out.js", &with("exit 3")).await.unwrap_err().to_string();
    assert!(error.contains("exit status: 3"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_bundling_the_files_beside_the_entry_come_along() {
    let dir = project(&[
        ("src/index.js", "import \"./lib/a.mjs\";\nexport default {};"),
        ("src/lib/a.mjs", "export {};"),
        ("src/page.html", "x"),
        ("src/readme.md", "x"),
        ("src/node_modules/x/index.js", "x"),
    ]);
    let settings = BuildSettings { no_bundle: Some(true), ..BuildSettings::default() };
    let built = built(&dir, "src/index.js", &settings).await.unwrap();
    let names: Vec<&str> = built.bundle.modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["index.js", "lib/a.mjs", "page.html"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_components_are_taken_as_wasm_entries() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in
        [("component.wasm", b"\0asm\x0d\0\x01\0"), ("core.wasm", b"\0asm\x01\0\0\0"), ("text.wasm", b"not wasm")]
    {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let settings = BuildSettings::default();
    assert_eq!(built(&dir, "component.wasm", &settings).await.unwrap().bundle.main_kind(), ModuleKind::Component);
    assert!(built(&dir, "core.wasm", &settings).await.unwrap_err().to_string().contains("a core module"));
    assert!(built(&dir, "text.wasm", &settings).await.unwrap_err().to_string().contains("not WebAssembly"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_relative_to_the_project_whoever_imports() {
    let dir = project(&[
        ("src/deep/index.js", "import shim from \"node-fetch\"; export default { fetch: () => shim };"),
        ("shims/fetch.js", "export default 'from the shim';"),
    ]);
    let alias = [("node-fetch".to_owned(), "./shims/fetch.js".to_owned())].into();
    let built = built(&dir, "src/deep/index.js", &BuildSettings { alias, ..BuildSettings::default() }).await.unwrap();
    assert!(code(&built).contains("from the shim"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_knows_what_had_been_read() {
    let dir = project(&[("index.js", "import \"./lib/a.js\";\nexport default {};"), ("lib/a.js", "export default {")]);
    let error = built(&dir, "index.js", &BuildSettings::default()).await.unwrap_err();
    let sources = error.sources().unwrap();
    for name in ["index.js", "lib/a.js"] {
        assert!(sources.iter().any(|path| path.ends_with(name)), "{name}: {sources:?}");
    }
}
