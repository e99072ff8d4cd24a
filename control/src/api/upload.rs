//! Uploads: from a form to a version, deployed or not.
//!
//! **Owns** the order in which an upload is checked, run, stored and proposed; a step that fails leaves nothing behind.
//! **Must not know** how code runs or where bundles lie. **Enter at** [`mount`].
//!
//! ```text
//! form -> metadata -> code -> (repeated?) -> bindings -> rehearsal -> validation -> bundle stored -> one command
//! ```
//! - form, metadata, code, bindings: what can be said of the request alone; 10021 and its kin.
//! - repeated: under the same idempotency key; the answer is the first one's version, and nothing is looked at again.
//! - rehearsal: the command is applied to a copy of the catalog, so that what the catalog refuses costs no isolate.
//! - validation: the top-level scope runs in a throw-away isolate; 10021 with file, line and column, 10068.
//! - bundle stored: durable before any entry names it. A refusal after this leaves a file that nothing names.
//! - one command: service, environment, certificate, version and deployment come into being together.

use axum::extract::{Request, State};
use bytes::Bytes;
use serde::Serialize;
use skerry_proto::{
    bundle::Bundle,
    id::{EnvironmentId, EnvironmentName},
};
use utoipa::ToSchema;

use self::{
    before::Unsaid,
    bindings::{Bindings, Scene, Titles},
    code::Code,
    form::Form,
    metadata::Metadata,
};
use super::{
    Deps,
    auth::WORKERS_WRITE,
    body::BodyDigest,
    certificates,
    config::ConfigView,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply, SourceView},
    error::ApiError,
    paths,
    ports::{ValidateError, ValidateInput},
    query::Query,
    scripts::ScriptView,
    services::hostnames,
    target::{Place, Target},
    versions::VersionView,
    writer::Writer,
};
use crate::{
    bundles::Bundles,
    catalog::{
        Annotations, Applied, Base, BundleRef, Catalog, Change, EnvironmentKey, Expectation, NewDeployment, NewVersion,
        Noun, Rejection, Share, service_certificate_names,
    },
    mint,
};

mod before;
mod bindings;
mod code;
mod form;
mod metadata;
#[cfg(test)]
mod tests;

pub(crate) use bindings::Scene as BindingScene;
pub(crate) use form::Form as UploadForm;
pub(crate) use metadata::{RawBinding, RawLimits, check_tags};

/// What a deploy made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeployView {
    /// What is live now.
    #[serde(flatten)]
    pub script: ScriptView,
    /// Milliseconds of the top-level scope at validation.
    pub startup_time_ms: u32,
    /// The deployment; `deployment_id` is the version's id, as Cloudflare has it.
    pub deployment: Option<String>,
    /// The revision at which it is in effect.
    pub revision: u64,
    /// Where the environment answers.
    pub hostnames: Vec<String>,
    /// What it runs with.
    pub config: ConfigView,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("");
    let deploy = Endpoint::put(&script, "deploy", "Uploads code and configuration and deploys them at once");
    let deploy = deploy.also(&service).needs(WORKERS_WRITE).tag("versions").conditional();
    let deploy = deploy
        .query(
            "dry_run",
            "Whether to check everything and change nothing. A kv_namespace binding may then carry the `title` of a \
             namespace that need not exist yet in place of `namespace_id`.",
        )
        .query("excludeScript", "Accepted; the code is never in the answer.")
        .query("bindings_inherit", "Accepted; `inherit` is always strict.");
    endpoints.add(deploy.takes_raw("multipart/form-data").answers::<DeployView>(), deploy_one);
    let [script, service] = paths::environment("/versions");
    let upload = Endpoint::post(&script, "uploadVersion", "Uploads code and configuration without deploying them");
    let upload = upload.also(&service).needs(WORKERS_WRITE).tag("versions").conditional();
    endpoints.add(upload.takes_raw("multipart/form-data").answers::<VersionView>(), upload_one);
    let [script, service] = paths::environment("/content");
    let code = Endpoint::put(&script, "putContent", "Replaces the code and keeps the configuration").also(&service);
    let code = code.needs(WORKERS_WRITE).tag("versions").conditional();
    endpoints.add(code.takes_raw("multipart/form-data").answers::<DeployView>(), put_content);
}

/// What an upload is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A version that goes live at once.
    Deploy,
    /// The same, with all of the configuration before.
    DeployCode,
    /// A version that waits.
    Version,
}

async fn deploy_one(
    State(deps): State<Deps>,
    place: Place,
    writer: Writer,
    query: Query,
    request: Request,
) -> Reply<DeployView> {
    deploy(&deps, place, &writer, &query, request, Purpose::Deploy).await
}

async fn put_content(
    State(deps): State<Deps>,
    target: Target,
    writer: Writer,
    query: Query,
    request: Request,
) -> Reply<DeployView> {
    deploy(&deps, target.into(), &writer, &query, request, Purpose::DeployCode).await
}

async fn deploy(
    deps: &Deps,
    place: Place,
    writer: &Writer,
    query: &Query,
    request: Request,
    purpose: Purpose,
) -> Reply<DeployView> {
    let _turn = deps.turn().await?;
    let is_new = place.catalog.environment(&place.key).is_none();
    let received = Received::read(request, purpose).await?;
    let dry_run = query.flag("dry_run")?;
    if !dry_run && let Some(applied) = writer.replay(&place.key.service.account)? {
        let view = deploy_view(Catalog::clone(&place.catalog), &place.key, &applied, false)?;
        return Ok(Answer::ok(view).changed_at(applied.revision));
    }
    if dry_run {
        let place = place.again(deps.control.catalog());
        let draft = Draft::assemble(deps, &place, writer, received, Titles::Allowed)?;
        let draft = draft.validated(deps, &place, writer).await?;
        let (catalog, applied) = writer.rehearse(draft.account(), draft.expects(writer), draft.changes())?;
        return Ok(Answer::ok(deploy_view(catalog, &place.key, &applied, true)?));
    }
    let applied = Draft::land(deps, &place, writer, &received).await?;
    let catalog = Catalog::clone(&deps.control.catalog());
    let view = deploy_view(catalog, &place.key, &applied, false)?;
    Ok(Answer::created(view, is_new).changed_at(applied.revision))
}

fn deploy_view(
    catalog: Catalog,
    key: &EnvironmentKey,
    applied: &Applied,
    dry_run: bool,
) -> Result<DeployView, ApiError> {
    let target = Target::find(catalog.into(), key.clone())?;
    let live = target.environment.live_version();
    Ok(DeployView {
        script: ScriptView::of(&target.service, &target.environment),
        startup_time_ms: live.map_or(0, |version| version.code.startup_ms),
        deployment: applied.deployments.last().map(|made| made.id.to_string()),
        revision: applied.revision.0,
        hostnames: hostnames(&target.catalog, key, &target.environment),
        config: ConfigView::of(&target, live.map(|version| &**version)),
        dry_run,
    })
}

async fn upload_one(State(deps): State<Deps>, target: Target, writer: Writer, request: Request) -> Reply<VersionView> {
    let _turn = deps.turn().await?;
    let key = target.key.clone();
    let place = Place::from(target);
    let received = Received::read(request, Purpose::Version).await?;
    let applied = match writer.replay(&key.service.account)? {
        Some(applied) => applied,
        None => Draft::land(&deps, &place, &writer, &received).await?,
    };
    let target = Target::find(deps.control.catalog(), key)?;
    let made = applied.versions.first().and_then(|made| target.environment.version(&made.id));
    let made = made.ok_or_else(|| ApiError::not_found(super::error::Thing::Version, "just uploaded"))?;
    Ok(Answer::ok(VersionView::of(&target, made)).changed_at(applied.revision))
}

/// BOUND: how often an upload is put together because another change of the environment came first; each runs its code again.
const ATTEMPTS_MAX: u32 = 4;

/// An upload as it came: what can be said of it without the catalog has been said.
#[derive(Clone)]
struct Received {
    metadata: Metadata,
    code: Code,
    bytes: Bytes,
    purpose: Purpose,
}

/// An upload on its way: everything but what validation finds.
struct Draft {
    key: EnvironmentKey,
    bundle: Bundle,
    bytes: Bytes,
    before: Vec<Change>,
    expects: Option<Expectation>,
    version: NewVersion,
    deployment: Option<NewDeployment>,
    tags: Option<Vec<String>>,
}

impl Received {
    async fn read(request: Request, purpose: Purpose) -> Result<Self, ApiError> {
        let digest = request.extensions().get::<BodyDigest>().cloned().unwrap_or_default();
        let form = Form::from_request(request).await?;
        let metadata = match (&form.metadata, form.parts.as_slice()) {
            (Some(json), _) => Metadata::parse(json)?,
            // A bare script has no metadata to send.
            (None, [only]) if only.content_type == "application/javascript" => Metadata::default(),
            (None, _) => return Err(ApiError::upload("metadata", "the part is missing; send it as application/json")),
        };
        if metadata.has_migrations() {
            return Err(match purpose {
                Purpose::Version => ApiError::Migration,
                _ => ApiError::Unsupported("migrations: Durable Objects".into()),
            });
        }
        let code = Code::from_parts(&form, &metadata)?;
        let bytes = Bundles::encode(&code.bundle);
        digest.set(&[form.metadata.as_deref().unwrap_or_default(), &bytes].concat());
        Ok(Self { metadata, code, bytes, purpose })
    }
}

impl Draft {
    /// Puts it together, validates and commits it. What it leaves unsaid, the version says that is live then: when another one
    /// takes its place before the commit, all of this happens anew.
    async fn land(deps: &Deps, place: &Place, writer: &Writer, received: &Received) -> Result<Applied, ApiError> {
        let was_there = place.catalog.environment(&place.key).is_some();
        let mut attempts = 1;
        loop {
            // The body may have taken minutes. An environment that was removed meanwhile is not made again.
            let place = place.again(deps.control.catalog());
            if was_there {
                Target::find(place.catalog.clone(), place.key.clone())?;
            }
            let draft = Self::assemble(deps, &place, writer, received.clone(), Titles::Refused)?;
            let relies = draft.expects.is_some() && writer.may_look_again() && attempts < ATTEMPTS_MAX;
            let landing = async { draft.validated(deps, &place, writer).await?.commit(deps, writer).await };
            match landing.await {
                Err(ApiError::Rejected(Rejection::Stale { .. })) if relies => attempts += 1,
                outcome => return outcome,
            }
        }
    }

    fn assemble(
        deps: &Deps,
        place: &Place,
        writer: &Writer,
        received: Received,
        titles: Titles,
    ) -> Result<Self, ApiError> {
        let Received { metadata, code, bytes, purpose } = received;
        let (mut before, environment) = foundation(deps, place)?;
        let scene = Scene { deps, catalog: &place.catalog, key: &place.key, environment: &environment };
        let mut bindings = Bindings::read(&scene, &metadata, titles)?;
        before.append(&mut bindings.namespaces);
        if purpose == Purpose::DeployCode {
            bindings.keep.kinds.extend(crate::catalog::BindingKind::ALL);
        }
        let mut annotations = Annotations { entries: metadata.annotations() };
        annotations.entries.entry(Annotations::TRIGGERED_BY.to_owned()).or_insert_with(|| "upload".to_owned());
        let known = place.catalog.environment(&place.key).map(|environment| &**environment);
        let unsaid = Unsaid::of(purpose, (&place.key, known), &metadata, &bindings);
        let source = writer.caller.source.to_owned();
        let version = NewVersion {
            id: mint::version_id(),
            code: crate::catalog::Code {
                bundle: BundleRef { hash: skerry_proto::id::BundleHash::of(&bytes), size_bytes: bytes.len() as u64 },
                syntax: code.syntax,
                main_module: code.bundle.main_module.clone(),
                handlers: Vec::new(),
                compatibility_date: unsaid.compatibility_date,
                compatibility_flags: unsaid.compatibility_flags,
                startup_ms: 0,
            },
            bindings: bindings.set,
            removed: unsaid.removed,
            limits: unsaid.limits,
            keep: bindings.keep,
            // As on Cloudflare: a deploy follows what is live, an upload what was uploaded last.
            base: if purpose == Purpose::Version { Base::Latest } else { Base::Live },
            annotations: annotations.clone(),
            source: source.clone(),
        };
        let shares = vec![Share::all(version.id.clone())];
        let deployment = NewDeployment { id: mint::deployment_id(), shares, annotations, source };
        Ok(Self {
            key: place.key.clone(),
            bundle: code.bundle,
            bytes,
            before,
            expects: unsaid.expects,
            version,
            deployment: (purpose != Purpose::Version).then_some(deployment),
            tags: metadata.tags,
        })
    }

    /// Rehearses, then runs the top-level scope; gives the draft with what that found.
    async fn validated(mut self, deps: &Deps, place: &Place, writer: &Writer) -> Result<Self, ApiError> {
        let (catalog, _) = writer.rehearse(self.account(), self.expects(writer), self.changes()).map_err(in_upload)?;
        let target = Target::find(catalog.into(), place.key.clone())?;
        let Some(version) = target.environment.version(&self.version.id) else {
            return Err(ApiError::not_found(super::error::Thing::Version, &self.version.id));
        };
        let effective = crate::catalog::effective(&target.catalog, &place.key, version);
        let input = ValidateInput {
            environment: &place.key,
            bundle: &self.bundle,
            syntax: self.version.code.syntax,
            bindings: &effective,
            compatibility_date: &self.version.code.compatibility_date,
            compatibility_flags: &self.version.code.compatibility_flags,
        };
        let found = deps.validator.validate(input).await.map_err(refused)?;
        if found.handlers.is_empty() {
            return Err(ApiError::NoHandlers { main_module: self.bundle.main_module.clone() });
        }
        self.version.code.handlers = found.handlers;
        self.version.code.startup_ms = found.startup_ms;
        Ok(self)
    }

    async fn commit(self, deps: &Deps, writer: &Writer) -> Result<Applied, ApiError> {
        let (expects, changes, account) = (self.expects(writer), self.changes(), self.account().clone());
        deps.control.store_bundle(self.bytes.clone()).await?;
        writer.propose(&account, expects, changes).await.map_err(in_upload)
    }

    fn account(&self) -> &skerry_proto::id::AccountId {
        &self.key.service.account
    }

    fn expects(&self, writer: &Writer) -> Vec<Expectation> {
        writer.expects(&self.key).into_iter().chain(self.expects.clone()).collect()
    }

    fn changes(&self) -> Vec<Change> {
        let mut changes = self.before.clone();
        changes.push(Change::UploadVersion { environment: self.key.clone(), version: self.version.clone() });
        if let Some(deployment) = &self.deployment {
            changes.push(Change::Deploy { environment: self.key.clone(), deployment: deployment.clone() });
        }
        if let Some(tags) = &self.tags {
            changes.push(Change::SetTags { environment: self.key.clone(), tags: tags.clone() });
        }
        changes
    }
}

/// What must come into being before a version can: service, environment, certificate. With the environment's identity.
fn foundation(deps: &Deps, place: &Place) -> Result<(Vec<Change>, EnvironmentId), ApiError> {
    let service = &place.key.service;
    if let Some(environment) = place.catalog.environment(&place.key) {
        return Ok((Vec::new(), environment.id.clone()));
    }
    let mut changes = Vec::new();
    let environment = mint::environment_id();
    let is_production = place.key.environment.is_production();
    if place.catalog.service(service).is_none() {
        let production = if is_production { environment.clone() } else { mint::environment_id() };
        changes.push(Change::CreateService { service: service.clone(), id: mint::service_id(), production });
        let names = service_certificate_names(&place.catalog, service);
        changes.extend(certificates::missing(deps, &place.catalog, &service.account, names)?);
    }
    if !is_production {
        changes.push(Change::CreateEnvironment {
            environment: place.key.clone(),
            id: environment.clone(),
            parent: Some(EnvironmentName::production()),
            clone: None,
        });
    }
    Ok((changes, environment))
}

/// A catalog's refusal, as uploads say it.
fn in_upload(error: ApiError) -> ApiError {
    match error {
        ApiError::Rejected(Rejection::Invalid { field, rule }) => ApiError::upload(field, rule),
        ApiError::Rejected(Rejection::NotFound { noun: Noun::Binding, name }) => {
            ApiError::Inherit { name, problem: "the version before has no binding of this name".into() }
        }
        other => other,
    }
}

fn refused(error: ValidateError) -> ApiError {
    match error {
        ValidateError::Code { message, file, line, column } => {
            ApiError::Validation { message, source_position: file.map(|file| SourceView { file, line, column }) }
        }
        ValidateError::Unavailable(reason) => ApiError::NotValidated(reason),
    }
}
