//! What differs between two environments.
//!
//! **Owns** the form in which differences are shown. **Must not know** how they are found. **Enter at** [`mount`] and
//! [`DiffView`].

use serde::Serialize;
use skerry_proto::id::EnvironmentName;
use utoipa::ToSchema;

use super::{
    auth::WORKERS_READ,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    paths,
    query::Query,
    target::Target,
};
use crate::catalog::{Catalog, Difference, EnvironmentDiff, EnvironmentKey, Side, diff};

/// What differs between two environments, or between an environment and what it would become.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiffView {
    /// The left side, `service/environment`.
    pub source: String,
    /// The right side.
    pub target: String,
    /// The left side's live version.
    pub source_version: Option<String>,
    /// The right side's live version.
    pub target_version: Option<String>,
    /// What a promotion from left to right would change.
    pub code: Vec<DifferenceView>,
    /// Effective bindings and limits.
    pub config: Vec<DifferenceView>,
    /// Crons, exposure, routes and domains.
    pub triggers: Vec<DifferenceView>,
    /// Whether nothing differs.
    pub identical: bool,
}

/// One field with its two values; of a secret only that it is there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DifferenceView {
    /// `bundle`, `bindings.API_URL`, `limits.cpu_ms`, ...
    pub field: String,
    /// `added` (only right), `removed` (only left) or `changed`.
    pub change: &'static str,
    /// On the left.
    pub source: Option<SideView>,
    /// On the right.
    pub target: Option<SideView>,
}

/// A value as shown to people.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SideView {
    /// The value.
    pub value: String,
    /// The environment it is inherited from; absent when it is its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<String>,
}

impl DiffView {
    /// What differs between `left` and `right` in this catalog.
    pub(crate) fn between(catalog: &Catalog, left: &EnvironmentKey, right: &EnvironmentKey) -> Result<Self, ApiError> {
        Ok(Self::of(left, right, diff(catalog, left, right)?))
    }

    fn of(left: &EnvironmentKey, right: &EnvironmentKey, found: EnvironmentDiff) -> Self {
        let identical = found.is_empty();
        let views = |list: Vec<Difference>| list.into_iter().map(DifferenceView::of).collect();
        Self {
            source: left.to_string(),
            target: right.to_string(),
            source_version: found.left.map(|version| version.to_string()),
            target_version: found.right.map(|version| version.to_string()),
            code: views(found.code),
            config: views(found.config),
            triggers: views(found.triggers),
            identical,
        }
    }
}

impl DifferenceView {
    /// One difference.
    pub(crate) fn of(difference: Difference) -> Self {
        let side = |side: Side| SideView {
            value: side.value,
            inherited_from: side.inherited_from.map(|from| from.to_string()),
        };
        let change = match (&difference.left, &difference.right) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        Self { field: difference.field, change, source: difference.left.map(side), target: difference.right.map(side) }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/diff");
    let show = Endpoint::get(&script, "diffEnvironments", "What differs between two environments of a service");
    let show = show.also(&service).needs(WORKERS_READ).tag("environments");
    endpoints.add(show.query("against", "The other environment.").answers::<DiffView>(), show_diff);
}

async fn show_diff(target: Target, query: Query) -> Reply<DiffView> {
    let Some(other) = query.text("against") else {
        return Err(ApiError::field("against", "is missing; name the environment to compare with"));
    };
    let other = target.key.service.environment(EnvironmentName::new(other)?);
    if target.catalog.environment(&other).is_none() {
        return Err(ApiError::not_found(Thing::Environment, &other));
    }
    Ok(Answer::ok(DiffView::between(&target.catalog, &target.key, &other)?))
}
