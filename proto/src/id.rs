//! Pure. The names and numbers that identify things, as validated newtypes.
//!
//! **Owns** what a well-formed identifier is. **Must not know** what it identifies. **Enter at** [`ServiceName`].

use std::{fmt, str::FromStr, sync::Arc};

/// Why a text is not the identifier it was given as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} is invalid: {rule}")]
pub struct IdError {
    /// What the text should have been, as a person would name it.
    pub kind: &'static str,
    /// The text itself, cut to 80 characters.
    pub value: String,
    /// The rule it breaks and so what to do.
    pub rule: &'static str,
}

impl IdError {
    fn new(kind: &'static str, value: &str, rule: &'static str) -> Self {
        Self { kind, value: value.chars().take(80).collect(), rule }
    }
}

/// Declares a text newtype whose only constructor checks `$check`.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and keeps it; the error names the rule that it breaks.
            pub fn new(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(IdError::new($kind, text, $rule)) }
            }

            /// The text as given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                (*id.0).to_owned()
            }
        }
    };
}

text_id!(
    /// An account, 32 lower-case hexadecimal digits as in Cloudflare's API.
    AccountId, "account id", "use 32 lower-case hexadecimal digits", is_hex32
);
text_id!(
    /// A service's name: the first label of its hostname.
    ServiceName, "service name", "use 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'", is_label
);
text_id!(
    /// A service's identity, kept when it is renamed; Cloudflare's API calls it `tag`. 32 lower-case hexadecimal digits.
    ServiceId, "service id", "use 32 lower-case hexadecimal digits", is_hex32
);
text_id!(
    /// An environment's identity, kept when it is renamed, so that its secrets stay readable. 32 lower-case hexadecimal
    /// digits.
    EnvironmentId, "environment id", "use 32 lower-case hexadecimal digits", is_hex32
);
text_id!(
    /// A TLS certificate with its key, 32 lower-case hexadecimal digits.
    CertificateId, "certificate id", "use 32 lower-case hexadecimal digits", is_hex32
);
text_id!(
    /// An environment's name: a label of its hostname.
    EnvironmentName, "environment name", "use 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'", is_label
);
text_id!(
    /// A version's identity across the cluster: a UUID in its hyphenated lower-case form.
    VersionId, "version id", "use a lower-case UUID such as 1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b", is_uuid
);
text_id!(
    /// A deployment's identity: a UUID in its hyphenated lower-case form.
    DeploymentId, "deployment id", "use a lower-case UUID such as 1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b", is_uuid
);
text_id!(
    /// A KV namespace, 32 lower-case hexadecimal digits.
    NamespaceId, "namespace id", "use 32 lower-case hexadecimal digits", is_hex32
);
text_id!(
    /// A route, 32 lower-case hexadecimal digits.
    RouteId, "route id", "use 32 lower-case hexadecimal digits", is_hex32
);
text_id!(
    /// A custom domain, 32 lower-case hexadecimal digits.
    DomainId, "domain id", "use 32 lower-case hexadecimal digits", is_hex32
);
text_id!(
    /// An API token's public identity (never the token itself), 32 lower-case hexadecimal digits.
    TokenId, "token id", "use 32 lower-case hexadecimal digits", is_hex32
);
text_id!(
    /// A DNS name without its final dot, lower-case, 1 to 253 bytes, each label 1 to 63 (RFC 1035 section 2.3.4). A
    /// single label such as `localhost` is a hostname too; a wildcard is not.
    Hostname, "hostname", "use lower-case DNS labels of 1 to 63 of a-z, 0-9, '-' and '_', joined by dots, 253 in all", is_hostname
);

impl EnvironmentName {
    /// The environment that every service has: `production`.
    #[must_use]
    pub fn production() -> Self {
        Self("production".into())
    }

    /// Whether this is the environment that every service has.
    #[must_use]
    pub fn is_production(&self) -> bool {
        &*self.0 == "production"
    }
}

/// A machine of the cluster. Minted by raft, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A state of the catalog: the raft log index of the entry that made it. Only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// A version's place in its environment's history, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumber(pub u64);

macro_rules! display_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_number!(NodeId, Revision, VersionNumber);

/// The BLAKE3 hash of a bundle's bytes: its name wherever it is stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleHash(pub [u8; 32]);

impl BundleHash {
    /// The name of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for BundleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BundleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleHash({self})")
    }
}

impl FromStr for BundleHash {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(IdError::new("bundle hash", text, "use 64 hexadecimal digits")),
        }
    }
}

impl TryFrom<&[u8]> for BundleHash {
    type Error = IdError;
    fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
        match bytes.try_into() {
            Ok(array) => Ok(Self(array)),
            Err(_) => Err(IdError::new("bundle hash", &hex::encode(bytes), "use 32 bytes")),
        }
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_hex32(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(is_lower_hex)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => is_lower_hex(byte),
        })
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_hostname(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}
