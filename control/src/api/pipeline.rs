//! A service's pipeline: the stages that code passes through.
//!
//! **Owns** showing, setting and running a pipeline. **Must not know** what a promotion does. **Enter at** [`mount`].

use axum::extract::State;
use serde::{Deserialize, Serialize};
use skerry_proto::id::EnvironmentName;
use utoipa::ToSchema;

use super::{
    Deps,
    account::Account,
    auth::{WORKERS_READ, WORKERS_WRITE},
    body::JsonBody,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::ApiError,
    paths,
    promotions::{self, PromotionBody, PromotionsBody, PromotionsView},
    target::Named,
    writer::Writer,
};
use crate::catalog::{Change, Pipeline};

/// The stages of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PipelineView {
    /// In order; empty when anything may be promoted anywhere.
    pub stages: Vec<StageView>,
}

/// One stage.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StageView {
    /// The environment.
    pub environment: String,
    /// The stage that code must come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<String>,
}

/// The stages to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineBody {
    /// At least two, in order; empty removes the pipeline.
    pub stages: Vec<StageBody>,
}

/// One stage to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageBody {
    /// The environment.
    pub environment: String,
    /// Accepted when it is the stage before: the order says it.
    #[serde(default)]
    pub requires: Option<String>,
}

/// A step along the pipeline.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunBody {
    /// The stage whose code moves to the next one.
    pub from: String,
    /// Whether to say what would happen and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Why.
    #[serde(default)]
    pub message: Option<String>,
    /// The version's id or number whose code moves; what is live in `from` when absent. Send the `source_version_id` of a
    /// dry run to move exactly what was shown.
    #[serde(default)]
    pub version: Option<String>,
    /// The next stage's ETag as seen: 412 when it has changed since.
    #[serde(default)]
    pub if_match: Option<String>,
}

impl PipelineView {
    fn of(pipeline: Option<&Pipeline>) -> Self {
        let view = |pipeline: &Pipeline| {
            let stage = |stage: &EnvironmentName| StageView {
                environment: stage.to_string(),
                requires: pipeline.before(stage).map(ToString::to_string),
            };
            pipeline.stages.iter().map(stage).collect()
        };
        Self { stages: pipeline.map(view).unwrap_or_default() }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let path = format!("{}/pipeline", paths::SERVICE);
    let show = Endpoint::get(&path, "getPipeline", "The stages of a service").needs(WORKERS_READ).tag("pipelines");
    endpoints.add(show.answers::<PipelineView>(), show_one);
    let set = Endpoint::put(&path, "putPipeline", "Sets the stages of a service").needs(WORKERS_WRITE);
    endpoints.add(set.tag("pipelines").if_match().takes::<PipelineBody>().answers::<PipelineView>(), put_one);
    let path = format!("{path}/run");
    let run = Endpoint::post(&path, "runPipeline", "Promotes a stage's code to the next stage").needs(WORKERS_WRITE);
    endpoints.add(run.tag("pipelines").repeatable().takes::<RunBody>().answers::<PromotionsView>(), run_one);
}

async fn show_one(named: Named) -> Reply<PipelineView> {
    let view = PipelineView::of(named.service.pipeline.as_ref());
    Ok(Answer::ok(view).with_etag(named.service.revision))
}

async fn put_one(named: Named, writer: Writer, JsonBody(body): JsonBody<PipelineBody>) -> Reply<PipelineView> {
    let mut stages = Vec::with_capacity(body.stages.len());
    for (place, stage) in body.stages.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| &body.stages[place].environment);
        if stage.requires.is_some() && stage.requires.as_ref() != before {
            return Err(ApiError::field(format!("stages[{place}].requires"), "name the stage before, or leave it out"));
        }
        stages.push(EnvironmentName::new(&stage.environment)?);
    }
    let pipeline = (!stages.is_empty()).then_some(Pipeline { stages });
    let view = PipelineView::of(pipeline.as_ref());
    let key = named.service.key.clone();
    let expects = writer.expects_service(&key);
    let account = key.account.clone();
    let applied = writer.propose(&account, expects, vec![Change::SetPipeline { service: key, pipeline }]).await?;
    Ok(Answer::ok(view).changed_at(applied.revision))
}

async fn run_one(
    State(deps): State<Deps>,
    account: Account,
    named: Named,
    writer: Writer,
    JsonBody(body): JsonBody<RunBody>,
) -> Reply<PromotionsView> {
    let from = EnvironmentName::new(&body.from)?;
    let Some(pipeline) = &named.service.pipeline else {
        return Err(ApiError::Conflict("the service has no pipeline; set its stages first".into()));
    };
    let Some(next) = pipeline.stages.iter().find(|stage| pipeline.before(stage) == Some(&from)) else {
        return Err(ApiError::field("from", format!("{from} is not a stage that another one follows")));
    };
    let promotion = PromotionBody {
        service: named.service.key.name.to_string(),
        source: from.to_string(),
        target: next.to_string(),
        version: body.version,
        if_match: body.if_match,
    };
    let body = PromotionsBody {
        promotions: vec![promotion],
        dry_run: body.dry_run,
        skip_pipeline: false,
        message: body.message,
    };
    promotions::carry_out(&deps, &account, &writer, &body).await
}
