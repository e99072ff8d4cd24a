//! `skerry pipeline`
//!
//! **Owns** the commands about a service's stages. **Must not know** promotion. **Enter at** [`run`].

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Call, model, path};
use crate::context::{Context, environment};
use crate::output::cell;

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Show the stages
    Show,
    /// Set the stages, first to last; none removes the pipeline
    Set {
        /// The environments in order, such as `staging production`
        #[arg(value_name = "ENV")]
        stages: Vec<String>,
    },
    /// Promote one stage to the next
    Run {
        /// The stage that has the change
        #[arg(long, value_name = "ENV")]
        from: String,
        /// Show what would happen, change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(context: &Context, command: PipelineCommand) -> anyhow::Result<()> {
    let client = context.client().await?;
    let service = context.service()?;
    let mut base = path::service(client.account().await?, &service);
    base.push("pipeline");
    match command {
        PipelineCommand::Show => {
            let found = client.send::<model::Pipeline>(Call::get(base)).await?;
            show(context, &found.raw, &found.result);
        }
        PipelineCommand::Set { stages } => {
            let current = client.send::<model::Pipeline>(Call::get(base.clone())).await?;
            let mut wanted = Vec::new();
            for stage in &stages {
                wanted.push(json!({ "environment": environment(stage)?.as_str() }));
            }
            if !current.result.stages.is_empty() {
                context.out.confirm(&format!("Replace the pipeline of {service}?"))?;
            }
            let call = Call::put(base).if_match(current.etag).json(json!({ "stages": wanted }));
            let set = client.send::<model::Pipeline>(call).await?;
            show(context, &set.raw, &set.result);
        }
        PipelineCommand::Run { from, dry_run } => {
            let from = environment(&from)?;
            base.push("run");
            let mut body = json!({ "from": from.as_str(), "dry_run": true });
            let planned = client.send::<model::Promotions>(Call::post(base.clone()).json(body.clone())).await?;
            for one in &planned.result.promotions {
                super::diff::show_promotion(context, one);
            }
            if dry_run {
                context.out.document(&planned.raw);
                return Ok(());
            }
            context.out.confirm(&format!("Promote {from} of {service} to its next stage?"))?;
            body["dry_run"] = json!(false);
            // What was shown and no other, as `promote` does. A node that does not say which version it means knows
            // neither field yet.
            let shown = planned.result.promotions.into_iter().next().unwrap_or_default();
            if let Some(version) = shown.source_version_id {
                body["version"] = json!(version);
                body["if_match"] = json!(shown.if_match);
            }
            let done = client.send::<model::Promotions>(Call::post(base).json(body)).await?;
            context.out.document(&done.raw);
            context.out.line("Promoted");
        }
    }
    Ok(())
}

fn show(context: &Context, raw: &Value, pipeline: &model::Pipeline) {
    context.out.document(raw);
    if pipeline.stages.is_empty() {
        return context.out.line("no pipeline");
    }
    context.out.table(
        ["STAGE", "ENVIRONMENT", "REQUIRES"],
        pipeline.stages.iter().enumerate().map(|(place, stage)| {
            let requires = stage.requires.as_ref().map(ToString::to_string);
            [(place + 1).to_string(), stage.environment.clone(), cell(requires.as_deref())]
        }),
    );
}
