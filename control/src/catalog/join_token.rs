//! Pure. What lets a machine become a node.
//!
//! **Owns** the terms of a join token and the form of its text. **Must not know** the text itself, only its hash. **Enter
//! at** [`JoinToken`].
//!
//! The text is `skj_`, the 64 hexadecimal digits of the mesh authority's [`Fingerprint`], and 64 more of 256 random bits:
//! so the joiner knows whom it trusts before it says anything.

use skerry_proto::id::TokenId;

use super::{Fingerprint, NodeRole, TokenHash};

const PREFIX: &str = "skj_";

/// A join token, known by the hash of its text. It is gone once it is used up; once it has expired it goes when the next
/// token is made or used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Its public identity.
    pub id: TokenId,
    /// Its hash.
    pub hash: TokenHash,
    /// The role that it admits at most; `None` for every role.
    pub role: Option<NodeRole>,
    /// How many nodes it still admits, at least 1.
    pub uses_left: u32,
    /// Milliseconds since the Unix epoch; from then on it admits nobody.
    pub expires_at_ms: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// What people call it; empty when they do not.
    pub name: String,
}

impl JoinToken {
    /// Whether it has not expired at `now_ms`.
    #[must_use]
    pub fn is_current(&self, now_ms: i64) -> bool {
        now_ms < self.expires_at_ms
    }

    /// The text of a token. Whoever makes one gives 256 random bits.
    #[must_use]
    pub fn text(authority: Fingerprint, secret: [u8; 32]) -> String {
        format!("{PREFIX}{authority}{}", hex::encode(secret))
    }

    /// The mesh authority that a token's text names; `None` when it is no token's text. Says nothing about whether the
    /// token is any good.
    #[must_use]
    pub fn authority_in(text: &str) -> Option<Fingerprint> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 128 || !digits.bytes().all(is_lower_hex) {
            return None;
        }
        let mut fingerprint = [0; 32];
        hex::decode_to_slice(digits.get(..64)?, &mut fingerprint).ok()?;
        Some(Fingerprint(fingerprint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokens_text_names_the_authority_and_nothing_else_reads_like_one() {
        let fingerprint = Fingerprint::of(b"certificate");
        let text = JoinToken::text(fingerprint, [7; 32]);
        assert_eq!(JoinToken::authority_in(&text), Some(fingerprint));
        let upper = text.to_uppercase().replacen("SKJ_", PREFIX, 1);
        for wrong in ["", "skj_", &text[..131], &format!("{text}0"), &text.replacen("skj_", "skt_", 1), &upper] {
            assert_eq!(JoinToken::authority_in(wrong), None, "{wrong}");
        }
        // 128 bytes that no character boundary divides in the middle.
        assert_eq!(JoinToken::authority_in(&format!("skj_{}", "€".repeat(42) + "ab")), None);
    }
}
