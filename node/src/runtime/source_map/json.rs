//! Pure. The JSON around a source map.
//!
//! **Owns** the names of sources as people see them. **Must not know** mappings. **Enter at** [`read`].

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

use crate::runtime::limits;

/// A map whose mappings have not been looked at.
pub(super) struct Map {
    pub(super) sources: Vec<Option<Box<str>>>,
    pub(super) mappings: Bytes,
}

#[derive(Deserialize)]
struct Json<'a> {
    version: u32,
    #[serde(borrow)]
    mappings: Cow<'a, str>,
    #[serde(borrow)]
    sources: Sources<'a>,
    #[serde(default, rename = "sourceRoot")]
    root: Option<Cow<'a, str>>,
}

/// Reads a map that lies in `folder`; its mappings stay where they are.
pub(super) fn read(json: &Bytes, folder: &str) -> Option<Map> {
    let Json { version, mappings, sources, root } = serde_json::from_slice(json).ok()?;
    if version != 3 {
        return None;
    }
    let root = root.unwrap_or_default();
    let sources = sources.0.into_iter().map(|source| shown(folder, &root, &source?)).collect();
    let mappings = match mappings {
        Cow::Borrowed(text) => json.slice_ref(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text.into_bytes()),
    };
    Some(Map { sources, mappings })
}

/// The name of a source as stacks show it; `None` when it can not be shown.
fn shown(folder: &str, root: &str, source: &str) -> Option<Box<str>> {
    let root = root.trim_end_matches('/');
    let path = if root.is_empty() { source.to_owned() } else { format!("{root}/{source}") };
    let name = if path.contains("://") || path.starts_with('/') { path } else { joined(folder, &path) };
    let fits = !name.is_empty() && name.len() <= limits::SOURCE_NAME_BYTES_MAX && !name.chars().any(char::is_control);
    fits.then(|| name.into())
}

/// A relative path from `folder`, without detours; a bundle in `dist` has its sources outside it, which nobody needs to be told.
pub(crate) fn joined(folder: &str, path: &str) -> String {
    let mut steps = Vec::new();
    for step in folder.split('/').chain(path.split('/')) {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps.join("/")
}

/// The names as they stand in the map, of which there are no more than can be.
struct Sources<'a>(Vec<Option<Cow<'a, str>>>);

impl<'de: 'a, 'a> Deserialize<'de> for Sources<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Sources<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element::<Option<Name<'de>>>()? {
            if names.len() == limits::SOURCES_MAX {
                return Err(A::Error::custom("too many sources"));
            }
            names.push(name.map(|Name(name)| name));
        }
        Ok(Sources(names))
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
