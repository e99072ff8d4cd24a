//! `skerry var`
//!
//! **Owns** the commands about variables. **Must not know** inheritance. **Enter at** [`run`].

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::configure;
use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::release::assignment;

#[derive(Debug, Subcommand)]
pub(crate) enum VarCommand {
    /// Set variables; they are live at once if a version is, until the next deploy of a file that says otherwise
    Set {
        /// What to set
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = assignment)]
        vars: Vec<(String, String)>,
        /// The values are JSON
        #[arg(long)]
        as_json: bool,
    },
    /// List the environment's variables and where they come from
    List,
    /// Delete variables of this environment; inherited ones show again
    Delete {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(crate) async fn run(context: &Context, command: VarCommand) -> anyhow::Result<()> {
    match command {
        VarCommand::Set { vars, as_json } => {
            let mut changes = Map::new();
            for (name, text) in vars {
                let value = match as_json {
                    false => json!(text),
                    true => serde_json::from_str(&text).map_err(|error| Usage(format!("{name}: not JSON: {error}")))?,
                };
                changes.insert(name, value);
            }
            change(context, changes).await
        }
        VarCommand::List => list(context).await,
        VarCommand::Delete { names } => {
            context.out.confirm(&format!("Delete {} in {}?", names.join(", "), context.environment()?))?;
            change(context, names.into_iter().map(|name| (name, Value::Null)).collect()).await
        }
    }
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let found = context.client().await?.send::<Vec<model::Binding>>(Call::get(path.below(&["vars"]))).await?;
    show(context, &found.raw, &found.result);
    Ok(())
}

async fn change(context: &Context, vars: Map<String, Value>) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let call = Call::patch(path.below(&["vars"])).json(json!({ "vars": vars }));
    let answer = configure::send::<Vec<model::Binding>>(context, call).await?;
    show(context, &answer.raw, &answer.result);
    Ok(())
}

fn show(context: &Context, raw: &Value, vars: &[model::Binding]) {
    if vars.is_empty() || context.out.is_json() {
        context.out.list::<1>(raw, [""], [], "no variables");
    } else {
        super::deploy::bindings(context, vars);
    }
}
