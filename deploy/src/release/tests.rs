use std::path::Path;

use skerry_proto::id::EnvironmentName;

use super::*;
use crate::bundle::{Bundle, Module};
use crate::project::{self, ModuleKind};

fn plan(text: &str, environment: &str) -> Plan {
    let (file, _) = project::read(text, Path::new("wrangler.toml")).unwrap();
    Plan::of(&file, None, &EnvironmentName::new(environment).unwrap()).unwrap()
}

fn bundle(kind: ModuleKind) -> Bundle {
    let module = Module { name: "index.js".to_owned(), kind, bytes: b"code".to_vec() };
    Bundle { main: "index.js".to_owned(), modules: vec![module] }
}

fn metadata_of(plan: &Plan, kind: ModuleKind, extras: &Extras) -> serde_json::Value {
    let namespaces = BTreeMap::from([("CACHE".to_owned(), Namespace::Id("ab".repeat(16)))]);
    let parts = parts(plan, &bundle(kind), &namespaces, extras);
    assert_eq!(parts[1].file_name.as_deref(), Some("index.js"));
    serde_json::from_slice(&parts[0].bytes).unwrap()
}

const FILE: &str = "name = \"a\"\ncompatibility_date = \"2026-01-01\"\n[vars]\nTEXT = \"x\"\nJSON = { a = 1 }\nTOKEN = \"from the file\"\n\
    [[kv_namespaces]]\nbinding = \"CACHE\"\n[[services]]\nbinding = \"AUTH\"\nservice = \"auth\"\nenvironment = \"canary\"\n\
    [version_metadata]\nbinding = \"VERSION\"\n[limits]\ncpu_ms = 100\nsubrequests = 20\n[env.staging.skerry]\nremove = [\"AUTH\"]";

#[test]
fn an_upload_names_every_binding_of_the_plan() {
    let extras = Extras {
        message: Some("first".to_owned()),
        tag: None,
        secrets: BTreeMap::from([("TOKEN".to_owned(), "hidden".to_owned())]),
        ..Extras::default()
    };
    let metadata = metadata_of(&plan(FILE, "production"), ModuleKind::Esm, &extras);
    assert_eq!(metadata["main_module"], "index.js");
    assert_eq!(metadata["limits"], json!({ "cpu_ms": 100, "subrequests": 20 }));
    assert_eq!(metadata["annotations"], json!({ "workers/message": "first" }));
    assert_eq!(metadata["keep_bindings"], json!(["secret_text", "secret_key"]));
    assert_eq!(
        metadata["bindings"],
        json!([
            { "type": "json", "name": "JSON", "json": { "a": 1 } },
            { "type": "plain_text", "name": "TEXT", "text": "x" },
            { "type": "secret_text", "name": "TOKEN", "text": "hidden" },
            { "type": "kv_namespace", "name": "CACHE", "namespace_id": "ab".repeat(16) },
            { "type": "service", "name": "AUTH", "service": "auth", "environment": "canary" },
            { "type": "version_metadata", "name": "VERSION" },
        ])
    );
}

#[test]
fn a_namespace_that_does_not_exist_yet_is_named_by_title() {
    let plan = plan(FILE, "production");
    let namespaces = BTreeMap::from([("CACHE".to_owned(), Namespace::Missing("a-cache".to_owned()))]);
    let parts = parts(&plan, &bundle(ModuleKind::Esm), &namespaces, &Extras::default());
    let metadata: serde_json::Value = serde_json::from_slice(&parts[0].bytes).unwrap();
    let kv = metadata["bindings"].as_array().unwrap().iter().find(|binding| binding["name"] == "CACHE");
    assert_eq!(kv, Some(&json!({ "type": "kv_namespace", "name": "CACHE", "title": "a-cache" })));
}

#[test]
fn an_environment_uploads_only_its_differences() {
    let metadata = metadata_of(&plan(FILE, "staging"), ModuleKind::Script, &Extras::default());
    assert_eq!(metadata["bindings"], json!([]));
    assert_eq!(metadata["removed_bindings"], json!(["AUTH"]));
    assert_eq!(metadata["compatibility_date"], "2026-01-01");
    assert_eq!(metadata.get("limits"), None);
    let unmentioned = metadata_of(&plan(FILE, "trial"), ModuleKind::Esm, &Extras::default());
    assert_eq!(unmentioned.get("removed_bindings"), None, "what a clone hides stays hidden");
    let forgetful = Extras { keep_secrets: false, ..Extras::default() };
    assert_eq!(metadata_of(&plan(FILE, "trial"), ModuleKind::Esm, &forgetful)["keep_bindings"], json!([]));
    assert_eq!((&metadata["body_part"], metadata.get("main_module")), (&json!("index.js"), None));
}

#[test]
fn variables_are_given_with_either_sign() {
    assert_eq!(assignment("A=b:c"), Ok(("A".to_owned(), "b:c".to_owned())));
    assert_eq!(assignment("A:b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
    assert!(assignment("=x").is_err() && assignment("x").is_err());
}
