//! The certificate of the API's own listener.
//!
//! **Owns** when the API needs one and for which names. **Must not know** how it is shown. **Enter at** [`for_api`].

use std::{net::SocketAddr, sync::Arc};

use skerry_control::control::Control;

use super::AppError;
use crate::{
    clock,
    ingress::{ApiTls, Certificates},
};

/// A certificate under the cluster's CA for an API that other machines can reach; `None` on loopback, where the API speaks
/// in clear. It is made anew at each start and lives in memory only.
pub(super) fn for_api(
    control: &Control,
    certificates: &Certificates,
    address: SocketAddr,
) -> Result<Option<ApiTls>, AppError> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(None);
    }
    let catalog = control.catalog();
    let domain = catalog.cluster().map(|cluster| cluster.domain.to_string()).unwrap_or_default();
    let mut names = vec![format!("api.{domain}"), "localhost".to_owned()];
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_canonical().to_string());
    }
    let certificate = control.issuer().issue(&names, None, None, clock::unix_ms());
    let certificate = certificate.map_err(|error| AppError::Certificate(Box::new(error)))?;
    Ok(Some(ApiTls(Arc::new(certificates.open(&certificate)?))))
}
