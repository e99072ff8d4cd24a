//! Pure. What an upload says about itself: the JSON of its `metadata` part.
//!
//! **Owns** which metadata we understand and which we refuse. **Must not know** the catalog or the files. **Enter at**
//! [`Metadata::parse`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    api::{body::parse_json, error::ApiError},
    catalog::limits::{ANNOTATION_BYTES_MAX, BINDINGS_MAX, COMPATIBILITY_FLAGS_MAX, TAG_BYTES_MAX, TAGS_MAX},
};

/// The metadata of an upload, as written. Fields that we have no use for are ignored, as Cloudflare does.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Metadata {
    /// The part that is the entry module.
    #[serde(default)]
    pub main_module: Option<String>,
    /// The part that is the script, for the older service-worker syntax.
    #[serde(default)]
    pub body_part: Option<String>,
    /// What `env` holds.
    #[serde(default)]
    pub bindings: Vec<RawBinding>,
    /// `YYYY-MM-DD`.
    #[serde(default)]
    pub compatibility_date: Option<String>,
    /// Flags by name.
    #[serde(default)]
    pub compatibility_flags: Option<Vec<String>>,
    /// Binding types that the version before gives though they are not sent; secrets when absent, as on Cloudflare.
    #[serde(default)]
    pub keep_bindings: Option<Vec<String>>,
    /// `workers/message`, `workers/tag` and others.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, Option<String>>>,
    /// Tags of the environment.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// What the worker may use.
    #[serde(default)]
    pub limits: Option<RawLimits>,
    /// Ours: inherited bindings that this environment takes away; those of the version before when absent.
    #[serde(default)]
    pub removed_bindings: Option<Vec<String>>,
    /// Durable Object migrations.
    #[serde(default)]
    pub migrations: Option<Value>,
    /// Static assets.
    #[serde(default)]
    pub assets: Option<Value>,
    /// Containers.
    #[serde(default)]
    pub containers: Option<Vec<Value>>,
    /// Workers that receive this one's logs.
    #[serde(default)]
    pub tail_consumers: Option<Vec<Value>>,
}

/// A binding as written; what else it holds depends on its type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct RawBinding {
    /// Its name in `env`.
    pub name: String,
    /// `plain_text`, `kv_namespace`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// The rest.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Limits as written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct RawLimits {
    /// CPU time of one event in milliseconds.
    #[serde(default)]
    pub cpu_ms: Option<u32>,
    /// Outgoing calls of one event.
    #[serde(default)]
    pub subrequests: Option<u32>,
}

impl Metadata {
    /// Reads the JSON text and checks what can be checked without the catalog.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, ApiError> {
        let metadata: Self = parse_json("metadata", json).map_err(in_upload)?;
        metadata.check()?;
        Ok(metadata)
    }

    fn check(&self) -> Result<(), ApiError> {
        if let (Some(_), Some(_)) = (&self.main_module, &self.body_part) {
            return Err(ApiError::upload("body_part", "can not be given together with main_module; give one of them"));
        }
        if self.bindings.len() > BINDINGS_MAX {
            return Err(ApiError::upload("bindings", format!("has more than {BINDINGS_MAX} entries")));
        }
        if let Some(date) = &self.compatibility_date
            && !is_date(date)
        {
            return Err(ApiError::upload("compatibility_date", format!("{date:?} is not a date; use YYYY-MM-DD")));
        }
        if self.compatibility_flags.as_ref().is_some_and(|flags| flags.len() > COMPATIBILITY_FLAGS_MAX) {
            let problem = format!("has more than {COMPATIBILITY_FLAGS_MAX} entries");
            return Err(ApiError::upload("compatibility_flags", problem));
        }
        check_tags("tags", self.tags.as_deref().unwrap_or_default())?;
        for (name, value) in self.annotations.iter().flatten() {
            let too_long = |text: &String| text.len() > ANNOTATION_BYTES_MAX;
            if too_long(name) || value.as_ref().is_some_and(too_long) {
                let problem = format!("{} is too long; {ANNOTATION_BYTES_MAX} bytes at most", clip(name));
                return Err(ApiError::upload("annotations", problem));
            }
        }
        self.check_unsupported()
    }

    fn check_unsupported(&self) -> Result<(), ApiError> {
        let holds_something = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null());
        if holds_something(&self.assets) {
            return Err(ApiError::Unsupported("assets: static assets".into()));
        }
        if self.containers.as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(ApiError::Unsupported("containers".into()));
        }
        if self.tail_consumers.as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(ApiError::Unsupported("tail_consumers".into()));
        }
        Ok(())
    }

    /// Whether Durable Object migrations came along.
    pub(crate) fn has_migrations(&self) -> bool {
        self.migrations.as_ref().is_some_and(|value| !value.is_null())
    }

    /// The annotations that have a value.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        let given = self.annotations.iter().flatten();
        given.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }
}

/// Checks tags wherever they come from.
pub(crate) fn check_tags(field: &str, tags: &[String]) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(ApiError::upload(field, format!("has more than {TAGS_MAX} entries")));
    }
    match tags.iter().find(|tag| tag.is_empty() || tag.len() > TAG_BYTES_MAX || tag.contains(',')) {
        Some(tag) => {
            let problem = format!("{:?} is not a tag; use 1 to {TAG_BYTES_MAX} bytes, no comma", clip(tag));
            Err(ApiError::upload(field, problem))
        }
        None => Ok(()),
    }
}

/// The start of a text that came from outside, for a message.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The same failure with the code that Cloudflare gives to uploads.
fn in_upload(error: ApiError) -> ApiError {
    match error {
        ApiError::Field { field, problem } => ApiError::Upload { field, problem },
        other => other,
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}
