//! Exit codes: 0 done, 1 failed, 2 usage, 3 outcome unknown.
//!
//! **Owns** which error is which. **Must not know** what was done. **Enter at** [`code`].

use crate::client::ClientError;

/// The command was given wrongly; nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// What was asked for was done; whether it has come about everywhere is not known.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unsettled(pub(crate) String);

/// The exit code for `error`. A write whose answer never came is *unknown*, never *failed*.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    let is = |test: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(test);
    if is(|cause| cause.is::<Unsettled>() || matches!(cause.downcast_ref(), Some(ClientError::Unknown { .. }))) {
        3
    } else if is(|cause| cause.is::<Usage>() || matches!(cause.downcast_ref(), Some(ClientError::Config(_)))) {
        2
    } else {
        1
    }
}
