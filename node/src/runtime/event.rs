//! Events as frames: what the host tells a guest (`js/OPS.md`, "Events").
//!
//! **Owns** their encoding. **Must not know** when they are sent. **Enter at** the function of an event.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::{Request, Uri, Version, header, uri::PathAndQuery};

use super::{
    frame::Writer,
    limits,
    ops::{Ops, body::Incoming, headers, pending::Done},
    worker::{Body, EnvValue, ModuleKind, RequestCf, ServiceTarget, Syntax, WorkerSpec},
};
use crate::bindings::outbound::SocketMessage;

const FETCH: i32 = 1;
const SCHEDULED: i32 = 2;
const COMPLETE: i32 = 3;
const CANCEL: i32 = 4;
const SOCKET: i32 = 5;
const END: i32 = 6;

const SOCKET_TEXT: i32 = 0;
const SOCKET_BINARY: i32 = 1;
const SOCKET_CLOSE: i32 = 2;
const SOCKET_ERROR: i32 = 3;

/// The only frame of `sk_load`.
pub(crate) fn load(out: &mut Writer, worker: &WorkerSpec, seed: f64, internal_modules: bool) {
    let flags = &worker.compatibility.flags;
    out.list(2).text(&worker.compatibility.date).list(flags.len());
    for flag in flags {
        out.text(flag);
    }
    out.list(worker.env.len());
    for (name, value) in &worker.env {
        env(out, name, value);
    }
    out.number(seed).bool(internal_modules).text(&worker.code.main_module);
    let modules: Vec<_> = worker.code.modules.iter().filter(|module| module.kind != ModuleKind::SourceMap).collect();
    out.list(modules.len());
    for module in modules {
        let is_main = module.name == worker.code.main_module;
        let kind = match module.kind {
            ModuleKind::EsModule if is_main && worker.code.syntax == Syntax::ServiceWorker => "script",
            ModuleKind::EsModule => "esm",
            ModuleKind::Text => "text",
            ModuleKind::Json => "json",
            ModuleKind::Data | ModuleKind::Wasm | ModuleKind::Component | ModuleKind::SourceMap => "data",
        };
        out.list(3).text(&module.name).text(kind).bytes(&module.bytes);
    }
}

fn env(out: &mut Writer, name: &str, value: &EnvValue) {
    match value {
        EnvValue::Text(text) => out.list(3).text(name).text("text").text(text),
        EnvValue::Json(json) => out.list(3).text(name).text("json").text(json),
        EnvValue::Secret(secret) => out.list(3).text(name).text("secret").text(secret),
        EnvValue::Kv(_) => out.list(2).text(name).text("kv"),
        EnvValue::Service(target) => out.list(3).text(name).text("service").optional_text(target.entrypoint.as_deref()),
        EnvValue::VersionMetadata { id, tag, timestamp } => {
            out.list(5).text(name).text("version").text(id.as_str()).text(tag).text(timestamp)
        }
    };
}

/// FETCH
pub(crate) fn fetch(out: &mut Writer, ops: &mut Ops, id: i32, request: Request<Body>) {
    let (parts, body) = request.into_parts();
    out.list(1).list(9).int(FETCH).int(id).text(parts.method.as_str());
    url(out, &parts.uri);
    // HTTP/2 has the host in the URI only; handlers look for the header.
    let host = match (parts.headers.contains_key(header::HOST), parts.version, parts.uri.authority()) {
        (false, Version::HTTP_2 | Version::HTTP_11, Some(authority)) => Some(authority.as_str()),
        _ => None,
    };
    headers::write(out, host, &parts.headers);
    match arrived(body) {
        Arrived::Nothing => out.undefined(),
        Arrived::Whole(bytes) => out.bytes(&bytes),
        Arrived::Stream(incoming) => out.int(ops.bodies.insert_incoming(id, incoming)),
    };
    out.optional_text(parts.extensions.get::<RequestCf>().map(|cf| &*cf.0));
    match parts.extensions.get::<Arc<ServiceTarget>>().filter(|to| to.entrypoint.is_some() || to.props.is_some()) {
        Some(target) => out.text(&meta(target)),
        None => out.undefined(),
    };
    out.number(ops.now_ms);
}

fn url(out: &mut Writer, uri: &Uri) {
    let path = uri.path_and_query().map(PathAndQuery::as_str).filter(|path| path.starts_with('/'));
    let (Some(scheme), Some(authority), Some(path)) = (uri.scheme_str(), uri.authority(), path) else {
        out.text(&uri.to_string());
        return;
    };
    let mut text = out.open_text();
    for part in [scheme, "://", authority.as_str(), path] {
        text.push_text(part);
    }
}

/// `{ entrypoint, props }` as JSON; `props` is JSON already.
fn meta(target: &ServiceTarget) -> String {
    let entrypoint = serde_json::Value::from(target.entrypoint.as_deref());
    format!("{{\"entrypoint\":{entrypoint},\"props\":{}}}", target.props.as_deref().unwrap_or("null"))
}

/// SCHEDULED
pub(crate) fn scheduled(out: &mut Writer, ops: &Ops, id: i32, cron: &str, scheduled_time_ms: i64) {
    out.list(1).list(5).int(SCHEDULED).int(id).text(cron).number(scheduled_time_ms as f64).number(ops.now_ms);
}

/// COMPLETE
pub(crate) fn complete(out: &mut Writer, ops: &mut Ops, op: i32, request: i32, done: Done) {
    out.list(1).list(4).int(COMPLETE).int(op);
    ops.describe(request, done, out);
    out.number(ops.now_ms);
}

/// CANCEL
pub(crate) fn cancel(out: &mut Writer, id: i32) {
    out.list(1).list(2).int(CANCEL).int(id);
}

/// END, one for each event.
pub(crate) fn ended(out: &mut Writer, ids: &[i32]) {
    out.list(ids.len());
    for id in ids {
        out.list(2).int(END).int(*id);
    }
}

/// SOCKET; `None` when the socket ended without a close.
pub(crate) fn socket(out: &mut Writer, id: i32, message: Option<&SocketMessage>) {
    out.list(1).list(4).int(SOCKET).int(id);
    match message {
        Some(SocketMessage::Text(text)) => out.int(SOCKET_TEXT).text(text),
        Some(SocketMessage::Binary(bytes)) => out.int(SOCKET_BINARY).bytes(bytes),
        Some(SocketMessage::Close { code, reason }) => out.int(SOCKET_CLOSE).list(2).int(i32::from(*code)).text(reason),
        None => out.int(SOCKET_ERROR).list(2).int(1006).text(""),
    };
}

enum Arrived {
    Nothing,
    Whole(Bytes),
    Stream(Incoming),
}

/// Takes a small body that has arrived already as a whole, which saves the guest a read.
fn arrived(mut body: Body) -> Arrived {
    use http_body::Body as _;
    if body.is_end_stream() {
        return Arrived::Nothing;
    }
    let small = body.size_hint().exact().is_some_and(|size| size <= limits::BODY_INLINE_BYTES_MAX as u64);
    if !small {
        return Arrived::Stream(Incoming::new(body, Bytes::new()));
    }
    let mut whole = BytesMut::new();
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match std::pin::Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => whole.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Poll::Ready(None) => return Arrived::Whole(whole.freeze()),
            Poll::Ready(Some(Err(error))) => return Arrived::Stream(Incoming::broken(whole.freeze(), error)),
            Poll::Pending => return Arrived::Stream(Incoming::new(body, whole.freeze())),
        }
    }
}
