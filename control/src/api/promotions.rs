//! Promotions: moving code from environment to environment, of several services at once.
//!
//! **Owns** the plan that is shown first and the command that carries it out. **Must not know** what a promotion keeps
//! and takes; the catalog does. **Enter at** [`mount`].

use std::collections::BTreeSet;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use skerry_proto::id::{EnvironmentName, Revision, ServiceName, VersionId};
use utoipa::ToSchema;

use super::{
    Deps,
    account::Account,
    auth::WORKERS_WRITE,
    body::JsonBody,
    conditions,
    diff::DifferenceView,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    versions,
    writer::Writer,
};
use crate::{
    catalog::{Annotations, Catalog, Change, EnvironmentKey, Expectation, Guard, ServiceKey, diff_between},
    mint,
};

mod undeployed;

/// BOUND: promotions in one call; each is at most two changes of a command.
const PROMOTIONS_MAX: usize = 100;

/// Promotions that happen together or not at all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromotionsBody {
    /// 1 to 100, each with its own target.
    pub promotions: Vec<PromotionBody>,
    /// Whether to say what would happen and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether the pipeline's order may be skipped; the audit log says so.
    #[serde(default)]
    pub skip_pipeline: bool,
    /// Why.
    #[serde(default)]
    pub message: Option<String>,
}

/// One promotion.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromotionBody {
    /// The service.
    pub service: String,
    /// The environment whose code is taken.
    pub source: String,
    /// The environment that gets it.
    pub target: String,
    /// The version's id or number; the live one when absent. Send the `source_version_id` of a dry run to promote exactly
    /// what was shown.
    #[serde(default)]
    pub version: Option<String>,
    /// The target's ETag as seen: 412 when it has changed since.
    #[serde(default)]
    pub if_match: Option<String>,
}

/// What promotions did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PromotionsView {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The revision at which they are in effect.
    pub revision: Option<u64>,
    /// One for each, in order.
    pub promotions: Vec<PromotionView>,
}

/// What one promotion did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PromotionView {
    /// The service.
    pub service: String,
    /// The environment whose code is taken.
    pub source: String,
    /// The environment that gets it.
    pub target: String,
    /// The source's version whose code is taken; send it as `version` to promote exactly what was shown.
    pub source_version_id: Option<String>,
    /// What changes in the target, from what is live there to what would be; empty in the answer to a repeated call.
    pub changes: Vec<DifferenceView>,
    /// The target's ETag before; send it as `if_match` to promote exactly what was shown.
    pub if_match: String,
    /// The target's new version.
    pub version_id: Option<String>,
    /// Its number.
    pub version_number: Option<u64>,
    /// Its deployment.
    pub deployment_id: Option<String>,
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let path = "/accounts/{account}/workers/promotions";
    let promote = Endpoint::post(path, "promote", "Moves code between environments, of several services at once");
    let promote = promote.needs(WORKERS_WRITE).tag("environments").repeatable();
    endpoints.add(promote.takes::<PromotionsBody>().answers::<PromotionsView>(), promote_all);
}

async fn promote_all(
    State(deps): State<Deps>,
    account: Account,
    writer: Writer,
    JsonBody(body): JsonBody<PromotionsBody>,
) -> Reply<PromotionsView> {
    carry_out(&deps, &account, &writer, &body).await
}

/// Plans, and unless it is a dry run, does.
pub(crate) async fn carry_out(
    deps: &Deps,
    account: &Account,
    writer: &Writer,
    body: &PromotionsBody,
) -> Reply<PromotionsView> {
    let plan = Plan::of(account, body)?;
    let replay = if body.dry_run { None } else { writer.replay(&account.id)? };
    let mut views = match &replay {
        Some(_) => plan.views(&account.catalog, &account.catalog)?,
        None => {
            let (after, _) = writer.rehearse(&account.id, plan.expects.clone(), plan.changes.clone())?;
            plan.views(&account.catalog, &after)?
        }
    };
    if body.dry_run {
        return Ok(Answer::ok(PromotionsView { dry_run: true, revision: None, promotions: views }));
    }
    let applied = match replay {
        Some(applied) => applied,
        None => writer.propose(&account.id, plan.expects, plan.changes).await?,
    };
    for (view, made) in views.iter_mut().zip(&applied.versions) {
        view.version_id = Some(made.id.to_string());
        view.version_number = Some(made.number.0);
    }
    for (view, made) in views.iter_mut().zip(&applied.deployments) {
        view.deployment_id = Some(made.id.to_string());
    }
    // What was rehearsed on an older catalog is shown as it came out.
    let now = deps.control.catalog();
    for view in &mut views {
        view.changes = plan_changes(&account.catalog, &now, &account.key(&view.service, &view.target)?)?;
    }
    let revision = Some(applied.revision.0);
    Ok(Answer::ok(PromotionsView { dry_run: false, revision, promotions: views }).at(applied.revision))
}

impl Account {
    fn key(&self, service: &str, environment: &str) -> Result<EnvironmentKey, ApiError> {
        let service = ServiceKey { account: self.id.clone(), name: ServiceName::new(service)? };
        Ok(service.environment(EnvironmentName::new(environment)?))
    }
}

/// A checked request.
struct Plan {
    expects: Vec<Expectation>,
    changes: Vec<Change>,
    pairs: Vec<(EnvironmentKey, EnvironmentKey, Option<VersionId>)>,
}

impl Plan {
    fn of(account: &Account, body: &PromotionsBody) -> Result<Self, ApiError> {
        if body.promotions.is_empty() || body.promotions.len() > PROMOTIONS_MAX {
            return Err(ApiError::field("promotions", format!("use 1 to {PROMOTIONS_MAX} promotions")));
        }
        let mut plan = Self { expects: Vec::new(), changes: Vec::new(), pairs: Vec::new() };
        let mut targets = BTreeSet::new();
        for (place, promotion) in body.promotions.iter().enumerate() {
            let source = account.key(&promotion.service, &promotion.source)?;
            let target = account.key(&promotion.service, &promotion.target)?;
            if !targets.insert(target.clone()) {
                return Err(ApiError::field(format!("promotions[{place}].target"), format!("{target} is named twice")));
            }
            let Some(from) = account.catalog.environment(&source) else {
                return Err(ApiError::not_found(Thing::Environment, &source));
            };
            // Fixed here, so that what is rehearsed and shown is what is proposed, whatever is deployed meanwhile.
            let version = match &promotion.version {
                Some(text) => Some(versions::find(from, text)?.id.clone()),
                None => from.live_version().map(|live| live.id.clone()),
            };
            if let Some(text) = &promotion.if_match {
                let revision = parse_etag(place, text)?;
                plan.expects.push(Expectation::Unchanged { environment: target.clone(), revision });
            }
            let message = body.message.as_deref().map(|text| Annotations::of(Annotations::MESSAGE, text));
            let promote = Change::Promote {
                source: source.clone(),
                target: target.environment.clone(),
                version: version.clone(),
                new_version: mint::version_id(),
                deployment: mint::deployment_id(),
                annotations: message.unwrap_or_default(),
                guard: if body.skip_pipeline { Guard::Skip } else { Guard::Enforce },
            };
            match undeployed::changes(&account.catalog, &promote) {
                Some((expectation, changes)) => {
                    plan.expects.push(expectation);
                    plan.changes.extend(changes);
                }
                None => plan.changes.push(promote),
            }
            plan.pairs.push((source, target, version));
        }
        Ok(plan)
    }

    fn views(&self, before: &Catalog, after: &Catalog) -> Result<Vec<PromotionView>, ApiError> {
        let view = |(source, target, version): &(EnvironmentKey, EnvironmentKey, Option<VersionId>)| {
            Ok(PromotionView {
                service: source.service.to_string(),
                source: source.environment.to_string(),
                target: target.environment.to_string(),
                source_version_id: version.as_ref().map(ToString::to_string),
                changes: plan_changes(before, after, target)?,
                if_match: before.environment(target).map(|environment| environment.etag()).unwrap_or_default(),
                version_id: None,
                version_number: None,
                deployment_id: None,
            })
        };
        self.pairs.iter().map(view).collect()
    }
}

/// What changes in one environment between two catalogs.
fn plan_changes(before: &Catalog, after: &Catalog, key: &EnvironmentKey) -> Result<Vec<DifferenceView>, ApiError> {
    let found = diff_between((before, key), (after, key))?;
    Ok(found.code.into_iter().chain(found.config).map(DifferenceView::of).collect())
}

fn parse_etag(place: usize, text: &str) -> Result<Revision, ApiError> {
    let wrong = || ApiError::field(format!("promotions[{place}].if_match"), "use the target's `etag`");
    conditions::revision(text).ok_or_else(wrong)
}
