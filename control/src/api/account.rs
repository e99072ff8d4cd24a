//! The account that a path names.
//!
//! **Owns** that an account exists before a call looks into it. **Must not know** what it contains. **Enter at**
//! [`Account`].

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use skerry_proto::id::AccountId;

use super::{
    Deps,
    error::{ApiError, Thing},
    params::Params,
};
use crate::catalog::Catalog;

/// An account, with the catalog as it was when the request began: everything a call reads is from one moment.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// Its identity.
    pub id: AccountId,
    /// One agreed state.
    pub catalog: Arc<Catalog>,
}

impl FromRequestParts<Deps> for Account {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        let params = Params::from_request_parts(parts, deps).await?;
        let id: AccountId = params.id("account")?;
        let catalog = deps.control.catalog();
        if catalog.account(&id).is_none() {
            return Err(ApiError::not_found(Thing::Account, id));
        }
        Ok(Self { id, catalog })
    }
}
