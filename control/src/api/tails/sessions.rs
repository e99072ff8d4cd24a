//! Live log sessions that were opened and not yet closed.
//!
//! **Owns** the address of each session, which is all that its WebSocket proves itself with. **Must not know** sockets.
//! **Enter at** [`Sessions`].

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use skerry_proto::id::TokenId;

use crate::{api::error::ApiError, catalog::EnvironmentKey, tails::Filter};

/// BOUND: sessions on one node; each costs a socket and a slot in a broadcast channel.
const SESSIONS_MAX: usize = 1000;
/// BOUND: how long a session lives: six hours, as on Cloudflare; clients open a new one.
pub(crate) const LIFETIME_MS: i64 = 6 * 60 * 60 * 1000;

/// One session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Whose events.
    pub environment: EnvironmentKey,
    /// Which of them.
    pub filter: Filter,
    /// The token that opened it; it ends with the token.
    pub token: TokenId,
    /// Milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
}

/// The sessions of this node.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    /// Opens a session under `id`, 128 random bits that nobody else knows.
    pub(crate) fn open(&self, id: String, session: Session, now_ms: i64) -> Result<(), ApiError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| session.expires_at_ms > now_ms);
        if open.len() >= SESSIONS_MAX {
            return Err(ApiError::Unavailable(format!("{SESSIONS_MAX} live log sessions are open")));
        }
        open.insert(id, session);
        Ok(())
    }

    /// The session, if it is still open.
    pub(crate) fn find(&self, id: &str, now_ms: i64) -> Option<Session> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id).filter(|session| session.expires_at_ms > now_ms).cloned()
    }

    /// Closes the session, if it is one of this environment's.
    pub(crate) fn close(&self, id: &str, environment: &EnvironmentKey) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = open.get(id).is_some_and(|session| session.environment == *environment);
        if is_own {
            open.remove(id);
        }
        is_own
    }

    /// The environment's sessions with their ends.
    pub(crate) fn of(&self, environment: &EnvironmentKey, now_ms: i64) -> Vec<(String, i64)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.iter().filter(|(_, session)| session.environment == *environment);
        own.filter(|(_, session)| session.expires_at_ms > now_ms)
            .map(|(id, session)| (id.clone(), session.expires_at_ms))
            .collect()
    }
}
