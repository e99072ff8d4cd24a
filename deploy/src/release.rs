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
use skerry_proto::id::AccountId;

pub(crate) use self::metadata::{Extras, Namespace, parts};
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
    /// The account that the project file names.
    pub(crate) account_id: Option<AccountId>,
}

/// Whether the parents of the project's environment are live where a release goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parents {
    /// They are, and the cluster adds what is inherited.
    Live,
    /// Nothing is: everything goes along.
    None,
}

/// Reads the project, combines it with the command line, and builds the code.
pub(crate) async fn prepare(
    context: &Context,
    args: &UploadArgs,
    mode: Mode,
    parents: Parents,
) -> anyhow::Result<Release> {
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
    let environment = context.environment()?;
    let plan = match parents {
        Parents::Live => Plan::of(&file, service.as_ref(), &environment),
        Parents::None => Plan::alone(&file, service.as_ref(), &environment),
    };
    let mut plan = plan.map_err(|error| Usage(error.to_string()))?;
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
        ..Extras::default()
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
    Ok(Release { plan, built, extras, dir, file: path, account_id: file.account_id })
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

/// Says so when the release goes to another account than the project file names: it was written for another cluster, or
/// for Cloudflare.
pub(crate) async fn tell_account(context: &Context, release: &Release) -> anyhow::Result<()> {
    let taken = context.client().await?.account().await?;
    if let Some(named) = release.account_id.as_ref().filter(|named| named.as_str() != taken) {
        context
            .out
            .note(format!("account_id: {named} is not used, this goes to account {taken}; --account chooses one"));
    }
    Ok(())
}

/// Finds the KV namespaces of the plan, by binding: those without an id by title.
pub(crate) async fn namespaces(context: &Context, plan: &Plan) -> anyhow::Result<BTreeMap<String, Namespace>> {
    let (mut found, mut existing) = (BTreeMap::new(), None);
    for binding in &plan.kv_namespaces {
        let namespace = match &binding.namespace {
            NamespacePlan::Id(id) => Namespace::Id(id.to_string()),
            NamespacePlan::Titled(title) => {
                let known = match &mut existing {
                    Some(known) => known,
                    None => existing.insert(all_namespaces(context).await?),
                };
                match known.iter().find(|namespace| namespace.title == *title) {
                    Some(namespace) => Namespace::Id(namespace.id.clone()),
                    None => Namespace::Missing(title.clone()),
                }
            }
        };
        found.insert(binding.binding.clone(), namespace);
    }
    Ok(found)
}

async fn all_namespaces(context: &Context) -> anyhow::Result<Vec<model::Namespace>> {
    let client = context.client().await?;
    let call = Call::get(kv(client.account().await?, &[]));
    Ok(client.list::<model::Namespace>(call, None, usize::MAX).await?.result)
}

/// Makes the namespaces that do not exist yet.
pub(crate) async fn make_namespaces(
    context: &Context,
    mut namespaces: BTreeMap<String, Namespace>,
) -> anyhow::Result<BTreeMap<String, Namespace>> {
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    for (binding, namespace) in &mut namespaces {
        let Namespace::Missing(title) = namespace else { continue };
        let id = match made.get(title) {
            Some(id) => id.clone(),
            None => {
                let client = context.client().await?;
                let call = Call::post(kv(client.account().await?, &[])).json(json!({ "title": title }));
                let id = client.send::<model::Namespace>(call).await?.result.id;
                context.out.note(format!("created KV namespace {title:?} for {binding}"));
                made.insert(title.clone(), id.clone());
                id
            }
        };
        *namespace = Namespace::Id(id);
    }
    Ok(namespaces)
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
