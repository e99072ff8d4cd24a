//! `skerry diff`
//!
//! **Owns** how a difference between environments is shown. **Must not know** how it is computed. **Enter at** [`run`].

use clap::Args;
use serde_json::Value;

use crate::client::{Call, model};
use crate::context::{Context, environment};

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The environment that has the changes
    source: String,
    /// The environment it is compared with
    target: String,
}

pub(crate) async fn run(context: &Context, args: DiffArgs) -> anyhow::Result<()> {
    let (source, target) = (environment(&args.source)?, environment(&args.target)?);
    let path = context.path_of(source).await?;
    let call = Call::get(path.below(&["diff"])).query("against", target.as_str());
    let found = context.client().await?.send::<model::Diff>(call).await?;
    context.out.document(&found.raw);
    show(context, &found.result);
    Ok(())
}

/// What `target` has now, and what it would have as `source`.
pub(crate) fn show(context: &Context, diff: &model::Diff) {
    let (source, target) = (&diff.source, &diff.target);
    if diff.identical {
        context.out.line(format!("{source} and {target} are the same"));
        return;
    }
    let mut rows: Vec<[String; 4]> = Vec::new();
    if diff.code.changed {
        rows.push(["code".to_owned(), String::new(), version(&diff.code.target), version(&diff.code.source)]);
    }
    for module in diff.modules.iter().filter(|module| module.change != "same") {
        let [old, new] = match module.change.as_str() {
            "added" => ["-", "present"],
            "removed" => ["present", "-"],
            _ => ["", "changed"],
        };
        rows.push(["module".to_owned(), module.name.clone(), old.to_owned(), new.to_owned()]);
    }
    for binding in diff.bindings.iter().filter(|binding| binding.change != "same") {
        let kind = binding.source.as_ref().or(binding.target.as_ref()).map_or("binding", |one| one.kind.as_str());
        let shown = |side: &Option<model::Binding>| side.as_ref().map_or("-".to_owned(), super::deploy::value);
        rows.push([kind.to_owned(), binding.name.clone(), shown(&binding.target), shown(&binding.source)]);
    }
    for setting in diff.settings.iter().filter(|setting| setting.source != setting.target) {
        rows.push(["setting".to_owned(), setting.name.clone(), text(&setting.target), text(&setting.source)]);
    }
    context.out.table(["WHAT", "NAME", target.to_uppercase().as_str(), source.to_uppercase().as_str()], rows);
}

fn version(side: &Option<Value>) -> String {
    match side {
        None => "none".to_owned(),
        Some(version) => match version["number"].as_u64().or(version["version_number"].as_u64()) {
            Some(number) => format!("#{number}"),
            None => text(version.get("version").or(version.get("id")).unwrap_or(version)),
        },
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
