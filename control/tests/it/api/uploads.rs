//! Uploads that are refused, each with the code and the words that say why; nothing changes.

use serde_json::{Value, json};

use super::node::{Form, HELLO, Node};

const APP: &str = "/accounts/:a/workers/services/app/environments/production";
const ESM: &str = "application/javascript+module";

/// Sends a form that must be refused so, and leave the catalog as it was.
async fn refused(node: &Node, form: Form, status: u16, code: u64, field: &str) {
    let before = node.control.catalog().revision();
    node.form("PUT", APP, form).await.fails(status, code, field);
    assert_eq!(node.control.catalog().revision(), before);
}

fn module() -> Value {
    json!({ "main_module": "index.js" })
}

fn with_bindings(bindings: Value) -> Form {
    Form::new().metadata(&json!({ "main_module": "index.js", "bindings": bindings })).part(
        "index.js",
        ESM,
        HELLO.as_bytes(),
    )
}

#[tokio::test]
async fn a_form_that_is_no_upload_is_refused_by_part() {
    let node = Node::start().await;
    refused(&node, Form::new(), 400, 10021, "metadata").await;
    refused(&node, Form::new().metadata(&module()), 400, 10021, "no module").await;
    refused(&node, Form::new().part("index.js", ESM, b"x"), 400, 10021, "metadata").await;
    let twice = Form::new().metadata(&module()).metadata(&module()).part("index.js", ESM, b"x");
    refused(&node, twice, 400, 10021, "metadata").await;
    let twice = Form::new().metadata(&module()).part("index.js", ESM, b"x").part("index.js", ESM, b"x");
    refused(&node, twice, 400, 10021, "index.js").await;
    let other = Form::new().metadata(&module()).part("other.js", ESM, b"x");
    refused(&node, other, 400, 10021, "main_module").await;
    let none = Form::new().metadata(&json!({})).part("index.js", ESM, b"x");
    refused(&node, none, 400, 10021, "main_module").await;
    let both = json!({ "main_module": "a", "body_part": "b" });
    refused(&node, Form::new().metadata(&both).part("a", ESM, b"x"), 400, 10021, "body_part").await;
    let broken = Form::new().part("metadata", "application/json", b"{").part("index.js", ESM, b"x");
    refused(&node, broken, 400, 10021, "metadata").await;
    let wrong = Form::new().metadata(&json!({ "main_module": 5 })).part("index.js", ESM, b"x");
    refused(&node, wrong, 400, 10021, "main_module").await;
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused_by_header() {
    let node = Node::start().await;
    let put = |content_type: Option<&str>, body: &'static str| {
        let mut request = node.request("PUT", APP);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        node.send(request.body(body.into()).unwrap())
    };
    put(None, "x").await.fails(400, 10021, "Content-Type");
    put(Some("application/json"), "{}").await.fails(400, 10021, "Content-Type");
    put(Some("multipart/form-data"), "x").await.fails(400, 10021, "Content-Type");
    put(Some(Form::CONTENT_TYPE), "garbage").await.fails(400, 10021, "multipart");
    let cut = "--XXX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhalf";
    put(Some(Form::CONTENT_TYPE), cut).await.fails(400, 10021, "multipart");
    put(Some(Form::CONTENT_TYPE), "--XXX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XXX--\r\n").await.fails(
        400,
        10021,
        "multipart",
    );
}

#[tokio::test]
async fn a_bare_script_is_a_service_worker() {
    let node = Node::start().await;
    let request =
        node.request("PUT", "/accounts/:a/workers/scripts/old").header("content-type", "application/javascript");
    let made = node.send(request.body("addEventListener('fetch', () => {})".into()).unwrap()).await.ok();
    assert_eq!(made["has_modules"], false);
    let request =
        node.request("PUT", "/accounts/:a/workers/scripts/old").header("content-type", "application/javascript");
    node.send(request.body("nothing".into()).unwrap()).await.fails(400, 10068, "handlers");
}

#[tokio::test]
async fn code_that_does_not_load_is_refused_with_its_place() {
    let node = Node::start().await;
    let reply = node.deploy("app", "production", "throws", json!({})).await;
    reply.fails(400, 10021, "SyntaxError: unexpected token at index.js:3:7");
    assert_eq!(reply.envelope()["errors"][0]["source"], json!({ "file": "index.js", "line": 3, "column": 7 }));
    node.deploy("app", "production", "const x = 1", json!({})).await.fails(400, 10068, "index.js");
    node.call("GET", "/accounts/:a/workers/services/app").await.fails(404, 10090, "app");
}

#[tokio::test]
async fn files_are_what_their_types_say() {
    let node = Node::start().await;
    let form = |name: &str, content_type: &str, content: &[u8]| {
        Form::new().metadata(&module()).part("index.js", ESM, HELLO.as_bytes()).part(name, content_type, content)
    };
    refused(
        &node,
        form("a.txt", "text/plain", &[0x61, 0xff]),
        400,
        10021,
        "a.txt: is not UTF-8 text: invalid byte at offset 1",
    )
    .await;
    refused(&node, form("lib.js", ESM, &[0xc3]), 400, 10021, "lib.js").await;
    refused(&node, form("a.json", "application/json", b"{"), 400, 10021, "a.json").await;
    refused(&node, form("a.wasm", "application/wasm", b"hello"), 400, 10021, "a.wasm").await;
    let module = form("lib/a.wasm", "application/wasm", b"\0asm\x01\0\0\0");
    refused(&node, module, 400, 10099, "lib/a.wasm: WebAssembly in a JavaScript worker").await;
    let component = form("b.wasm", "application/wasm+component", b"\0asm\x0d\0\x01\0");
    refused(&node, component, 400, 10099, "b.wasm: WebAssembly in a JavaScript worker").await;
    refused(&node, form("a.bin", "image/png", b"x"), 400, 10021, "image/png").await;
    refused(&node, form("/etc/passwd", "text/plain", b"x"), 400, 10021, "/etc/passwd").await;
    refused(&node, form(&"n".repeat(600), "text/plain", b"x"), 400, 10021, "module name").await;
    refused(&node, form("skerry:internal/x.js", "text/plain", b"x"), 400, 10021, "module name").await;
    let component = Form::new().metadata(&json!({ "main_module": "a.wasm" }));
    refused(&node, component.part("a.wasm", "application/wasm+component", b"\0asm\x01\0\0\0"), 400, 10021, "component")
        .await;
    let fine = form("a.json", "application/json", b"[1]").part("a.bin", "application/octet-stream", &[0xff]);
    node.form("PUT", APP, fine).await.ok();
    let component = Form::new().metadata(&json!({ "main_module": "a.wasm" }));
    let component = component.part("a.wasm", "application/wasm", b"\0asm\x0d\0\x01\0");
    node.form("PUT", APP, component).await.ok();
}

#[tokio::test]
async fn an_upload_of_64_mib_passes_and_one_byte_more_does_not() {
    let node = Node::start().await;
    let head = HELLO.len();
    let form = |size: usize| {
        Form::new().metadata(&module()).part("index.js", ESM, HELLO.as_bytes()).part(
            "big.bin",
            "application/octet-stream",
            &vec![0; size - head],
        )
    };
    refused(&node, form((64 << 20) + 1), 413, 10027, "67108864 bytes").await;
    node.form("PUT", APP, form(64 << 20)).await.ok();
}

#[tokio::test]
async fn bindings_are_refused_by_name() {
    let node = Node::start().await;
    let binding = |fields: Value| with_bindings(json!([fields]));
    let text = |name: &str, text: &str| json!({ "type": "plain_text", "name": name, "text": text });
    refused(&node, binding(json!({ "type": "plain_text", "name": "A" })), 400, 10021, "bindings.A: text is missing")
        .await;
    refused(&node, binding(json!({ "type": "plain_text", "name": "A", "text": 5 })), 400, 10021, "bindings.A").await;
    refused(&node, binding(json!({ "type": "plain_text", "text": "x" })), 400, 10021, "bindings[0]").await;
    refused(&node, binding(text("", "x")), 400, 10021, "bindings.").await;
    refused(&node, binding(text("A B", "x")), 400, 10021, "bindings.A B").await;
    refused(&node, binding(text("A", &"x".repeat(5121))), 400, 10021, "bindings.A").await;
    refused(&node, with_bindings(json!([text("A", "1"), text("A", "2")])), 400, 10021, "bindings.A").await;
    refused(&node, binding(json!({ "type": "d1", "name": "DB", "id": "x" })), 400, 10099, "bindings.DB").await;
    refused(
        &node,
        binding(json!({ "type": "kv_namespace", "name": "KV", "namespace_id": "0".repeat(32) })),
        400,
        10056,
        "bindings.KV",
    )
    .await;
    refused(&node, binding(json!({ "type": "service", "name": "S", "service": "No_Good" })), 400, 10021, "bindings.S")
        .await;
    refused(
        &node,
        binding(json!({ "type": "inherit", "name": "GONE" })),
        400,
        10057,
        "inherit binding 'GONE' is invalid",
    )
    .await;
    let many: Vec<_> = (0..129).map(|n| text(&format!("V{n}"), "x")).collect();
    refused(&node, with_bindings(json!(many)), 400, 10021, "128").await;
    node.form("PUT", APP, binding(json!({ "type": "service", "name": "S", "service": "later" }))).await.ok();
}

#[tokio::test]
async fn metadata_is_refused_by_field() {
    let node = Node::start().await;
    let with = |field: &str, value: Value| {
        let mut metadata = module();
        metadata[field] = value;
        Form::new().metadata(&metadata).part("index.js", ESM, HELLO.as_bytes())
    };
    refused(&node, with("compatibility_date", json!("yesterday")), 400, 10021, "compatibility_date").await;
    refused(&node, with("compatibility_date", json!("2026-13-01")), 400, 10021, "compatibility_date").await;
    refused(&node, with("limits", json!({ "cpu_ms": 0 })), 400, 10021, "cpu_ms").await;
    refused(&node, with("limits", json!({ "cpu_ms": 90000 })), 400, 10021, "cpu_ms").await;
    refused(&node, with("tags", json!(["a,b"])), 400, 10021, "tags").await;
    refused(&node, with("annotations", json!({ "workers/message": "m".repeat(2000) })), 400, 10021, "annotations")
        .await;
    refused(&node, with("assets", json!({ "jwt": "x" })), 400, 10099, "assets").await;
    refused(&node, with("migrations", json!({ "new_tag": "v1" })), 400, 10099, "migrations").await;
    node.form("PUT", APP, with("observability", json!({ "enabled": true }))).await.ok();
    let form = with("migrations", json!({ "new_tag": "v1" }));
    node.form("POST", &format!("{APP}/versions"), form).await.fails(400, 10211, "migrations");
    node.call("POST", &format!("{APP}/assets-upload-session")).await.fails(400, 10099, "assets");
}

#[tokio::test]
async fn bad_names_are_refused_as_on_cloudflare() {
    let node = Node::start().await;
    node.upload("PUT", "/accounts/:a/workers/scripts/No_Good", HELLO, json!({})).await.fails(
        400,
        10016,
        "service name",
    );
    let long = "a".repeat(64);
    node.upload("PUT", &format!("/accounts/:a/workers/scripts/{long}"), HELLO, json!({})).await.fails(400, 10016, "63");
    node.deploy("app", "-x", HELLO, json!({})).await.fails(400, 10016, "environment name");
    node.upload("POST", "/accounts/:a/workers/scripts/none/versions", HELLO, json!({})).await.fails(404, 10007, "none");
}

#[tokio::test]
async fn code_alone_keeps_the_configuration_and_an_upload_keeps_what_is_hidden_from_the_parent() {
    let node = Node::start().await;
    let text = |name: &str, text: &str| json!({ "type": "plain_text", "name": name, "text": text });
    node.deploy("app", "production", HELLO, json!({ "bindings": [text("SIZE", "1"), text("KEPT", "1")] })).await.ok();
    let metadata = json!({
        "bindings": [text("COLOR", "blue")],
        "removed_bindings": ["SIZE"],
        "limits": { "cpu_ms": 7 },
        "compatibility_date": "2026-01-01",
        "compatibility_flags": ["nodejs_compat"],
    });
    node.deploy("app", "staging", HELLO, metadata).await.ok();
    let staging = "/accounts/:a/workers/services/app/environments/staging";
    let (settings_path, config_path) = (format!("{staging}/settings"), format!("{staging}/config"));
    let (settings, config) = (|| node.get(&settings_path), || node.get(&config_path));

    node.upload("PUT", &format!("{staging}/content"), "export default { two() {} }", json!({})).await.ok();
    let (kept, hidden) = (settings().await, config().await);
    assert_eq!((&kept["limits"]["cpu_ms"], &kept["compatibility_date"]), (&json!(7), &json!("2026-01-01")), "{kept}");
    assert_eq!((&kept["compatibility_flags"], &hidden["removed"]), (&json!(["nodejs_compat"]), &json!(["SIZE"])));
    let more = json!({ "compatibility_date": "2026-02-02" });
    node.upload("PUT", &format!("{staging}/content"), HELLO, more).await.ok();
    assert_eq!(settings().await["compatibility_date"], "2026-02-02");

    // wrangler has never heard of hidden names: neither its secrets nor its deploys show production's again.
    let secret = json!({ "bindings": [{ "type": "secret_text", "name": "KEY", "text": "x" }] });
    let version = node.upload("POST", &format!("{staging}/versions"), HELLO, secret).await.ok();
    let share = json!({ "strategy": "percentage", "versions": [{ "version_id": version["id"], "percentage": 100 }] });
    node.json("POST", &format!("{staging}/deployments"), share).await.ok();
    assert_eq!(config().await["removed"], json!(["SIZE"]));
    node.deploy("app", "staging", HELLO, json!({})).await.ok();
    let deployed = config().await;
    assert_eq!(deployed["removed"], json!(["SIZE"]));
    assert_eq!(settings().await["compatibility_date"], Value::Null, "a deploy says everything else anew");
    node.deploy("app", "staging", HELLO, json!({ "bindings": [text("SIZE", "2")] })).await.ok();
    assert_eq!(config().await["removed"], json!([]), "a name of its own hides nothing any more");
    node.deploy("app", "staging", HELLO, json!({ "removed_bindings": ["KEPT"] })).await.ok();
    node.deploy("app", "staging", HELLO, json!({ "removed_bindings": [] })).await.ok();
    assert_eq!(config().await["removed"], json!([]));
}
