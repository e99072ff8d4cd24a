//! The calls of a deploy, in their order.
//!
//! **Owns** that a deploy is checked whole before it changes anything, and what is said when it stops half-way. **Must
//! not know** how results are shown. **Enter at** [`publish`].
//!
//! ```text
//! questions -> rehearsal -> parent -> KV namespaces -> upload (live) -> routes, domains, crons, hostname
//! ```
//! - questions: required secrets, custom domains that others have; nothing was sent that changes anything.
//! - rehearsal: the same upload as a dry run, where something has to be made before the upload can be sent.
//! - upload: one command of the API's. What follows is not part of a version; where it fails, the error says what is
//!   live.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::triggers;
use crate::client::path::EnvironmentPath;
use crate::client::{Answer, Call, Client, model};
use crate::context::Context;
use crate::project::Plan;
use crate::release::{self, Namespace, Release};

/// The API's code for a service that does not exist.
const NO_SERVICE: u32 = 10090;

/// Uploads the release and makes it live, then sets what lies outside versions. A dry run is checked by the API too.
pub(crate) async fn publish(
    context: &Context,
    release: &Release,
    dry_run: bool,
) -> anyhow::Result<Answer<model::Deployed>> {
    let client = context.client().await?;
    let plan = &release.plan;
    let path = path_of(context, plan).await?;
    let current = look(client, &path).await?;
    require_secrets(client, &path, release, current.is_some()).await?;
    let takes_over = triggers::agree(context, &path, plan, dry_run).await?;
    let namespaces = release::namespaces(context, plan).await?;
    if dry_run {
        for (binding, namespace) in &namespaces {
            if let Namespace::Missing(title) = namespace {
                context.out.note(format!("would create KV namespace {title:?} for {binding}"));
            }
        }
        return upload(context, &path, release, &namespaces, current, true).await;
    }
    let moves = plan.parent.as_ref().is_some_and(|parent| {
        current.as_ref().is_none_or(|found| found.result.parent.as_deref() != Some(parent.as_str()))
    });
    if moves || namespaces.values().any(|namespace| matches!(namespace, Namespace::Missing(_))) {
        upload(context, &path, release, &namespaces, current.clone(), true).await?;
    }
    set_parent(client, &path, plan, current.as_ref().map(|found| &found.result)).await?;
    // Read again after the parent moved: the etag of what this deploy replaces, so that a deploy that happens
    // meanwhile is not overwritten silently.
    let current = if moves { look(client, &path).await? } else { current };
    let is_new = current.is_none();
    let namespaces = release::make_namespaces(context, namespaces).await?;
    let deployed = upload(context, &path, release, &namespaces, current, false).await?;
    settle(client, &path, plan, is_new, takes_over).await.with_context(|| {
        let (service, environment, number) = (&plan.service, &plan.environment, deployed.result.version_number);
        format!(
            "version {number} of {service} {environment} is live, but not everything around it is set; mend this and \
             deploy again, or `skerry rollback`"
        )
    })?;
    Ok(deployed)
}

/// Uploads the release as a version that waits. Namespaces are made once the API has agreed to it as a deploy, which follows
/// what is live; a version follows what was uploaded last.
pub(crate) async fn upload_version(context: &Context, release: &Release) -> anyhow::Result<Answer<model::Version>> {
    let client = context.client().await?;
    let plan = &release.plan;
    let path = path_of(context, plan).await?;
    if look(client, &path).await?.is_none() {
        let (service, environment) = (&plan.service, &plan.environment);
        let option = if environment.is_production() { String::new() } else { format!(" --env {environment}") };
        anyhow::bail!("{service} {environment} does not exist yet; `skerry deploy{option}` makes it");
    }
    require_secrets(client, &path, release, true).await?;
    let namespaces = release::namespaces(context, plan).await?;
    if namespaces.values().any(|namespace| matches!(namespace, Namespace::Missing(_))) {
        upload(context, &path, release, &namespaces, None, true).await?;
    }
    let namespaces = release::make_namespaces(context, namespaces).await?;
    let parts = release::parts(plan, &release.built.bundle, &namespaces, &release.extras);
    let _progress = context.out.progress(format!("Uploading {}", path.service));
    Ok(client.send::<model::Version>(Call::post(path.below(&["versions"])).form(parts)).await?)
}

/// What is set once the version is live.
async fn settle(
    client: &Client,
    path: &EnvironmentPath,
    plan: &Plan,
    is_new: bool,
    takes_over: bool,
) -> anyhow::Result<()> {
    if is_new && plan.parent.is_some() {
        // The service was made by this deploy, so only now is there an environment whose parent can be set.
        let made = look(client, path).await?;
        set_parent(client, path, plan, made.as_ref().map(|found| &found.result)).await?;
    }
    triggers::set(client, path, plan, takes_over).await
}

async fn upload(
    context: &Context,
    path: &EnvironmentPath,
    release: &Release,
    namespaces: &BTreeMap<String, Namespace>,
    current: Option<Answer<model::Environment>>,
    dry_run: bool,
) -> anyhow::Result<Answer<model::Deployed>> {
    let parts = release::parts(&release.plan, &release.built.bundle, namespaces, &release.extras);
    let mut call = Call::put(path.below(&[])).if_match(current.and_then(|found| found.etag)).form(parts);
    if dry_run {
        call = call.query("dry_run", true);
    }
    let doing = if dry_run { "Checking" } else { "Deploying" };
    let _progress = context.out.progress(format!("{doing} {} {}", path.service, path.environment));
    Ok(context.client().await?.send::<model::Deployed>(call).await?)
}

/// Where the environment of a plan lies.
pub(crate) async fn path_of(context: &Context, plan: &Plan) -> anyhow::Result<EnvironmentPath> {
    let account = context.client().await?.account().await?.to_owned();
    Ok(EnvironmentPath { account, service: plan.service.clone(), environment: plan.environment.clone() })
}

async fn look(client: &Client, path: &EnvironmentPath) -> anyhow::Result<Option<Answer<model::Environment>>> {
    match client.send(Call::get(path.below(&[]))).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the environment's parent what the project file says, if it says anything.
async fn set_parent(
    client: &Client,
    path: &EnvironmentPath,
    plan: &Plan,
    current: Option<&model::Environment>,
) -> anyhow::Result<()> {
    let Some(parent) = &plan.parent else { return Ok(()) };
    let key = || format!("env.{}.skerry.parent", plan.environment);
    match current {
        Some(environment) if environment.parent.as_deref() == Some(parent.as_str()) => {}
        Some(_) => {
            let call = Call::patch(path.below(&[])).json(json!({ "parent": parent.as_str() }));
            client.send::<Value>(call).await.with_context(key)?;
        }
        None => {
            let mut segments = path.below(&[]);
            segments.pop();
            let body = json!({ "name": plan.environment.as_str(), "parent": parent.as_str() });
            match client.send::<Value>(Call::post(segments).json(body)).await {
                // The upload makes the service, and with it production.
                Err(error) if error.has_code(NO_SERVICE) && parent.is_production() => {}
                Err(error) if error.has_code(NO_SERVICE) => anyhow::bail!(
                    "{}: {} has no environment {parent} yet; `skerry deploy --env {parent}` makes it",
                    key(),
                    path.service
                ),
                other => {
                    other.with_context(key)?;
                }
            }
        }
    }
    Ok(())
}

/// Refuses before the upload when the environment lacks secrets that the project file requires.
async fn require_secrets(
    client: &Client,
    path: &EnvironmentPath,
    release: &Release,
    exists: bool,
) -> anyhow::Result<()> {
    let required = &release.plan.required_secrets;
    if required.is_empty() {
        return Ok(());
    }
    let known: Vec<model::Binding> = match exists {
        true => client.send(Call::get(path.below(&["secrets"]))).await?.result,
        false => Vec::new(),
    };
    let given =
        |name: &String| release.extras.secrets.contains_key(name) || known.iter().any(|secret| secret.name == *name);
    let missing: Vec<&str> = required.iter().filter(|name| !given(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "secrets.required: {} {} missing in {}; `skerry secret put NAME` sets one, --secrets-file brings them along",
        missing.join(", "),
        if missing.len() == 1 { "is" } else { "are" },
        path.environment
    )
}
