//! Pure. Trace events as people read them.
//!
//! **Owns** the lines of one event. **Must not know** where events come from. **Enter at** [`lines`].
//!
//! The shape is Cloudflare's (workerd's `trace.h`): an event, its logs, its exceptions, its outcome.

use serde_json::Value;

/// The lines of one trace event: what happened, then each log line, then each exception.
pub(crate) fn lines(event: &Value) -> Vec<String> {
    let time = clock(&event["eventTimestamp"]);
    let first = match notice(event) {
        Some(notice) => format!("{time} {notice}"),
        None => format!("{time} {} - {}", what(event), outcome(event)),
    };
    let mut lines = vec![first];
    for log in list(&event["logs"]) {
        let level = log["level"].as_str().unwrap_or("log");
        lines.push(format!("  {} [{level}] {}", clock(&log["timestamp"]), message(&log["message"])));
    }
    for exception in list(&event["exceptions"]) {
        let (name, text) = (exception["name"].as_str().unwrap_or("Error"), exception["message"].as_str().unwrap_or(""));
        lines.push(format!("  {name}: {text}"));
        if let Some(stack) = exception["stack"].as_str() {
            // An engine repeats name and message at the top of the stack.
            let frames = stack.lines().filter(|line| line.trim_start().starts_with("at "));
            lines.extend(frames.map(|line| format!("    {}", line.trim())));
        }
    }
    lines
}

/// What the node itself has to say of the log, as that events were left out (`overload` in control/src/api/tails.rs).
/// Nothing ran, so there is no outcome.
fn notice(event: &Value) -> Option<String> {
    let (kind, text) = (event["event"]["type"].as_str()?, event["event"]["message"].as_str()?);
    Some(format!("{kind}: {text}"))
}

fn what(event: &Value) -> String {
    let inner = &event["event"];
    if let Some(url) = inner["request"]["url"].as_str() {
        let method = inner["request"]["method"].as_str().unwrap_or("GET");
        let status = inner["response"]["status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default();
        return format!("{method} {url}{status}");
    }
    match inner["cron"].as_str() {
        Some(cron) => format!("cron {cron:?}"),
        None => "event".to_owned(),
    }
}

fn outcome(event: &Value) -> String {
    let outcome = event["outcome"].as_str().unwrap_or("unknown");
    let wall = event["wallTime"].as_f64().map(|ms| format!(", {ms} ms")).unwrap_or_default();
    let cpu = event["cpuTime"].as_f64().map(|ms| format!(" ({ms} ms CPU)")).unwrap_or_default();
    format!("{outcome}{wall}{cpu}")
}

/// The arguments of a `console` call: texts as they are, everything else as JSON.
fn message(message: &Value) -> String {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match message {
        Value::Array(parts) => parts.iter().map(one).collect::<Vec<_>>().join(" "),
        other => one(other),
    }
}

fn clock(milliseconds: &Value) -> String {
    let time = milliseconds.as_f64().and_then(|ms| jiff::Timestamp::from_millisecond(ms as i64).ok());
    time.map_or_else(|| "--:--:--".to_owned(), |time| time.strftime("%H:%M:%S%.3f").to_string())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_shows_its_request_its_logs_and_where_it_failed() {
        let event = json!({
            "event": { "request": { "method": "POST", "url": "http://a.localhost/x" }, "response": { "status": 500 } },
            "eventTimestamp": 1_000, "outcome": "exception", "wallTime": 3, "cpuTime": 1,
            "logs": [{ "level": "warn", "message": ["found", { "a": 1 }, 2], "timestamp": 1_001 }],
            "exceptions": [{ "name": "TypeError", "message": "x is not a function", "stack": "TypeError: x\n    at fetch (index.ts:3:5)\n", "timestamp": 1_002 }],
        });
        assert_eq!(
            lines(&event),
            [
                "00:00:01.000 POST http://a.localhost/x 500 - exception, 3 ms (1 ms CPU)",
                "  00:00:01.001 [warn] found {\"a\":1} 2",
                "  TypeError: x is not a function",
                "    at fetch (index.ts:3:5)",
            ]
        );
    }

    #[test]
    fn what_the_node_says_of_the_log_is_shown() {
        let message = "this client is too slow: 3 events were left out";
        let event = json!({
            "outcome": "unknown", "scriptName": null, "logs": [], "exceptions": [], "eventTimestamp": 1_000,
            "event": { "type": "overload", "message": message },
        });
        assert_eq!(lines(&event), [format!("00:00:01.000 overload: {message}")]);
    }

    #[test]
    fn an_event_of_another_shape_still_shows_something() {
        assert_eq!(lines(&json!({}))[0], "--:--:-- event - unknown");
        assert_eq!(
            lines(&json!({ "event": { "cron": "* * * * *" }, "outcome": "ok", "logs": 7 }))[0],
            "--:--:-- cron \"* * * * *\" - ok"
        );
    }
}
