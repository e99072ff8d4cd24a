//! Changes of variables and secrets: each makes a version and deploys it whole.
//!
//! **Owns** the question before a gradual rollout ends with one, and saying so when one is not live. **Must not know** what
//! changes. **Enter at** [`send`].

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{Answer, Call};
use crate::context::Context;

/// What the API answers to a change while two versions are live.
const IN_USE: u32 = 10064;

/// Sends the change; where two versions share the requests, it asks before it goes to all of them. What the API remarks, such
/// as that the change waits for a deployment, is shown.
pub(crate) async fn send<T: DeserializeOwned>(context: &Context, change: Call) -> anyhow::Result<Answer<T>> {
    let answer = asked(context, change).await?;
    for remark in answer.messages.as_array().into_iter().flatten().filter_map(Value::as_str) {
        context.out.note(remark);
    }
    Ok(answer)
}

async fn asked<T: DeserializeOwned>(context: &Context, change: Call) -> anyhow::Result<Answer<T>> {
    let client = context.client().await?;
    match client.send(change.clone()).await {
        Err(error) if error.has_code(IN_USE) => {
            context.out.confirm(
                "Two versions are live: the change would be made on top of the one with the larger share, and go to all \
                 requests at once. End the gradual rollout?",
            )?;
            Ok(client.send(change.query("force", true)).await?)
        }
        other => Ok(other?),
    }
}
