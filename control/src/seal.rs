//! Encryption at rest, with one key for what every node opens and one for what only voters do.
//!
//! **Owns** `DIR/cluster.key`, `DIR/authority.key` and the cipher. **Must not know** what is sealed. **Enter at** [`Sealer`].
//!
//! XChaCha20-Poly1305 with a random 24-byte nonce for every value; the scope is authenticated, so a value that was copied
//! to another account, environment, name or certificate does not open.

use std::{fmt, fs, io, path::Path, sync::Arc};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

use crate::{
    catalog::{SealScope, Sealed},
    mint::random,
    store::{Privacy, write_file},
};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A key of the cluster, as a file in the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFile {
    /// `cluster.key`: secrets and the keys of hostnames. Every node has it.
    Cluster,
    /// `authority.key`: the keys of the mesh's authorities. Only nodes that may vote have it.
    Authority,
}

impl KeyFile {
    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster.key",
            Self::Authority => "authority.key",
        }
    }
}

/// Seals and opens values. Clones share the key.
#[derive(Clone)]
pub struct Sealer {
    cipher: Arc<XChaCha20Poly1305>,
    key: [u8; KEY_BYTES],
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// A value that does not open: another key, another scope, or changed bytes. State: unchanged. Retry: no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value sealed for {scope} does not open with this cluster's key")]
pub struct OpenError {
    /// Where the value should belong.
    pub scope: SealScope,
}

/// Why the cluster's key could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can not be read or written. State: unchanged. Retry: after mending it.
    #[error("the key {path} can not be used")]
    Io {
        /// The file.
        path: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The file holds something else. State: unchanged. Retry: no; restore the file.
    #[error("the key {path} is not 64 hexadecimal digits")]
    Malformed {
        /// The file.
        path: String,
    },
    /// There is data but no key: making a new one would lose every secret. State: unchanged. Retry: after restoring it.
    #[error("the key {path} is missing; restore it from a backup, what it sealed can not be read without it")]
    Missing {
        /// The file.
        path: String,
    },
}

/// What to do when there is no key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenMissing {
    /// Make a key: nothing has been sealed yet.
    Create,
    /// Fail.
    Fail,
}

impl Sealer {
    /// The key in its file (mode 0600). Blocking.
    pub fn open_key(data_dir: &Path, file: KeyFile, missing: WhenMissing) -> Result<Self, KeyError> {
        let path = data_dir.join(file.name());
        let shown = path.display().to_string();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == WhenMissing::Create => {
                return Self::keep_key(data_dir, file, random::<KEY_BYTES>());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyError::Missing { path: shown }),
            Err(source) => return Err(KeyError::Io { path: shown, source }),
        };
        let mut key = [0; KEY_BYTES];
        if hex::decode_to_slice(text.trim(), &mut key).is_err() {
            return Err(KeyError::Malformed { path: shown });
        }
        Ok(Self::from_key(key))
    }

    /// Writes a key that another node gave, durable when this returns. Blocking.
    pub fn keep_key(data_dir: &Path, file: KeyFile, key: [u8; KEY_BYTES]) -> Result<Self, KeyError> {
        let path = data_dir.join(file.name());
        let written = write_file(&path, hex::encode(key).as_bytes(), Privacy::Secret);
        written.map_err(|source| KeyError::Io { path: path.display().to_string(), source })?;
        Ok(Self::from_key(key))
    }

    /// With a key at hand.
    #[must_use]
    pub fn from_key(key: [u8; KEY_BYTES]) -> Self {
        Self { cipher: Arc::new(XChaCha20Poly1305::new(&key.into())), key }
    }

    /// The key itself, for a node that may have it.
    pub(crate) fn key(&self) -> [u8; KEY_BYTES] {
        self.key
    }

    /// Seals a value for the place it belongs to.
    #[must_use]
    pub fn seal(&self, scope: SealScope, plain: &[u8]) -> Sealed {
        let nonce = random::<NONCE_BYTES>();
        let payload = Payload { msg: plain, aad: scope.as_str().as_bytes() };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.expect("only a message of more than 256 GiB is refused");
        Sealed { scope, bytes: [&nonce[..], &sealed].concat().into() }
    }

    /// Opens a value for the place it was sealed for. Check that this is the place you want it for.
    pub fn open(&self, sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
        let failed = || OpenError { scope: sealed.scope.clone() };
        let (nonce, bytes) = sealed.bytes.split_at_checked(NONCE_BYTES).ok_or_else(failed)?;
        let payload = Payload { msg: bytes, aad: sealed.scope.as_str().as_bytes() };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).ok().ok_or_else(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use skerry_proto::id::{AccountId, EnvironmentId};

    use super::*;

    fn scope(account: char, name: &str) -> SealScope {
        let digits = |c: char| c.to_string().repeat(32);
        let account = AccountId::new(&digits(account)).unwrap();
        SealScope::secret(&account, &EnvironmentId::new(&digits('e')).unwrap(), name)
    }

    #[test]
    fn a_moved_secret_does_not_open() {
        let sealer = Sealer::from_key([7; 32]);
        let sealed = sealer.seal(scope('a', "KEY"), b"secret");
        assert_eq!(sealer.open(&sealed).unwrap(), b"secret");
        for other in [scope('b', "KEY"), scope('a', "OTHER")] {
            assert!(sealer.open(&Sealed { scope: other, bytes: sealed.bytes.clone() }).is_err());
        }
        assert!(Sealer::from_key([8; 32]).open(&sealed).is_err());
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            Sealer::open_key(folder.path(), KeyFile::Cluster, WhenMissing::Fail),
            Err(KeyError::Missing { .. })
        ));
        let first = Sealer::open_key(folder.path(), KeyFile::Cluster, WhenMissing::Create).unwrap();
        let second = Sealer::open_key(folder.path(), KeyFile::Cluster, WhenMissing::Fail).unwrap();
        let sealed = first.seal(scope('a', "KEY"), b"secret");
        assert_eq!(second.open(&sealed).unwrap(), b"secret");
        let mode = fs::metadata(folder.path().join("cluster.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_opens(plain in prop::collection::vec(any::<u8>(), 0..100), at in any::<usize>(), bit in 0..8_u32) {
            let sealer = Sealer::from_key([7; 32]);
            let sealed = sealer.seal(scope('a', "KEY"), &plain);
            let mut bytes = sealed.bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1_u8 << bit;
            let changed = Sealed { scope: sealed.scope, bytes: bytes.into() };
            prop_assert!(sealer.open(&changed).is_err());
        }
    }
}
