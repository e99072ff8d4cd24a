//! The code of a version, given back.
//!
//! **Owns** the `content` calls. **Must not know** how bundles are stored. **Enter at** [`mount`].

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::{BufMut, BytesMut};
use http::{HeaderValue, header};
use skerry_proto::bundle::Bundle;

use super::{
    Deps,
    auth::WORKERS_READ,
    endpoint::{Endpoint, Endpoints},
    error::{ApiError, Thing},
    paths,
    query::Query,
    target::Target,
    versions,
};
use crate::catalog::{Syntax, Version};

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let version = "A version's id or number; the live one when absent.";
    let [script, service] = paths::environment("/content/v2");
    let all = Endpoint::get(&script, "getContent", "The modules of a version, as a form").also(&service);
    let all = all.needs(WORKERS_READ).tag("versions").query("version", version);
    endpoints.add(all.answers_raw("multipart/form-data"), show_modules);
    let [script, service] = paths::environment("/content");
    let main = Endpoint::get(&script, "getMainModule", "The entry module of a version").also(&service);
    let main = main.also(&paths::environment("")[0]).needs(WORKERS_READ).tag("versions").query("version", version);
    endpoints.add(main.answers_raw("application/javascript"), show_main);
}

async fn bundle_of(deps: &Deps, target: &Target, query: &Query) -> Result<(Version, Bundle), ApiError> {
    let Some(version) = versions::asked_for(&target.environment, query)? else {
        return Err(ApiError::not_found(Thing::Version, format!("of {}, which has none,", target.key)));
    };
    let hash = &version.code.bundle.hash;
    let found = deps.control.bundles().load(hash).await.map_err(|error| ApiError::internal(&error))?;
    let bundle = found.ok_or_else(|| ApiError::Unavailable(format!("bundle {hash} is not on this node")))?;
    Ok((version.clone(), bundle))
}

async fn show_modules(State(deps): State<Deps>, target: Target, query: Query) -> Result<Response, ApiError> {
    let (version, bundle) = bundle_of(&deps, &target, &query).await?;
    if version.code.syntax == Syntax::ServiceWorker {
        return main_module(&bundle);
    }
    let boundary = format!("skerry-{}", version.code.bundle.hash);
    let mut body = BytesMut::new();
    for module in &bundle.modules {
        let name = module.name.replace('"', "%22");
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\
             Content-Type: {}\r\n\r\n",
            module.content_type
        );
        body.put_slice(head.as_bytes());
        body.put_slice(&module.content);
        body.put_slice(b"\r\n");
    }
    body.put_slice(format!("--{boundary}--\r\n").as_bytes());
    let mut response = body.freeze().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header_value(&format!("multipart/form-data; boundary={boundary}")));
    headers.insert("cf-entrypoint", header_value(&bundle.main_module));
    Ok(response)
}

async fn show_main(State(deps): State<Deps>, target: Target, query: Query) -> Result<Response, ApiError> {
    let (_, bundle) = bundle_of(&deps, &target, &query).await?;
    main_module(&bundle)
}

fn main_module(bundle: &Bundle) -> Result<Response, ApiError> {
    let Some(main) = bundle.modules.iter().find(|module| module.name == bundle.main_module) else {
        return Err(ApiError::Unavailable("the bundle has lost its entry module".into()));
    };
    let mut response = main.content.clone().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, header_value(&main.content_type));
    Ok(response)
}

/// A module's name may hold what a header may not; then the header is left empty.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
