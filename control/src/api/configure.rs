//! A change of configuration: a new version with the code of the live one, deployed at once.
//!
//! **Owns** how variables and secrets become one command. **Must not know** which call asked. **Enter at** [`configure`].

use super::{error::ApiError, target::Target, writer::Writer};
use crate::{
    catalog::{Annotations, Applied, Base, Change, ConfigEdit},
    mint,
};

/// Proposes `edits` on top of the live version. Before the first version they wait for it.
pub(crate) async fn configure(
    writer: &Writer,
    target: &Target,
    edits: Vec<ConfigEdit>,
    triggered_by: &str,
    message: &str,
) -> Result<Applied, ApiError> {
    let mut annotations = Annotations::of(Annotations::TRIGGERED_BY, triggered_by);
    annotations.entries.insert(Annotations::MESSAGE.to_owned(), message.to_owned());
    let change = Change::Configure {
        environment: target.key.clone(),
        base: Base::Live,
        edits,
        version: mint::version_id(),
        deployment: Some(mint::deployment_id()),
        shared: crate::catalog::WhenShared::Replace,
        annotations,
        source: writer.caller.source.to_owned(),
    };
    writer.propose(&target.key.service.account, writer.expects(&target.key), vec![change]).await
}
