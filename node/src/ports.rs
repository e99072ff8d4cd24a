//! What the API asks of the data plane.
//!
//! **Owns** the implementations of [`skerry_control::api::ports`]. **Must not know** the API's calls. **Enter at**
//! [`LiveTails`], [`UploadValidator`] and [`WallClock`].

use std::{sync::Arc, time::Duration};

use skerry_control::{
    api::ports::{Clock, Tails as TailsPort, ValidateError, ValidateInput, Validated, Validator},
    catalog::{Binding, EnvironmentKey},
};
use skerry_proto::id::{Revision, VersionId};
use tokio::sync::broadcast;

use crate::{
    bindings::{
        lines_only::LinesOnly,
        outbound::{CallContext, LogRecord},
    },
    clock,
    dispatch::spec,
    runtime::Runtime,
    tails::Tails,
    worker::{Compatibility, EnvValue, LoadError, PrepareError, WorkerKey, WorkerSpec},
};

/// The version of what is not a version yet.
const CANDIDATE: &str = "00000000-0000-4000-8000-000000000000";

/// Live logs for the API.
#[derive(Debug)]
pub struct LiveTails(pub Arc<Tails>);

impl TailsPort for LiveTails {
    fn subscribe(&self, environment: &EnvironmentKey) -> broadcast::Receiver<Arc<serde_json::Value>> {
        self.0.subscribe(environment)
    }
}

/// The machine's clock for the API.
#[derive(Debug)]
pub struct WallClock;

impl Clock for WallClock {
    fn now_ms(&self) -> i64 {
        clock::unix_ms()
    }
}

/// Tries uploads out in throw-away isolates that can reach nothing.
pub struct UploadValidator(pub Runtime);

#[async_trait::async_trait]
impl Validator for UploadValidator {
    async fn validate(&self, input: ValidateInput<'_>) -> Result<Validated, ValidateError> {
        let worker = Arc::new(candidate(&input));
        let context = CallContext {
            request_id: Arc::from("00000000000000000000000000000000"),
            worker: worker.key.clone(),
            depth: 0,
            invocations: Arc::default(),
            subrequests: Arc::default(),
            version_overrides: None,
            outbound: Arc::new(LinesOnly { refusal: NOT_AT_STARTUP, log }),
        };
        let found = self.0.validate(&worker, context).await.map_err(refused)?;
        Ok(Validated { handlers: found.handlers, startup_ms: whole_ms(found.startup) })
    }
}

/// The code's own fault, or this node's.
fn refused(error: PrepareError) -> ValidateError {
    match error {
        PrepareError::Code(LoadError { message, file, line, column }) => {
            ValidateError::Code { message, file, line, column }
        }
        error @ (PrepareError::Busy(_) | PrepareError::Failed(_)) => ValidateError::Unavailable(error.to_string()),
    }
}

fn whole_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// The upload as the runtime takes it. Secrets stay sealed: the top-level scope sees an empty text.
fn candidate(input: &ValidateInput<'_>) -> WorkerSpec {
    let version = VersionId::new(CANDIDATE).expect("the candidate's id is a UUID");
    let env = input.bindings.bindings.iter().filter_map(|(name, entry)| {
        let value = match &entry.binding {
            Binding::PlainText(text) => EnvValue::Text(text.clone()),
            Binding::Json(json) => EnvValue::Json(json.clone()),
            Binding::Secret(_) => EnvValue::Secret(String::new()),
            Binding::KvNamespace(namespace) => EnvValue::Kv(namespace.clone()),
            Binding::Service(target) => spec::service(name, target),
            Binding::VersionMetadata => {
                EnvValue::VersionMetadata { id: version.clone(), tag: String::new(), timestamp: String::new() }
            }
            Binding::DurableObjectNamespace(_) => return None,
        };
        Some((name.clone(), value))
    });
    WorkerSpec {
        key: WorkerKey {
            account: input.environment.service.account.clone(),
            service: input.environment.service.name.clone(),
            environment: input.environment.environment.clone(),
            version: version.clone(),
            config_revision: Revision::default(),
        },
        code: Arc::new(spec::code(input.bundle, input.syntax, &input.bundle.main_module)),
        env: env.collect(),
        limits: spec::limits(&input.bindings.limits),
        compatibility: Compatibility {
            date: input.compatibility_date.to_owned(),
            flags: input.compatibility_flags.to_vec(),
        },
    }
}

/// What code learns that reaches out of its top-level scope; Cloudflare's words.
const NOT_AT_STARTUP: &str = "Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or connect()), setting a timeout, and generating random values are not allowed within global scope.";

/// A line of code that is only tried out.
fn log(cx: &CallContext, record: LogRecord) {
    tracing::debug!(target: "worker", service = %cx.worker.service, "at upload: {}", record.message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_lacks_is_not_the_uploaders_fault() {
        for own in [PrepareError::Busy("no place"), PrepareError::Failed("a panic".to_owned())] {
            assert!(matches!(refused(own), ValidateError::Unavailable(_)));
        }
        let theirs =
            LoadError { message: "SyntaxError".into(), file: Some("a.js".into()), line: Some(1), column: None };
        let refused = refused(PrepareError::Code(theirs));
        assert!(matches!(refused, ValidateError::Code { line: Some(1), .. }), "{refused:?}");
    }
}
