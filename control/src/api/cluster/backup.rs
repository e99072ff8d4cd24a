//! A backup of the running cluster.
//!
//! **Owns** that it holds everything that was acknowledged when it was asked for, and who may have it. **Must not know** what
//! is in it. **Enter at** [`mount`].
//!
//! Whoever asks any node gets the file from that node: it first learns from the leader, which asks a quorum, what the newest
//! revision is, and waits until it has that. A token that only looks at the cluster is not enough, because the file holds the
//! code of every account.

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use http::{HeaderValue, header, request::Parts};
use serde::Serialize;
use skerry_proto::id::Revision;
use utoipa::ToSchema;

use super::Operator;
use crate::{
    api::{
        Deps,
        auth::{CLUSTER_READ, CLUSTER_WRITE},
        carry,
        endpoint::{Endpoint, Endpoints},
        envelope::{Answer, Reply},
        error::ApiError,
    },
    backup::BackupError,
};

const REVISION: &str = "/cluster/revision";

/// The newest revision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewestRevision {
    /// Everything that was acknowledged before the call is in it.
    pub revision: u64,
}

/// Adds the calls.
pub(super) fn mount(endpoints: &mut Endpoints) {
    let newest = Endpoint::get(REVISION, "getNewestRevision", "The newest revision, confirmed by a quorum").on_leader();
    endpoints.add(newest.needs(CLUSTER_READ).tag("cluster").answers::<NewestRevision>(), show_newest);
    let backup = Endpoint::get("/cluster/backup", "getBackup", "The whole catalog and all code, at one revision");
    let backup = backup.needs(CLUSTER_WRITE).tag("cluster").answers_raw("application/octet-stream");
    endpoints.add(backup, download);
}

async fn show_newest(State(deps): State<Deps>, _: Operator) -> Reply<NewestRevision> {
    let revision = deps.control.confirm().await.ok_or_else(no_quorum)?;
    Ok(Answer::ok(NewestRevision { revision: revision.0 }).at(revision))
}

fn no_quorum() -> ApiError {
    let why = "a majority of the voters has to say what is newest; without one, back up a stopped node with \
               `skerry-node backup`";
    ApiError::Unavailable(why.into())
}

async fn download(State(deps): State<Deps>, _: Operator, request: Request) -> Result<Response, ApiError> {
    let turn = deps.turn().await?;
    let newest = newest(&deps, &request.into_parts().0).await?;
    carry::until_shown(&deps.control, newest).await?;
    let backup = deps.control.backup().await?;
    let (size_bytes, revision) = (backup.manifest().file_bytes(), backup.manifest().revision);
    tracing::info!(%revision, size_bytes, "a backup is read");
    let stream = Box::pin(backup.into_stream()).map(move |piece| {
        // The turn ends with the stream.
        let _turn = &turn;
        piece
    });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size_bytes));
    Ok(response)
}

/// The newest revision, from whoever leads.
async fn newest(deps: &Deps, request: &Parts) -> Result<Revision, ApiError> {
    if let Some(revision) = deps.control.confirm().await {
        return Ok(revision);
    }
    let response = carry::ask_leader(&deps.control, &format!("/client/v4{REVISION}"), request).await?;
    let revision = response.filter(|response| response.status().is_success());
    let revision = revision.and_then(|response| carry::revision_of(&response));
    revision.ok_or_else(no_quorum)
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Missing { .. } | BackupError::Bundle { .. } => Self::Conflict(error.to_string()),
            error => Self::internal(&error),
        }
    }
}
