//! One event of a worker as a listener sees it, in the shape of Cloudflare's `trace-v1`.
//!
//! **Owns** what is collected about an event and when it is sent. **Must not know** who listens. **Enter at** [`Trace`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use skerry_control::catalog::EnvironmentKey;
use skerry_proto::id::VersionId;
use tokio::sync::broadcast;

use crate::bindings::outbound::{LogLevel, LogRecord};

/// BOUND: lines of one event before its answer; more are dropped and the event is marked as truncated.
const LINES_MAX: usize = 1000;
/// BOUND: bytes of these lines; Cloudflare truncates the logs of an event at 256 KB.
const LINES_BYTES_MAX: usize = 256 << 10;

/// What happened, as far as it is known when it begins.
#[derive(Debug, Clone)]
pub enum EventInfo {
    /// An HTTP request.
    Fetch {
        /// The absolute URL.
        url: String,
        /// The method.
        method: String,
        /// Names and values; what may carry credentials is already replaced.
        headers: Vec<(String, String)>,
        /// `request.cf`, JSON text.
        cf: Option<Arc<str>>,
    },
    /// A cron trigger.
    Scheduled {
        /// The expression that fired.
        cron: String,
        /// Milliseconds since the Unix epoch.
        scheduled_time_ms: i64,
    },
}

/// Whose events and lines they are.
#[derive(Debug, Clone)]
pub struct Source {
    /// The environment.
    pub environment: EnvironmentKey,
    /// Its version.
    pub version: VersionId,
}

/// What is collected about one event for those who listen.
#[derive(Debug)]
pub struct Trace {
    channel: broadcast::Sender<Arc<Value>>,
    source: Source,
    info: EventInfo,
    began_at_ms: i64,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    lines: Vec<LogRecord>,
    bytes: usize,
    dropped: usize,
    outcome: Option<&'static str>,
    status: Option<u16>,
    wall_ms: u64,
}

impl Trace {
    /// Begins an event.
    #[must_use]
    pub fn new(channel: broadcast::Sender<Arc<Value>>, source: Source, info: EventInfo, began_at_ms: i64) -> Self {
        Self { channel, source, info, began_at_ms, progress: Mutex::default() }
    }

    /// Adds a line; sends it at once when the event has been sent already. An exception beside the answer, as of a body
    /// that breaks, is the event's outcome from then on.
    pub fn log(&self, record: LogRecord) {
        let mut progress = self.lock();
        if progress.outcome.is_some() {
            if record.level == LogLevel::Exception && progress.outcome == Some("ok") {
                progress.outcome = Some("exception");
            }
            let wall_ms = self.since_begin_ms(record.at_ms);
            let late = Progress { lines: vec![record], wall_ms, dropped: 0, ..*progress };
            drop(progress);
            return self.send(&late);
        }
        let bytes = progress.bytes + record.message.len() + record.position.as_ref().map_or(0, String::len);
        if progress.lines.len() < LINES_MAX && bytes <= LINES_BYTES_MAX {
            progress.bytes = bytes;
            progress.lines.push(record);
        } else {
            progress.dropped += 1;
        }
    }

    /// The event has its answer: sends what there is. `outcome` is one of Cloudflare's words: `ok`, `exception`,
    /// `exceededCpu`, `exceededMemory`, `exceededWallTime`, `scriptNotFound`, `canceled`, `unknown`.
    pub fn answered(&self, outcome: &'static str, status: Option<u16>, now_ms: i64) {
        let mut progress = self.lock();
        if progress.outcome.is_none() {
            // A body may break before anybody hears of its head.
            let failed = progress.lines.iter().any(|line| line.level == LogLevel::Exception);
            let outcome = if failed && outcome == "ok" { "exception" } else { outcome };
            progress.outcome = Some(outcome);
            progress.status = status;
            progress.wall_ms = self.since_begin_ms(now_ms);
            let sent = std::mem::take(&mut progress.lines);
            let first = Progress { lines: sent, outcome: Some(outcome), ..*progress };
            drop(progress);
            self.send(&first);
        }
    }

    fn since_begin_ms(&self, now_ms: i64) -> u64 {
        u64::try_from(now_ms - self.began_at_ms).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        // Each change is a single assignment or push, so a panic leaves it whole.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, progress: &Progress) {
        let item = item(&self.source, progress, self.began_at_ms, self.event(progress.status));
        // Fails only when the last listener has just left.
        let _nobody = self.channel.send(Arc::new(item));
    }

    fn event(&self, status: Option<u16>) -> Value {
        match &self.info {
            EventInfo::Fetch { url, method, headers, cf } => {
                let headers: serde_json::Map<String, Value> =
                    headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
                let cf = cf.as_deref().and_then(|cf| serde_json::from_str::<Value>(cf).ok());
                json!({
                    "request": { "url": url, "method": method, "headers": headers, "cf": cf },
                    "response": status.map(|status| json!({ "status": status })),
                })
            }
            EventInfo::Scheduled { cron, scheduled_time_ms } => {
                json!({ "cron": cron, "scheduledTime": scheduled_time_ms })
            }
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // The caller went away before there was an answer.
        let unanswered = self.lock().outcome.is_none();
        if unanswered {
            self.answered("canceled", None, self.began_at_ms);
        }
    }
}

/// Sends a line that belongs to no event: an item whose `event` is null.
pub fn send_line(channel: &broadcast::Sender<Arc<Value>>, source: &Source, line: &LogRecord) {
    let outcome = if line.level == LogLevel::Exception { "exception" } else { "ok" };
    let progress = Progress { lines: vec![line.clone()], outcome: Some(outcome), ..Progress::default() };
    // Fails only when the last listener has just left.
    let _nobody = channel.send(Arc::new(item(source, &progress, line.at_ms, Value::Null)));
}

fn item(source: &Source, progress: &Progress, began_at_ms: i64, event: Value) -> Value {
    let (exceptions, logs): (Vec<_>, Vec<_>) =
        progress.lines.iter().partition(|line| line.level == LogLevel::Exception);
    json!({
        "outcome": progress.outcome.unwrap_or("unknown"),
        "scriptName": source.environment.service.name.as_str(),
        "scriptVersion": { "id": source.version.as_str() },
        "environment": source.environment.environment.as_str(),
        "entrypoint": Value::Null,
        "executionModel": "stateless",
        "diagnosticsChannelEvents": [],
        "exceptions": exceptions.iter().map(|line| exception(line)).collect::<Vec<_>>(),
        "logs": logs.iter().map(|line| log(line)).collect::<Vec<_>>(),
        "eventTimestamp": began_at_ms,
        "wallTime": progress.wall_ms,
        "truncated": progress.dropped > 0,
        "event": event,
    })
}

fn exception(line: &LogRecord) -> Value {
    let text = line.message.strip_prefix("Uncaught ").unwrap_or(&line.message);
    let (name, message) = text.split_once(": ").unwrap_or(("Error", text));
    json!({ "name": name, "message": message, "stack": line.position, "timestamp": line.at_ms })
}

fn log(line: &LogRecord) -> Value {
    json!({ "message": [line.message], "level": level(line.level), "timestamp": line.at_ms })
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Log => "log",
        LogLevel::Warn => "warn",
        LogLevel::Error | LogLevel::Exception => "error",
    }
}

#[cfg(test)]
mod tests {
    use skerry_control::catalog::ServiceKey;
    use skerry_proto::id::{AccountId, ServiceName};

    use super::*;

    fn source() -> Source {
        let account = AccountId::new(&"a".repeat(32)).unwrap();
        let environment = ServiceKey { account, name: ServiceName::new("app").unwrap() }.production();
        Source { environment, version: VersionId::new("1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b").unwrap() }
    }

    fn trace(channel: broadcast::Sender<Arc<Value>>) -> Trace {
        let info = EventInfo::Fetch { url: "https://a/".into(), method: "GET".into(), headers: Vec::new(), cf: None };
        Trace::new(channel, source(), info, 1000)
    }

    fn line(level: LogLevel, message: &str) -> LogRecord {
        LogRecord { level, message: message.into(), position: None, at_ms: 1001 }
    }

    #[test]
    fn an_event_is_sent_once_with_its_lines_and_later_lines_follow() {
        let (channel, mut heard) = broadcast::channel(8);
        let trace = trace(channel);
        trace.log(line(LogLevel::Log, "one"));
        trace.log(line(LogLevel::Exception, "TypeError: no"));
        trace.answered("exception", Some(500), 1005);
        trace.log(line(LogLevel::Log, "late"));
        drop(trace);
        let first = heard.try_recv().unwrap();
        assert_eq!(first["logs"][0]["message"][0], "one");
        assert_eq!(first["exceptions"][0]["name"], "TypeError");
        assert_eq!((&first["outcome"], &first["event"]["response"]["status"]), (&json!("exception"), &json!(500)));
        assert_eq!(first["wallTime"], 5);
        let late = heard.try_recv().unwrap();
        assert_eq!((&late["logs"][0]["message"][0], &late["wallTime"]), (&json!("late"), &json!(1)));
        assert!(heard.try_recv().is_err());
    }

    #[test]
    fn an_event_that_fails_after_its_answer_is_an_exception_from_then_on() {
        let (channel, mut heard) = broadcast::channel(8);
        let trace = trace(channel);
        trace.answered("ok", Some(200), 1000);
        trace.log(line(LogLevel::Exception, "Error: half way"));
        trace.log(line(LogLevel::Log, "later"));
        let outcomes: Vec<Value> = (0..3).map(|_| heard.try_recv().unwrap()["outcome"].clone()).collect();
        assert_eq!(outcomes, ["ok", "exception", "exception"]);
        let early = self::trace(trace.channel.clone());
        early.log(line(LogLevel::Exception, "Error: half way"));
        early.answered("ok", Some(200), 1000);
        assert_eq!(heard.try_recv().unwrap()["outcome"], "exception");
    }

    #[test]
    fn an_event_with_too_much_to_say_is_truncated() {
        let (channel, mut heard) = broadcast::channel(8);
        let trace = trace(channel);
        let long = "x".repeat(16 << 10);
        for _ in 0..20 {
            trace.log(line(LogLevel::Log, &long));
        }
        trace.answered("ok", Some(200), 1005);
        let event = heard.try_recv().unwrap();
        assert_eq!((event["logs"].as_array().unwrap().len(), &event["truncated"]), (16, &json!(true)));
    }

    #[test]
    fn a_line_of_no_event_is_sent_without_one() {
        let (channel, mut heard) = broadcast::channel(8);
        send_line(&channel, &source(), &line(LogLevel::Log, "one"));
        send_line(&channel, &source(), &line(LogLevel::Exception, "RangeError: two"));
        let (first, second) = (heard.try_recv().unwrap(), heard.try_recv().unwrap());
        assert_eq!((&first["event"], &first["outcome"]), (&Value::Null, &json!("ok")));
        assert_eq!((&first["logs"][0]["message"][0], &first["scriptName"]), (&json!("one"), &json!("app")));
        assert_eq!((&second["exceptions"][0]["name"], &second["outcome"]), (&json!("RangeError"), &json!("exception")));
    }

    #[test]
    fn an_event_nobody_waited_for_is_sent_as_canceled() {
        let (channel, mut heard) = broadcast::channel(8);
        drop(trace(channel));
        assert_eq!(heard.try_recv().unwrap()["outcome"], "canceled");
    }
}
