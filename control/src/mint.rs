//! New identities and tokens.
//!
//! **Owns** randomness that becomes a field of a command. **Must not know** what is made with it. **Enter at**
//! [`token`] and [`version_id`].

use skerry_proto::id::{
    AccountId, CertificateId, DeploymentId, DomainId, EnvironmentId, IdError, NamespaceId, RouteId, ServiceId, TokenId,
    VersionId,
};

use crate::catalog::{Fingerprint, JoinToken, TokenHash};

/// A new token. Its text is shown once and never stored.
pub struct MintedToken {
    /// Its public identity.
    pub id: TokenId,
    /// What the caller presents: `skt_` and 64 hexadecimal digits, 256 random bits; [`JoinToken::text`] for a join token.
    pub text: String,
    /// What the catalog stores.
    pub hash: TokenHash,
}

/// A new API token.
#[must_use]
pub fn token() -> MintedToken {
    let text = format!("skt_{}", hex::encode(random::<32>()));
    let hash = TokenHash::of(&text);
    MintedToken { id: hex_id(TokenId::new), text, hash }
}

/// A new join token, for a mesh whose authority has this fingerprint.
#[must_use]
pub fn join_token(authority: Fingerprint) -> MintedToken {
    let text = JoinToken::text(authority, random());
    let hash = TokenHash::of(&text);
    MintedToken { id: hex_id(TokenId::new), text, hash }
}

macro_rules! mint {
    ($($(#[$doc:meta])* $name:ident: $type:ident from $source:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name() -> $type {
            $source($type::new)
        }
    )*};
}

mint! {
    /// A new account's identity.
    account_id: AccountId from hex_id;
    /// A new service's identity.
    service_id: ServiceId from hex_id;
    /// A new environment's identity.
    environment_id: EnvironmentId from hex_id;
    /// A new KV namespace's identity.
    namespace_id: NamespaceId from hex_id;
    /// A new route's identity.
    route_id: RouteId from hex_id;
    /// A new custom domain's identity.
    domain_id: DomainId from hex_id;
    /// A new certificate's identity.
    certificate_id: CertificateId from hex_id;
    /// A new version's identity.
    version_id: VersionId from uuid_id;
    /// A new deployment's identity.
    deployment_id: DeploymentId from uuid_id;
}

fn hex_id<T>(new: fn(&str) -> Result<T, IdError>) -> T {
    new(&hex::encode(random::<16>())).expect("16 bytes are 32 hexadecimal digits")
}

fn uuid_id<T>(new: fn(&str) -> Result<T, IdError>) -> T {
    new(&uuid::Uuid::new_v4().to_string()).expect("a UUID prints in its hyphenated lower-case form")
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes once it has booted");
    bytes
}
