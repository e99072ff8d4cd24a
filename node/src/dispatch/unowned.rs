//! The door of what a worker does on behalf of no event.
//!
//! **Owns** where lines go that its top-level scope logs, or code that goes on after its event. **Must not know** events.
//! **Enter at** [`context`]. Nothing else leaves by it: the runtime refuses operations that belong to no event.

use std::sync::Arc;

use super::{
    Dispatch,
    door::{environment_of, write_line},
};
use crate::{
    bindings::{
        lines_only::LinesOnly,
        outbound::{CallContext, LogRecord},
    },
    tails::{self, Source},
    worker::WorkerKey,
};

const NO_EVENT: &str = "Cannot perform I/O on behalf of no request.";

/// For an isolate of `worker`.
pub(super) fn context(dispatch: &Dispatch, worker: WorkerKey) -> CallContext {
    let dispatch = dispatch.clone();
    let log = move |cx: &CallContext, record: LogRecord| {
        let deps = &dispatch.inner.deps;
        deps.metrics.worker_lines.inc();
        write_line(&cx.request_id, &cx.worker, &record);
        let environment = environment_of(&cx.worker);
        if let Some(channel) = deps.tails.channel(&environment) {
            tails::send_line(&channel, &Source { environment, version: cx.worker.version.clone() }, &record);
        }
    };
    CallContext {
        request_id: Arc::default(),
        worker,
        depth: 0,
        invocations: Arc::default(),
        subrequests: Arc::default(),
        version_overrides: None,
        outbound: Arc::new(LinesOnly { refusal: NO_EVENT, log }),
    }
}
