//! Pure. The catalog and its commands as stored messages.
//!
//! **Owns** the translation between domain types and `proto::catalog`. **Must not know** files or raft. **Enter at**
//! [`encode_command`] and [`encode_catalog`].
//!
//! Decoding checks every field and never panics. Equal values have equal bytes.

use std::{collections::BTreeMap, str::FromStr};

use skerry_proto::{
    catalog as pb,
    id::{IdError, Revision},
    versioned::{self, DecodeError, Kind},
};

use super::{Annotations, Catalog, Command};

mod change;
mod cluster;
mod command;
mod environment;
mod node;
mod part;
mod resource;
mod snapshot;
#[cfg(test)]
mod tests;
mod version;

/// Why stored bytes are no command or catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame or the message is broken. State: unchanged. Retry: no.
    #[error("the stored message can not be read")]
    Frame(#[from] DecodeError),
    /// A field is missing or has a value that it may not have. State: unchanged. Retry: no.
    #[error("field {field} of the stored message {rule}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        rule: String,
    },
}

impl WireError {
    fn field(field: &'static str, rule: impl ToString) -> Self {
        Self::Field { field, rule: rule.to_string() }
    }
}

/// The command as a framed message.
#[must_use]
pub fn encode_command(command: &Command) -> Vec<u8> {
    versioned::encode(Kind::Command, &pb::Command::from(command))
}

/// The command in a framed message.
pub fn decode_command(bytes: &[u8]) -> Result<Command, WireError> {
    versioned::decode::<pb::Command>(Kind::Command, bytes)?.try_into()
}

/// The catalog as a framed message.
#[must_use]
pub fn encode_catalog(catalog: &Catalog) -> Vec<u8> {
    versioned::encode(Kind::Catalog, &pb::Catalog::from(catalog))
}

/// The catalog in a framed message.
pub fn decode_catalog(bytes: &[u8]) -> Result<Catalog, WireError> {
    versioned::decode::<pb::Catalog>(Kind::Catalog, bytes)?.try_into()
}

/// A field that must be there.
fn need<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or_else(|| WireError::field(field, "is missing"))
}

/// An identifier.
fn id<T: FromStr<Err = IdError>>(field: &'static str, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|error| WireError::field(field, format!("is wrong: {error}")))
}

/// An identifier that may be absent.
fn maybe_id<T: FromStr<Err = IdError>>(field: &'static str, text: Option<&String>) -> Result<Option<T>, WireError> {
    text.map(|text| id(field, text)).transpose()
}

/// A text with a grammar of its own.
fn parse<T: FromStr>(field: &'static str, text: &str) -> Result<T, WireError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| WireError::field(field, format!("is wrong: {error}")))
}

/// 32 bytes.
fn hash(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], WireError> {
    bytes.try_into().map_err(|_length| WireError::field(field, "is not 32 bytes"))
}

/// A list, each entry converted.
fn list<T, U>(from: Vec<T>) -> Result<Vec<U>, WireError>
where
    U: TryFrom<T, Error = WireError>,
{
    from.into_iter().map(U::try_from).collect()
}

fn annotations(entries: BTreeMap<String, String>) -> Annotations {
    Annotations { entries }
}

fn revision(index: u64) -> Revision {
    Revision(index)
}
