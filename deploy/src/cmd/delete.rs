//! `skerry delete`
//!
//! **Owns** the choice between a service and one environment of it. **Must not know** how either is deleted. **Enter
//! at** [`run`].

use clap::Args;

use super::{env, service};
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Even if other services bind to it, or the service has more environments than production
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(context: &Context, args: DeleteArgs) -> anyhow::Result<()> {
    if context.global.env.is_some() {
        env::delete(context, context.environment()?, args.force).await
    } else {
        service::delete(context, &context.service()?, args.force).await
    }
}
