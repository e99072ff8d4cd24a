//! `skerry token`
//!
//! **Owns** the commands about API tokens. **Must not know** how they are stored. **Enter at** [`run`].

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::output::cell;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; its value is shown this once
    Create {
        /// What it is for
        name: String,
        /// What it may do; repeat it [default: workers:write kv:write routes:write tail:read]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// When it ends, such as 2027-01-31T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List the account's tokens, without their values
    List,
    /// Make a token useless
    Revoke {
        /// Its name or id
        // Not named `token`: clap would take it for the global flag's value.
        #[arg(value_name = "TOKEN")]
        which: String,
    },
}

/// What a deployer needs: everything but tokens, audit and administration.
const DEFAULT_SCOPES: [&str; 4] = ["workers:write", "kv:write", "routes:write", "tail:read"];

pub(crate) async fn run(context: &Context, command: TokenCommand) -> anyhow::Result<()> {
    let client = context.client().await?;
    let base = ["accounts", client.account().await?, "tokens"];
    match command {
        TokenCommand::Create { name, scopes, expires } => {
            let scopes: Vec<&str> = match scopes.is_empty() {
                true => DEFAULT_SCOPES.to_vec(),
                false => scopes.iter().flat_map(|scope| scope.split(',')).map(str::trim).collect(),
            };
            let mut body = json!({ "name": name, "scopes": scopes });
            if let Some(time) = expires {
                let time: jiff::Timestamp = time.parse().map_err(|error| Usage(format!("--expires: {error}")))?;
                body["expires_on"] = json!(time.to_string());
            }
            let made = client.send::<model::Token>(Call::post(base).json(body)).await?;
            context.out.document(&made.raw);
            context.out.note(format!(
                "Token {} may: {}. It is shown this once:",
                made.result.name,
                made.result.scopes.join(", ")
            ));
            context.out.line(made.result.value.unwrap_or_default());
        }
        TokenCommand::List => {
            let found = client.list::<model::Token>(Call::get(base), None, usize::MAX).await?;
            let rows = found.result.iter().map(|token| {
                let (issued, expires) = (token.issued_on.as_deref(), token.expires_on.as_deref());
                [
                    token.name.clone(),
                    token.status.clone(),
                    token.scopes.join(", "),
                    cell(issued),
                    cell(expires),
                    token.id.clone(),
                ]
            });
            context.out.list(&found.raw, ["NAME", "STATUS", "SCOPES", "MADE", "EXPIRES", "TOKEN"], rows, "no tokens");
        }
        TokenCommand::Revoke { which } => {
            let all = client.list::<model::Token>(Call::get(base), None, usize::MAX).await?.result;
            let found: Vec<_> = all.iter().filter(|one| one.id == which || one.name == which).collect();
            let found = match found.as_slice() {
                [one] => *one,
                [] => anyhow::bail!("there is no token {which:?}"),
                _ => return Err(Usage(format!("several tokens are named {which:?}; give an id")).into()),
            };
            context.out.confirm(&format!("Revoke token {} ({})?", found.name, found.id))?;
            let answer = client.send::<Value>(Call::delete(base.into_iter().chain([found.id.as_str()]))).await?;
            context.out.document(&answer.raw);
            context.out.line(format!("Revoked token {}", found.name));
        }
    }
    Ok(())
}
