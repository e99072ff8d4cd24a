//! Random bytes, digests and HMAC.
//!
//! **Owns** which algorithms there are. **Must not know** `crypto.subtle`. **Enter at** [`digest`].

use md5::Digest as _;
use ring::{digest as ring_digest, hmac};

use super::{OpError, Replied};
use crate::runtime::{
    frame::{Reader, Writer},
    limits,
};

pub(super) fn random(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    let length = args.int()?;
    let length = usize::try_from(length).ok().filter(|length| *length <= limits::RANDOM_BYTES_MAX);
    let length = length.ok_or_else(|| OpError::throw("QuotaExceededError", "at most 65536 random bytes at a time"))?;
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|_ignored| OpError::throw("OperationError", "no randomness is available"))?;
    reply.bytes(&bytes);
    Ok(true)
}

/// Refuses what would take longer than a call of the host may.
pub(super) fn bounded(bytes: &[u8]) -> Result<&[u8], OpError> {
    if bytes.len() > limits::COMPUTED_BYTES_MAX {
        return Err(OpError::throw("RangeError", "One operation takes at most 256 KiB; go on in pieces."));
    }
    Ok(bytes)
}

pub(super) fn digest(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    let mut digest = Digest::new(args.text()?)?;
    digest.update(bounded(args.bytes()?)?);
    reply.bytes(&digest.finish());
    Ok(true)
}

/// A digest, with or without a key, that takes its input in pieces.
pub(super) enum Digest {
    /// Not part of WebCrypto; Workers offer it for systems that still need it.
    Md5(md5::Md5),
    /// The SHA family.
    Sha(ring_digest::Context),
    /// A signature over one of the SHA family.
    Hmac(hmac::Context),
}

impl Digest {
    pub(super) fn new(name: &str) -> Result<Self, OpError> {
        if name.eq_ignore_ascii_case("MD5") {
            return Ok(Self::Md5(md5::Md5::new()));
        }
        let algorithm = match normalise(name) {
            Some(Hash::Sha1) => &ring_digest::SHA1_FOR_LEGACY_USE_ONLY,
            Some(Hash::Sha256) => &ring_digest::SHA256,
            Some(Hash::Sha384) => &ring_digest::SHA384,
            Some(Hash::Sha512) => &ring_digest::SHA512,
            None => return Err(unsupported(name)),
        };
        Ok(Self::Sha(ring_digest::Context::new(algorithm)))
    }

    pub(super) fn hmac(hash: &str, key: &[u8]) -> Result<Self, OpError> {
        let key = hmac::Key::new(hmac_algorithm(hash)?, bounded(key)?);
        Ok(Self::Hmac(hmac::Context::with_key(&key)))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(digest) => digest.update(bytes),
            Self::Sha(digest) => digest.update(bytes),
            Self::Hmac(digest) => digest.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(digest) => digest.finalize().to_vec(),
            Self::Sha(digest) => digest.finish().as_ref().to_vec(),
            Self::Hmac(digest) => digest.sign().as_ref().to_vec(),
        }
    }
}

pub(super) fn hmac_sign(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    let key = hmac::Key::new(hmac_algorithm(args.text()?)?, bounded(args.bytes()?)?);
    reply.bytes(hmac::sign(&key, bounded(args.bytes()?)?).as_ref());
    Ok(true)
}

pub(super) fn hmac_verify(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    let key = hmac::Key::new(hmac_algorithm(args.text()?)?, bounded(args.bytes()?)?);
    let signature = args.bytes()?;
    reply.bool(hmac::verify(&key, bounded(args.bytes()?)?, signature).is_ok());
    Ok(true)
}

pub(super) fn timing_safe_equal(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    let (a, b) = (bounded(args.bytes()?)?, bounded(args.bytes()?)?);
    // A hash of fixed length under a key makes the comparison independent of where the inputs differ.
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"skerry timing safe equal");
    let tag = hmac::sign(&key, a);
    reply.bool(a.len() == b.len() && hmac::verify(&key, b, tag.as_ref()).is_ok());
    Ok(true)
}

#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

fn normalise(name: &str) -> Option<Hash> {
    [("SHA-1", Hash::Sha1), ("SHA-256", Hash::Sha256), ("SHA-384", Hash::Sha384), ("SHA-512", Hash::Sha512)]
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, hash)| hash)
}

fn hmac_algorithm(name: &str) -> Result<hmac::Algorithm, OpError> {
    match normalise(name) {
        Some(Hash::Sha1) => Ok(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Some(Hash::Sha256) => Ok(hmac::HMAC_SHA256),
        Some(Hash::Sha384) => Ok(hmac::HMAC_SHA384),
        Some(Hash::Sha512) => Ok(hmac::HMAC_SHA512),
        None => Err(unsupported(name)),
    }
}

fn unsupported(name: &str) -> OpError {
    OpError::throw("NotSupportedError", format!("Unrecognized name: {name}."))
}
