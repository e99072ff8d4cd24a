//! `skerry tail`
//!
//! **Owns** following an environment's log. **Must not know** how events are recorded. **Enter at** [`run`].

use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
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
    if let Some(tail) = open {
        signals.race(tail.close(context)).await;
    }
    ended.unwrap_or(Ok(()))
}

/// Prints events until nobody reads them any more, or the API refuses. `open` is whatever is open meanwhile.
async fn follow(context: &Context, args: &TailArgs, open: &mut Option<Tail>) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let filters = filters(args);
    let mut tail = open.insert(Tail::open(context, &path, &filters).await?);
    context.out.note(format!("Following {} {}; Ctrl-C ends", path.service, path.environment));
    let mut pause = FIRST_PAUSE;
    loop {
        match tail.next().await {
            Some(event) => {
                pause = FIRST_PAUSE;
                if !print(context, &event) {
                    return Ok(());
                }
            }
            None => {
                context.out.note("The connection broke; events meanwhile are not shown");
                *open = None;
                tail = open.insert(open_again(context, &path, &filters, &mut pause).await?);
            }
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

/// One line of JSON for programs (a log has no end, so it cannot be one document), readable lines for people. Whether
/// somebody still reads.
fn print(context: &Context, event: &Value) -> bool {
    match context.out.is_json() {
        true => context.out.flow(event),
        false => context.out.flow(trace::lines(event).join("\n")),
    }
}

/// A log being followed.
#[derive(Debug)]
pub(crate) struct Tail {
    socket: Socket,
    path: EnvironmentPath,
    id: String,
}

impl Tail {
    /// Asks for the log of an environment from now on.
    pub(crate) async fn open(context: &Context, path: &EnvironmentPath, filters: &Value) -> anyhow::Result<Self> {
        let client = context.client().await?;
        let call = Call::post(path.below(&["tails"])).json(json!({ "filters": filters }));
        let made: model::Tail = client.send(call).await?.result;
        let socket = client.socket(&made.id, PROTOCOL).await?;
        Ok(Self { socket, path: path.clone(), id: made.id })
    }

    /// The next event; `None` once the connection is gone.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let text = match self.socket.next().await?.ok()? {
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

    /// Tells the node that nobody listens any more.
    pub(crate) async fn close(self, context: &Context) {
        let call = Call::delete(self.path.below(&["tails", &self.id]));
        // It ends by itself soon; that it could not be ended now is not worth an error.
        if let Ok(client) = context.client().await {
            let _ = client.send::<Value>(call).await;
        }
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
