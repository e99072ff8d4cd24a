//! Deployments of an environment: which versions are live, and were.
//!
//! **Owns** listing, making and rolling back deployments. **Must not know** uploads. **Enter at** [`mount`].

use std::collections::BTreeMap;

use axum::extract::Request;
use serde::{Deserialize, Serialize};
use skerry_proto::id::DeploymentId;
use utoipa::ToSchema;

use super::{
    auth::{WORKERS_READ, WORKERS_WRITE},
    body::{JsonBody, optional_json},
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::Page,
    params::Params,
    paths,
    query::Query,
    target::Target,
    time::rfc3339,
    versions,
    writer::Writer,
};
use crate::{
    catalog::{Annotations, Applied, Change, Deployment, Environment, NewDeployment, Percentage, Share},
    mint,
};

/// A deployment as Cloudflare shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeploymentView {
    /// A UUID.
    pub id: String,
    /// RFC 3339.
    pub created_on: String,
    /// `wrangler`, `skerry`, `api`, `promote`, ...
    pub source: String,
    /// Always `percentage`.
    pub strategy: &'static str,
    /// Who made it.
    pub author_email: String,
    /// `workers/message`, ...
    pub annotations: BTreeMap<String, String>,
    /// One or two versions whose percentages sum to 100.
    pub versions: Vec<ShareView>,
}

/// One version's part of a deployment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ShareView {
    /// The version.
    pub version_id: String,
    /// 0 to 100.
    pub percentage: f64,
    /// The version's number.
    pub number: u64,
}

/// Deployments, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeploymentList {
    /// One page of them.
    pub deployments: Vec<DeploymentView>,
}

/// A deployment to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDeploymentBody {
    /// `percentage` when given.
    #[serde(default)]
    pub strategy: Option<String>,
    /// One or two versions whose percentages sum to 100.
    pub versions: Vec<ShareBody>,
    /// `workers/message`, ...
    #[serde(default)]
    pub annotations: BTreeMap<String, Option<String>>,
}

/// One version's part of a deployment to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareBody {
    /// The version's id or number.
    pub version_id: String,
    /// 0 to 100.
    pub percentage: f64,
}

/// A rollback.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackBody {
    /// The version's id or number; absent: the version that was live before the one that is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub version: Option<VersionText>,
    /// Why.
    #[serde(default)]
    pub message: Option<String>,
}

/// A version's id as text, or its number as text or number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum VersionText {
    /// An id or number.
    Text(String),
    /// A number.
    Number(u64),
}

impl std::fmt::Display for VersionText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl DeploymentView {
    /// A deployment of this environment.
    pub(crate) fn of(environment: &Environment, deployment: &Deployment) -> Self {
        let share = |share: &Share| ShareView {
            version_id: share.version.to_string(),
            percentage: share.percentage.percent(),
            number: environment.version_numbers.get(&share.version).map_or(0, |number| number.0),
        };
        Self {
            id: deployment.id.to_string(),
            created_on: rfc3339(deployment.created_at_ms),
            source: deployment.source.clone(),
            strategy: "percentage",
            author_email: deployment.author.clone(),
            annotations: deployment.annotations.entries.clone(),
            versions: deployment.shares.iter().map(share).collect(),
        }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/deployments");
    let list = Endpoint::get(&script, "listDeployments", "Deployments of an environment, newest first").also(&service);
    endpoints.add(list.needs(WORKERS_READ).tag("deployments").paged().answers::<DeploymentList>(), list_all);
    let make = Endpoint::post(&script, "createDeployment", "Makes one or two versions live").also(&service);
    let make = make
        .conditional()
        .needs(WORKERS_WRITE)
        .tag("deployments")
        .query("force", "Accepted; nothing is refused without it.");
    endpoints.add(make.takes::<NewDeploymentBody>().answers::<DeploymentView>(), create);
    let [script, service] = paths::environment("/deployments/{deployment}");
    let show = Endpoint::get(&script, "getDeployment", "One deployment").also(&service);
    endpoints.add(show.needs(WORKERS_READ).tag("deployments").answers::<DeploymentView>(), show_one);
    let [script, service] = paths::environment("/rollback");
    let back = Endpoint::post(&script, "rollback", "Makes an earlier version live, with its variables and secrets");
    let back = back.conditional().also(&service).needs(WORKERS_WRITE).tag("deployments");
    endpoints.add(back.takes::<RollbackBody>().answers::<DeploymentView>(), roll_back);
}

async fn list_all(target: Target, page: Page) -> Reply<DeploymentList> {
    let environment = &target.environment;
    let (items, info) = page.cut(&environment.deployments, environment.deployments.len());
    let deployments = items.into_iter().map(|deployment| DeploymentView::of(environment, deployment)).collect();
    Ok(Answer::ok(DeploymentList { deployments }).with_info(info).with_etag(environment.revision))
}

async fn show_one(target: Target, params: Params) -> Reply<DeploymentView> {
    let text = params.text("deployment")?;
    let found = target.environment.deployments.iter().find(|deployment| deployment.id.as_str() == text);
    match found {
        Some(deployment) => Ok(Answer::ok(DeploymentView::of(&target.environment, deployment))),
        None => Err(ApiError::not_found(Thing::Deployment, format!("{text:.80}"))),
    }
}

async fn create(
    target: Target,
    writer: Writer,
    query: Query,
    JsonBody(body): JsonBody<NewDeploymentBody>,
) -> Reply<DeploymentView> {
    query.flag("force")?;
    if body.strategy.as_ref().is_some_and(|strategy| strategy != "percentage") {
        return Err(ApiError::field("strategy", "use percentage"));
    }
    let shares = shares(&target.environment, &body.versions)?;
    let entries = body.annotations.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    deploy(&target, &writer, shares, Annotations { entries }).await
}

fn shares(environment: &Environment, given: &[ShareBody]) -> Result<Vec<Share>, ApiError> {
    if given.is_empty() || given.len() > 2 {
        return Err(ApiError::field("versions", "use one or two versions"));
    }
    let mut shares = Vec::with_capacity(given.len());
    for (place, share) in given.iter().enumerate() {
        let version = versions::find(environment, &share.version_id)?;
        let Some(percentage) = Percentage::from_percent(share.percentage) else {
            return Err(ApiError::field(format!("versions[{place}].percentage"), "use a number from 0 to 100"));
        };
        shares.push(Share { version: version.id.clone(), percentage });
    }
    let sum: u32 = shares.iter().map(|share| share.percentage.hundredths()).sum();
    if sum != Percentage::ALL.hundredths() {
        return Err(ApiError::field(
            "versions",
            format!("the percentages sum to {}, not to 100", f64::from(sum) / 100.0),
        ));
    }
    Ok(shares)
}

async fn roll_back(target: Target, writer: Writer, request: Request) -> Reply<DeploymentView> {
    let body: RollbackBody = optional_json(request).await?;
    let environment = &target.environment;
    let version = match &body.version {
        Some(text) => versions::find(environment, &text.to_string())?.id.clone(),
        None => previous(environment)?,
    };
    let mut annotations = Annotations::of(Annotations::TRIGGERED_BY, "rollback");
    if let Some(message) = body.message {
        annotations.entries.insert(Annotations::MESSAGE.to_owned(), message);
    }
    deploy(&target, &writer, vec![Share::all(version)], annotations).await
}

/// The version of the newest deployment that was whole and of another version than the one that is live alone. Out of a
/// gradual rollout the way back is to what was whole before it, as for wrangler.
fn previous(environment: &Environment) -> Result<skerry_proto::id::VersionId, ApiError> {
    let alone = environment.live().and_then(|live| match live.shares.as_slice() {
        [only] => Some(&only.version),
        _ => None,
    });
    let earlier = environment.deployments.iter().skip(1).find_map(|deployment| match deployment.shares.as_slice() {
        [only] if Some(&only.version) != alone => Some(only.version.clone()),
        _ => None,
    });
    earlier.ok_or_else(|| ApiError::field("version", "there is no earlier version to go back to; name one"))
}

async fn deploy(
    target: &Target,
    writer: &Writer,
    shares: Vec<Share>,
    annotations: Annotations,
) -> Reply<DeploymentView> {
    let deployment =
        NewDeployment { id: mint::deployment_id(), shares, annotations, source: writer.caller.source.to_owned() };
    let change = Change::Deploy { environment: target.key.clone(), deployment };
    let expects = writer.expects(&target.key);
    let applied = writer.propose(&target.key.service.account, expects, vec![change]).await?;
    let view = made(writer, target, &applied)?;
    Ok(Answer::ok(view).changed_at(applied.revision))
}

/// The deployment that a command made, as the catalog has it now.
fn made(writer: &Writer, target: &Target, applied: &Applied) -> Result<DeploymentView, ApiError> {
    let id = applied.deployments.first().map(|made| made.id.clone());
    writer.look(&target.key, |environment| {
        let find = |id: &DeploymentId| environment.deployments.iter().find(|deployment| deployment.id == *id);
        id.as_ref().and_then(find).map(|deployment| DeploymentView::of(environment, deployment))
    })
}
