//! The certificate of the API's own listener.
//!
//! **Owns** when the API needs one, for which names, and when it is made anew. **Must not know** how it is shown. **Enter at**
//! [`ApiCertificate::first`].

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::sign::CertifiedKey;
use skerry_control::{
    catalog::Certificate,
    control::Control,
    identity::{Issuer, is_due},
};
use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::{
    clock,
    ingress::{ApiTls, Certificates},
};

/// How often the clock is looked at. A third of a certificate's life is left when it is renewed, so hours do not matter.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// A certificate under the cluster's CA. It lives in memory only, and so does its key.
pub(super) struct ApiCertificate {
    issuer: Issuer,
    certificates: Arc<Certificates>,
    names: Vec<String>,
    current: Certificate,
    tls: Arc<ApiTls>,
}

impl ApiCertificate {
    /// For an API that other machines can reach; `None` on loopback, where the API speaks in clear.
    pub(super) fn first(
        control: &Control,
        certificates: &Arc<Certificates>,
        address: SocketAddr,
    ) -> Result<Option<Self>, AppError> {
        if address.ip().to_canonical().is_loopback() {
            return Ok(None);
        }
        let catalog = control.catalog();
        let domain = catalog.cluster().map(|cluster| cluster.domain.to_string()).unwrap_or_default();
        let mut names = vec![format!("api.{domain}"), "localhost".to_owned()];
        if !address.ip().is_unspecified() {
            names.push(address.ip().to_canonical().to_string());
        }
        let (issuer, certificates) = (control.issuer(), Arc::clone(certificates));
        let (current, key) = issue(&issuer, &certificates, &names, clock::unix_ms())?;
        let tls = Arc::new(ApiTls::new(Arc::new(key)));
        Ok(Some(Self { issuer, certificates, names, current, tls }))
    }

    /// What the listener shows, now and after each renewal.
    pub(super) fn tls(&self) -> Arc<ApiTls> {
        Arc::clone(&self.tls)
    }

    /// Renews it in time until told to stop.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.look(clock::unix_ms()) {
                tracing::error!(error = &error as &dyn std::error::Error, "the API's certificate can not be renewed");
            }
        }
    }

    fn look(&mut self, now_ms: i64) -> Result<(), AppError> {
        if is_due(&self.current, now_ms) {
            let (next, key) = issue(&self.issuer, &self.certificates, &self.names, now_ms)?;
            self.current = next;
            self.tls.show(Arc::new(key));
            tracing::info!("the API's certificate is renewed");
        }
        Ok(())
    }
}

fn issue(
    issuer: &Issuer,
    certificates: &Certificates,
    names: &[String],
    now_ms: i64,
) -> Result<(Certificate, CertifiedKey), AppError> {
    let certificate = issuer.issue(names, None, None, now_ms);
    let certificate = certificate.map_err(|error| AppError::Certificate(Box::new(error)))?;
    let key = certificates.open(&certificate)?;
    Ok((certificate, key))
}

#[cfg(test)]
mod tests {
    use skerry_control::{
        config::{Bootstrap, ControlConfig},
        control,
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_certificate_is_renewed_before_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let domain = "workers.test".parse().unwrap();
        let config = ControlConfig::new(dir.path().to_owned(), "n1".into(), domain, Bootstrap::IfEmpty);
        let control = control::build(config).await.unwrap();
        let certificates = Arc::new(Certificates::new(control.sealer()));
        let loopback = ApiCertificate::first(&control, &certificates, "127.0.0.1:1".parse().unwrap()).unwrap();
        assert!(loopback.is_none());
        let mut api = ApiCertificate::first(&control, &certificates, "192.0.2.1:1".parse().unwrap()).unwrap().unwrap();
        let (first, tls) = (api.current.clone(), api.tls());
        let shown = tls.shown();
        api.look(first.not_before_ms).unwrap();
        assert!(Arc::ptr_eq(&shown, &tls.shown()));
        api.look(first.not_after_ms).unwrap();
        assert!(!Arc::ptr_eq(&shown, &tls.shown()) && api.current.not_after_ms > first.not_after_ms);
        control.shutdown().await;
    }
}
