//! Pure. What a certificate says.
//!
//! **Owns** reading X.509. **Must not know** whether the certificate is to be trusted; rustls checks that. **Enter at**
//! [`Leaf`].

use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    prelude::{FromDer, X509Certificate},
};

use super::name::NodeName;

/// The certificate is none that this cluster's nodes have. State: unchanged. Retry: no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotOurs(String);

/// What counts of a node's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) name: NodeName,
    pub(super) life: Life,
}

impl Leaf {
    /// Reads a node's certificate: it has one name, a node's.
    pub(super) fn read(der: &[u8]) -> Result<Self, NotOurs> {
        let certificate = parse(der)?;
        let names = dns_names(&certificate);
        let [name] = names[..] else {
            return Err(NotOurs(format!("a node's certificate has one name, this one has {}", names.len())));
        };
        let name = name.parse().map_err(|error: super::name::NotANode| NotOurs(error.to_string()))?;
        Ok(Self { name, life: Life::of(&certificate) })
    }
}

/// From when to when a certificate is valid, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) begins_ms: i64,
    pub(super) ends_ms: i64,
}

impl Life {
    /// Reads it from any certificate.
    pub(super) fn read(der: &[u8]) -> Result<Self, NotOurs> {
        parse(der).map(|certificate| Self::of(&certificate))
    }

    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        let ms = |seconds: i64| seconds.saturating_mul(1000);
        Self { begins_ms: ms(validity.not_before.timestamp()), ends_ms: ms(validity.not_after.timestamp()) }
    }

    /// A third of it is left, or it was made under a clock that was ahead, so that nobody believes it yet.
    pub(super) fn is_renewal_due(self, now_ms: i64) -> bool {
        now_ms < self.begins_ms || now_ms > self.ends_ms - (self.ends_ms - self.begins_ms) / 3
    }
}

/// Milliseconds since the Unix epoch as people read them.
pub(crate) fn time_text(at_ms: i64) -> String {
    jiff::Timestamp::from_second(at_ms.div_euclid(1000)).map_or_else(|_| format!("{at_ms} ms"), |at| at.to_string())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, NotOurs> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(NotOurs("more follows behind the certificate".to_owned())),
        Err(_) => Err(NotOurs("this is no X.509 certificate".to_owned())),
    }
}

/// Every alternative name, others than DNS names as an empty text, which is nobody's.
fn dns_names<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(alternative) = extension.parsed_extension() {
            names.extend(alternative.general_names.iter().map(|name| match name {
                GeneralName::DNSName(name) => *name,
                _ => "",
            }));
        }
    }
    names
}
