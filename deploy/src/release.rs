//! From a project to an upload: what `deploy`, `versions upload` and `dev` have in common.
//!
//! **Owns** the steps before an upload. **Must not know** what happens to the version after. **Enter at** [`prepare`].

mod metadata;

mod secrets;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

pub(crate) use self::metadata::{Extras, parts};
pub(crate) use self::secrets::read as read_secrets;
use crate::bundle::{self, BuildRequest, Built, Mode};
use crate::client::path::kv;
use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::output::size;
use crate::project::{File, NamespacePlan, Plan};

/// What can be said of an upload on the command line.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UploadArgs {
    /// The entry, instead of the project file's `main`
    #[arg(value_name = "SCRIPT")]
    pub(crate) script: Option<PathBuf>,
    /// A line for the history
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// A name for the version, such as a git tag
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// A variable over the project file's
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) var: Vec<(String, String)>,
    /// Keep variables that the project file does not mention
    #[arg(long)]
    pub(crate) keep_vars: bool,
    /// A JSON object or NAME=VALUE lines: secrets to upload with the code
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets_file: Option<PathBuf>,
    /// Make the code smaller
    #[arg(long)]
    pub(crate) minify: bool,
    /// Upload the files as they are
    #[arg(long)]
    pub(crate) no_bundle: bool,
    /// The runtime behaviour to build for, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    pub(crate) compatibility_date: Option<String>,
    /// Also write the modules to this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) outdir: Option<PathBuf>,
    /// Build and check, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Code and configuration, ready to be uploaded.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) plan: Plan,
    pub(crate) built: Built,
    pub(crate) extras: Extras,
    /// The project's folder.
    pub(crate) dir: PathBuf,
    /// The project file, if there is one.
    pub(crate) file: Option<PathBuf>,
}

/// Reads the project, combines it with the command line, and builds the code.
pub(crate) async fn prepare(context: &Context, args: &UploadArgs, mode: Mode) -> anyhow::Result<Release> {
    let project = context.project()?;
    let (dir, mut file, path) = match project {
        Some(project) => {
            for notice in &project.notices {
                context.out.note(format!(
                    "{}:{}: {}: {}",
                    project.path.display(),
                    notice.line,
                    notice.key,
                    notice.text
                ));
            }
            (project.dir, project.file, Some(project.path))
        }
        None if args.script.is_some() => (PathBuf::from("."), File::default(), None),
        None => {
            let text = "no wrangler.toml or wrangler.jsonc here or above: `skerry init` makes one, or name a script";
            return Err(Usage(text.to_owned()).into());
        }
    };
    file.keep_vars |= args.keep_vars;
    let service = context.given_service()?;
    let mut plan =
        Plan::of(&file, service.as_ref(), &context.environment()?).map_err(|error| Usage(error.to_string()))?;
    plan.build.minify = args.minify.then_some(true).or(plan.build.minify);
    plan.build.no_bundle = args.no_bundle.then_some(true).or(plan.build.no_bundle);
    plan.compatibility_date = args.compatibility_date.clone().or(plan.compatibility_date);
    if let Some(script) = &args.script {
        let script = std::path::absolute(script)?;
        plan.main = Some(script.to_string_lossy().into_owned());
    }
    plan.vars.extend(args.var.iter().map(|(name, value)| (name.clone(), json!(value))));
    let extras = Extras {
        message: args.message.clone(),
        tag: args.tag.clone(),
        secrets: args.secrets_file.as_deref().map(secrets_in).transpose()?.unwrap_or_default(),
    };

    let built = {
        let _progress = context.out.progress(format!("Building {}", plan.service));
        let main = plan.main.as_deref();
        bundle::build(BuildRequest { dir: &dir, main, settings: &plan.build, mode }).await?
    };
    for warning in &built.warnings {
        context.out.note(warning);
    }
    if let Some(outdir) = &args.outdir {
        write_modules(outdir, &built)?;
    }
    Ok(Release { plan, built, extras, dir, file: path })
}

/// Lists the modules with their sizes.
pub(crate) fn report(context: &Context, built: &Built) {
    let modules = &built.bundle.modules;
    context.out.table(
        ["MODULE", "TYPE", "SIZE"],
        modules.iter().map(|module| [module.name.clone(), module.kind.label().to_owned(), size(module.bytes.len())]),
    );
    let (total, gzip) = (size(built.bundle.size()), size(built.bundle.gzip_size()));
    context.out.line(format!("Total upload: {total}, gzip without source maps: {gzip}\n"));
}

/// Finds the KV namespaces of the plan, by binding. Those without an id are found by title, and made when `create`.
pub(crate) async fn namespaces(
    context: &Context,
    plan: &Plan,
    create: bool,
) -> anyhow::Result<BTreeMap<String, String>> {
    let (mut found, mut existing) = (BTreeMap::new(), None);
    for binding in &plan.kv_namespaces {
        let title = match &binding.namespace {
            NamespacePlan::Id(id) => {
                found.insert(binding.binding.clone(), id.to_string());
                continue;
            }
            NamespacePlan::Titled(title) => title,
        };
        let client = context.client().await?;
        let account = client.account().await?;
        let known = match &mut existing {
            Some(known) => known,
            None => {
                let all = client.list::<model::Namespace>(Call::get(kv(account, &[])), None, usize::MAX).await?;
                existing.insert(all.result)
            }
        };
        let id = match known.iter().find(|namespace| namespace.title == *title) {
            Some(namespace) => namespace.id.clone(),
            None if !create => {
                context.out.note(format!("would create KV namespace {title:?} for {}", binding.binding));
                // A dry run changes nothing, so there is no id yet; the API only checks its shape.
                "0".repeat(32)
            }
            None => {
                let call = Call::post(kv(account, &[])).json(json!({ "title": title }));
                let made: model::Namespace = client.send(call).await?.result;
                context.out.note(format!("created KV namespace {title:?} for {}", binding.binding));
                made.id
            }
        };
        found.insert(binding.binding.clone(), id);
    }
    Ok(found)
}

/// Reads secrets from a file: a JSON object of texts, or `NAME=VALUE` lines as in `.dev.vars`.
pub(crate) fn secrets_in(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let wrong = |why: String| Usage(format!("{}: {why}", path.display())).into();
    secrets::values(&text).map_err(wrong)
}

fn write_modules(outdir: &Path, built: &Built) -> anyhow::Result<()> {
    for module in &built.bundle.modules {
        let path = outdir.join(&module.name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &module.bytes).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// `NAME=VALUE`, or wrangler's `NAME:VALUE`.
pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    let at = text.find(['=', ':']).filter(|at| *at > 0).ok_or("must be NAME=VALUE")?;
    Ok((text[..at].to_owned(), text[at + 1..].to_owned()))
}
