//! `skerry diff`
//!
//! **Owns** how a difference between environments is shown. **Must not know** how it is computed. **Enter at** [`run`].

use clap::Args;

use crate::client::{Call, model};
use crate::context::{Context, environment};

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// One environment
    source: String,
    /// The environment it is compared with
    target: String,
}

pub(crate) async fn run(context: &Context, args: DiffArgs) -> anyhow::Result<()> {
    let (source, target) = (environment(&args.source)?, environment(&args.target)?);
    let path = context.path_of(source.clone()).await?;
    let call = Call::get(path.below(&["diff"])).query("against", target.as_str());
    let found = context.client().await?.send::<model::Diff>(call).await?;
    context.out.document(&found.raw);
    if found.result.identical {
        context.out.line(format!("{source} and {target} are the same"));
        return Ok(());
    }
    let head = [source.as_str().to_uppercase(), target.as_str().to_uppercase()];
    let diff = found.result;
    table(context, [&head[0], &head[1]], diff.code.iter().chain(&diff.config).chain(&diff.triggers));
    Ok(())
}

/// What a promotion changes in its target.
pub(crate) fn show_promotion(context: &Context, promotion: &model::Promotion) {
    context.out.line(format!("{}: {} to {}", promotion.service, promotion.source, promotion.target));
    if promotion.changes.is_empty() {
        context.out.line("nothing changes");
    } else {
        table(context, ["NOW", "BECOMES"], &promotion.changes);
    }
    context.out.line("");
}

fn table<'d>(context: &Context, sides: [&str; 2], differences: impl IntoIterator<Item = &'d model::Difference>) {
    context.out.table(
        ["FIELD", sides[0], sides[1]],
        differences.into_iter().map(|one| [one.field.clone(), side(one.source.as_ref()), side(one.target.as_ref())]),
    );
}

fn side(side: Option<&model::Side>) -> String {
    match side {
        None => "-".to_owned(),
        Some(model::Side { value, inherited_from: None }) => short(value),
        Some(model::Side { value, inherited_from: Some(from) }) => format!("{} (from {from})", short(value)),
    }
}

/// A bundle's hash is told apart by its beginning; the rest only fills the table.
fn short(value: &str) -> String {
    let is_hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { value[..12].to_owned() } else { value.to_owned() }
}
