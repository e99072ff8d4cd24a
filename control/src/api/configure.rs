//! A change of configuration: a new version with the code of the live one, deployed at once. Where no version is live, with
//! the code of the latest one, and not deployed: nobody said that its code shall be live.
//!
//! **Owns** how variables and secrets become one command. **Must not know** which call asked. **Enter at**
//! [`Configuration`].

use super::{envelope::Answer, error::ApiError, query::Query, target::Target, writer::Writer};
use crate::{
    catalog::{Annotations, Applied, Base, Change, ConfigEdit, Expectation, Rejection, WhenShared},
    mint,
};

/// BOUND: how often a change is planned because another one came first. Of those that meet, one gets through each time; what
/// sets the secrets of a service one by one sends about ten at once.
const ATTEMPTS_MAX: usize = 32;

/// What the query parameter `force` means to a change of configuration.
pub(crate) const FORCE: &str = "Whether to go ahead while two versions are live: the gradual rollout ends.";

/// What to change on top of the live version. Before the first version the edits wait for it.
#[derive(Debug)]
pub(crate) struct Configuration<'a> {
    /// In order.
    pub edits: Vec<ConfigEdit>,
    /// `secret`, `variable`.
    pub triggered_by: &'a str,
    /// A sentence for the history.
    pub message: &'a str,
    /// Whether a gradual rollout may end with it.
    pub shared: WhenShared,
}

/// What `force` says.
pub(crate) fn when_shared(query: &Query) -> Result<WhenShared, ApiError> {
    Ok(if query.flag("force")? { WhenShared::Replace } else { WhenShared::Refuse })
}

/// What the change of `target` relies on, besides what the caller says. A first deployment that comes in between would leave a
/// change behind that is not live.
pub(crate) fn expects(target: &Target) -> Option<Expectation> {
    let nothing = Expectation::Live { environment: target.key.clone(), version: None };
    target.environment.live().is_none().then_some(nothing)
}

/// Proposes what `plan` makes of an environment, provided that it still is as `plan` saw it: the catalog does not check again
/// what was checked there. When another change came first it is planned anew, unless the caller has said what it relies on.
/// `None`: there was nothing to change.
pub(crate) async fn propose_as_seen(
    writer: &Writer,
    target: &Target,
    plan: impl Fn(&Target) -> Result<Vec<Change>, ApiError>,
) -> Result<Option<Applied>, ApiError> {
    let asked = writer.expects(&target.key);
    let mut seen = target.clone();
    let mut attempts = 1;
    loop {
        let changes = plan(&seen)?;
        if changes.is_empty() {
            return Ok(None);
        }
        let (environment, revision) = (seen.key.clone(), seen.environment.revision);
        let mut expects = asked.clone();
        expects.push(Expectation::Unchanged { environment, revision });
        let outcome = writer.propose(&seen.key.service.account, expects, changes).await;
        let came_late = matches!(outcome, Err(ApiError::Rejected(Rejection::Stale { .. })));
        if !came_late || !writer.may_look_again() || attempts == ATTEMPTS_MAX {
            return outcome.map(Some);
        }
        // What has gone meanwhile is as stale as what has changed.
        let Ok(newer) = writer.again(seen) else { return outcome.map(Some) };
        seen = newer;
        attempts += 1;
    }
}

/// The answer to a change, if there was one; it says so when the change is not live.
pub(crate) fn answer<T>(result: T, applied: Option<&Applied>) -> Answer<T> {
    let Some(applied) = applied else { return Answer::ok(result) };
    let answer = Answer::ok(result).changed_at(applied.revision);
    match applied.versions.first().filter(|_| applied.deployments.is_empty()) {
        Some(made) => {
            let (environment, number) = (&made.environment, made.number.0);
            let remark = format!("Nothing is deployed in {environment}: version {number} has the change, deploy it.");
            answer.with_message(remark)
        }
        None => answer,
    }
}

impl Configuration<'_> {
    /// As a change of `target`.
    pub(crate) fn change(self, writer: &Writer, target: &Target) -> Change {
        let mut annotations = Annotations::of(Annotations::TRIGGERED_BY, self.triggered_by);
        annotations.entries.insert(Annotations::MESSAGE.to_owned(), self.message.to_owned());
        Change::Configure {
            environment: target.key.clone(),
            base: Base::Live,
            edits: self.edits,
            version: mint::version_id(),
            deployment: target.environment.live().is_some().then(mint::deployment_id),
            shared: self.shared,
            annotations,
            source: writer.caller.source.to_owned(),
        }
    }

    /// Proposes the change.
    pub(crate) async fn propose(self, writer: &Writer, target: &Target) -> Result<Applied, ApiError> {
        let change = self.change(writer, target);
        let expects = writer.expects(&target.key).into_iter().chain(expects(target)).collect();
        writer.propose(&target.key.service.account, expects, vec![change]).await
    }
}
