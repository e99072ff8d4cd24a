//! Pure. What a node needs to join: whom to trust, and a secret that the cluster trusts.
//!
//! **Owns** the token's text. **Must not know** who made it or whether it is still valid. **Enter at** [`JoinToken`].

use std::{fmt, str::FromStr};

const PREFIX: &str = "skj_";
const DIGITS: usize = 64;

/// A join token: `skj_`, the authority's fingerprint in 64 hexadecimal digits, and 64 of secret.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The BLAKE3 hash of the mesh authority's certificate (DER): the joining node trusts nobody else.
    pub authority: [u8; 32],
    /// What the cluster knows the token by.
    pub secret: [u8; 32],
}

/// Why a text is no join token. State: unchanged. Retry: with the whole token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// It begins with something else. State: unchanged. Retry: with a join token.
    #[error("a join token begins with `{PREFIX}`; get one with `skerry cluster join-token`")]
    Prefix,
    /// It was cut off, or more was pasted. State: unchanged. Retry: with the whole token.
    #[error("a join token has {} characters, this one has {found}: copy it whole", PREFIX.len() + 2 * DIGITS)]
    Length {
        /// How many it has.
        found: usize,
    },
    /// A character is no hexadecimal digit. State: unchanged. Retry: with the right token.
    #[error("character {place} of the join token is no hexadecimal digit: copy it again")]
    Digit {
        /// Counted from 1.
        place: usize,
    },
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    /// Reads a token, white space around it left out.
    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let text = text.trim();
        let digits = text.strip_prefix(PREFIX).ok_or(JoinTokenError::Prefix)?;
        if let Some(at) = digits.chars().position(|digit| !digit.is_ascii_hexdigit()) {
            return Err(JoinTokenError::Digit { place: PREFIX.len() + at + 1 });
        }
        let length = JoinTokenError::Length { found: text.len() };
        let Some((authority, secret)) = digits.split_at_checked(DIGITS) else { return Err(length) };
        let mut token = Self { authority: [0; 32], secret: [0; 32] };
        let decoded = hex::decode_to_slice(authority, &mut token.authority)
            .and_then(|()| hex::decode_to_slice(secret, &mut token.secret));
        decoded.map(|()| token).ok().ok_or(length)
    }
}

/// The text that the operator copies: it holds the secret.
impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}{}", hex::encode(self.authority), hex::encode(self.secret))
    }
}

/// Without the secret.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({}, ..)", hex::encode(self.authority))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_is_read_as_it_was_written(authority in any::<[u8; 32]>(), secret in any::<[u8; 32]>()) {
            let token = JoinToken { authority, secret };
            prop_assert_eq!(format!(" {token}\n").parse(), Ok(token.clone()));
            let shown = format!("{token:?}");
            prop_assert!(!shown.contains(&hex::encode(secret)));
        }

        #[test]
        fn whatever_is_cut_off_or_added_is_refused(cut in 0_usize..132, added in "[0-9a-f]{1,9}") {
            let whole = JoinToken { authority: [7; 32], secret: [9; 32] }.to_string();
            prop_assert!(whole[..cut].parse::<JoinToken>().is_err());
            let longer = JoinTokenError::Length { found: whole.len() + added.len() };
            prop_assert_eq!((whole + &added).parse::<JoinToken>(), Err(longer));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*", tail in ".{0,140}") {
            let _ = text.parse::<JoinToken>();
            let _ = format!("skj_{tail}").parse::<JoinToken>();
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let whole = JoinToken { authority: [7; 32], secret: [9; 32] }.to_string();
        let refused = |text: &str| text.parse::<JoinToken>().unwrap_err().to_string();
        assert!(refused("skt_0707").contains("begins with `skj_`"));
        assert!(refused(&whole[..100]).contains("has 132 characters, this one has 100"));
        assert!(refused(&whole.replacen("09", "0x", 1)).contains("character 70"));
    }
}
