//! Calls that wrangler knows and we do not offer yet.
//!
//! **Owns** saying so clearly, where an unknown path would only confuse. **Must not know** anything else. **Enter at**
//! [`mount`].

use serde_json::Value;

use super::{
    auth::{WORKERS_READ, WORKERS_WRITE},
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::ApiError,
    paths,
};

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/assets-upload-session");
    let assets = Endpoint::post(&script, "startAssetsUpload", "Static assets: not supported yet").also(&service);
    endpoints.add(assets.needs(WORKERS_WRITE).tag("versions"), assets_upload);
    let [script, service] = paths::environment("/edge-preview");
    let preview = Endpoint::post(&script, "createEdgePreview", "Remote development: not supported").also(&service);
    endpoints.add(preview.needs(WORKERS_WRITE).tag("versions"), edge_preview);
    let objects = "/accounts/{account}/workers/durable_objects/namespaces";
    let list = Endpoint::get(objects, "listObjectNamespaces", "Durable Object namespaces; none yet");
    endpoints.add(list.needs(WORKERS_READ).tag("objects").paged().lists::<Value>(), list_none);
}

async fn assets_upload() -> Reply<()> {
    Err(ApiError::Unsupported("assets: uploading static assets".into()))
}

async fn edge_preview() -> Reply<()> {
    Err(ApiError::Unsupported("remote development; use `skerry dev`: it".into()))
}

async fn list_none() -> Reply<Vec<Value>> {
    Ok(Answer::ok(Vec::new()))
}
