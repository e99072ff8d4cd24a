//! `skerry tail`
//!
//! **Owns** following an environment's log. **Must not know** how events are recorded. **Enter at** [`run`].

#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;

use crate::client::path::EnvironmentPath;
use crate::client::{Call, ClientError, Socket, model};
use crate::context::Context;
use crate::signals::Signals;
use crate::trace;

/// The subprotocol of a tail's WebSocket, Cloudflare's.
const PROTOCOL: &str = "trace-v1";
/// BOUND: a node that restarts is back within this; each pause is longer than the last.
const MAX_PAUSE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// BOUND: a node answers a handshake at once; a network that swallows it would be waited for without an end.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// BOUND: three times within the minute after which the most forgetful firewalls drop a quiet connection, and next to
/// nothing to send.
const PING_EVERY: Duration = Duration::from_secs(20);
/// BOUND: pings in a row without a frame of any kind in return. When the third is due, 40 to 60 s were silent: longer
/// than a busy node or a change of network takes, and short for somebody who waits for a line.
const MAX_UNANSWERED: u32 = 2;

/// What a node says of events that failed (`outcome_word` in node/src/dispatch/door.rs).
const FAILURES: &[&str] =
    &["exception", "exceededCpu", "exceededMemory", "exceededWallTime", "scriptNotFound", "unknown"];

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Only events with this outcome; repeat it
    #[arg(long, value_enum)]
    status: Vec<Outcome>,
    /// Only requests with this method; repeat it
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// Only requests with this header, `NAME` or `NAME:VALUE`
    #[arg(long, value_name = "HEADER")]
    header: Option<String>,
    /// Only events with this text in a log line
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    Ok,
    Error,
    Canceled,
}

pub(crate) async fn run(context: &Context, args: TailArgs) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut open = None;
    let ended = signals.race(follow(context, &args, &mut open)).await;
    if let Some(log) = open {
        signals.race(log.close(context)).await;
    }
    ended.unwrap_or(Ok(()))
}

/// Prints events until nobody reads them any more, or the API refuses. `open` is whatever is open meanwhile.
async fn follow(context: &Context, args: &TailArgs, open: &mut Option<Log>) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let log = open.insert(Log::open(context, &path, filters(args)).await?);
    context.out.note(format!("Following {} {}; Ctrl-C ends", path.service, path.environment));
    while print(context, &log.next(context, "The connection broke; events meanwhile are not shown").await?) {}
    Ok(())
}

/// One line of JSON for programs (a log has no end, so it cannot be one document), readable lines for people. Whether
/// somebody still reads.
fn print(context: &Context, event: &Value) -> bool {
    match context.out.is_json() {
        true => context.out.flow(event),
        false => context.out.flow(trace::lines(event).join("\n")),
    }
}

/// An environment's log, followed over as many connections as it takes.
#[derive(Debug)]
pub(crate) struct Log {
    path: EnvironmentPath,
    filters: Value,
    /// `None` while there is no connection.
    tail: Option<Tail>,
    /// How long to wait before the next try to open one.
    pause: Duration,
}

impl Log {
    /// Asks for the log of an environment from now on.
    pub(crate) async fn open(context: &Context, path: &EnvironmentPath, filters: Value) -> anyhow::Result<Self> {
        let tail = Tail::open(context, path, &filters).await?;
        Ok(Self { path: path.clone(), filters, tail: Some(tail), pause: FIRST_PAUSE })
    }

    /// The next event. When the connection breaks, says `broken` and opens another; fails only with the API's refusal.
    /// Safe to drop and call again.
    pub(crate) async fn next(&mut self, context: &Context, broken: &str) -> anyhow::Result<Value> {
        loop {
            let tail = match &mut self.tail {
                Some(tail) => tail,
                None => {
                    let again = open_again(context, &self.path, &self.filters, &mut self.pause).await?;
                    self.tail.insert(again)
                }
            };
            if let Some(event) = tail.next().await {
                self.pause = FIRST_PAUSE;
                return Ok(event);
            }
            self.tail = None;
            context.out.note(broken);
        }
    }

    /// Tells the node that nobody listens any more.
    pub(crate) async fn close(self, context: &Context) {
        let Some(tail) = self.tail else { return };
        let call = Call::delete(self.path.below(&["tails", &tail.id]));
        // It ends by itself soon; that it could not be ended now is not worth an error.
        if let Ok(client) = context.client().await {
            let _ = client.send::<Value>(call).await;
        }
    }
}

/// Tries until it is open: the node may be back soon. What it refuses, such as a token that was revoked, it will refuse
/// again.
async fn open_again(
    context: &Context,
    path: &EnvironmentPath,
    filters: &Value,
    pause: &mut Duration,
) -> anyhow::Result<Tail> {
    loop {
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(MAX_PAUSE);
        match Tail::open(context, path, filters).await {
            Ok(tail) => return Ok(tail),
            Err(error) if error.downcast_ref().is_some_and(ClientError::is_refusal) => return Err(error),
            Err(error) => context.out.note(format!("{error:#}")),
        }
    }
}

/// One connection on which a log comes.
#[derive(Debug)]
struct Tail {
    socket: Socket,
    id: String,
    pings: Interval,
    silence: Silence,
}

impl Tail {
    async fn open(context: &Context, path: &EnvironmentPath, filters: &Value) -> anyhow::Result<Self> {
        let client = context.client().await?;
        let call = Call::post(path.below(&["tails"])).json(json!({ "filters": filters }));
        let made: model::Tail = client.send(call).await?.result;
        let connected = tokio::time::timeout(OPEN_DEADLINE, client.socket(&made.id, PROTOCOL)).await;
        let socket = connected.with_context(|| format!("the log of {} did not open", client.api()))??;
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick would be due at once.
        pings.reset();
        Ok(Self { socket, id: made.id, pings, silence: Silence::default() })
    }

    /// The next event; `None` once the connection is gone, or as good as gone. Safe to drop and call again.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::select! {
                // What came while nobody read, before anything is said of silence.
                biased;
                message = self.socket.next() => message?.ok()?,
                _ = self.pings.tick() => {
                    self.ping().await?;
                    continue;
                }
            };
            self.silence.end();
            let text = match message {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Close(_) => return None,
                _ => continue,
            };
            if let Ok(event) = serde_json::from_slice(&text) {
                return Some(event);
            }
        }
    }

    /// Asks the node for a sign of life: nothing else tells a dead connection from a quiet log. `None` when it was
    /// asked often enough.
    async fn ping(&mut self) -> Option<()> {
        if !self.silence.bears_another_ping() {
            return None;
        }
        self.socket.send(Message::Ping(Bytes::new())).await.ok()
    }
}

/// How long the node has been silent, counted in pings and not by a clock: while nobody reads, because `dev` builds,
/// nothing is asked and nothing can be heard.
#[derive(Debug, Default)]
struct Silence {
    pings: u32,
}

impl Silence {
    /// A frame came, be it only the answer to a ping.
    fn end(&mut self) {
        self.pings = 0;
    }

    /// Whether the connection may still be alive, so that one more ping is worth sending.
    fn bears_another_ping(&mut self) -> bool {
        self.pings += 1;
        self.pings <= MAX_UNANSWERED
    }
}

fn filters(args: &TailArgs) -> Value {
    let mut filters = Vec::new();
    if !args.status.is_empty() {
        let outcomes = args.status.iter().flat_map(|status| match status {
            Outcome::Ok => ["ok"].as_slice(),
            Outcome::Canceled => &["canceled"],
            Outcome::Error => FAILURES,
        });
        filters.push(json!({ "outcome": outcomes.collect::<Vec<_>>() }));
    }
    if !args.method.is_empty() {
        filters.push(json!({ "method": args.method.iter().map(|method| method.to_uppercase()).collect::<Vec<_>>() }));
    }
    if let Some(header) = &args.header {
        let (name, value) =
            header.split_once(':').map_or((header.as_str(), None), |(name, value)| (name, Some(value.trim())));
        let mut filter = json!({ "key": name });
        if let Some(value) = value {
            filter["query"] = json!(value);
        }
        filters.push(json!({ "header": filter }));
    }
    if let Some(text) = &args.search {
        filters.push(json!({ "query": text }));
    }
    Value::Array(filters)
}
