//! An answer that is read piece by piece.
//!
//! **Owns** how long one piece may take. **Must not know** what the pieces are. **Enter at** [`Streamed::next_piece`].

use super::{ClientError, TIMEOUT};

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(super) response: reqwest::Response,
    pub(super) what: String,
}

impl Streamed {
    /// The next piece; `None` at the end.
    pub(crate) async fn next_piece(&mut self) -> Result<Option<bytes::Bytes>, ClientError> {
        let stopped = |reason: String| ClientError::Stopped { what: self.what.clone(), reason };
        match tokio::time::timeout(TIMEOUT, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(source)) => Err(ClientError::Interrupted { what: self.what.clone(), source }),
            Err(_) => Err(stopped(format!("nothing came for {} s", TIMEOUT.as_secs()))),
        }
    }
}
