//! One call of the API, before it is sent.
//!
//! **Owns** paths, queries and bodies. **Must not know** connections. **Enter at** [`Call`].

use reqwest::Method;
use serde_json::Value;

/// A call; it can be sent more than once, and a write carries the same key each time.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(super) method: Method,
    /// Below `/client/v4`, each escaped when sent.
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) if_match: Option<String>,
    /// The same for every attempt, so that the API performs a repeated write once.
    pub(super) key: String,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Empty,
    Json(Value),
    Bytes(Vec<u8>),
    Form(Vec<Part>),
}

/// A part of a multipart form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// Present for files.
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Call {
    fn new<'s>(method: Method, segments: impl IntoIterator<Item = &'s str>) -> Self {
        Self {
            method,
            segments: segments.into_iter().map(str::to_owned).collect(),
            query: Vec::new(),
            body: Body::Empty,
            if_match: None,
            key: uuid::Uuid::new_v4().to_string(),
        }
    }

    pub(crate) fn get<'s>(segments: impl IntoIterator<Item = &'s str>) -> Self {
        Self::new(Method::GET, segments)
    }

    pub(crate) fn post<'s>(segments: impl IntoIterator<Item = &'s str>) -> Self {
        Self::new(Method::POST, segments)
    }

    pub(crate) fn put<'s>(segments: impl IntoIterator<Item = &'s str>) -> Self {
        Self::new(Method::PUT, segments)
    }

    pub(crate) fn patch<'s>(segments: impl IntoIterator<Item = &'s str>) -> Self {
        Self::new(Method::PATCH, segments)
    }

    pub(crate) fn delete<'s>(segments: impl IntoIterator<Item = &'s str>) -> Self {
        Self::new(Method::DELETE, segments)
    }

    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// As [`Call::query`], when there is a value.
    pub(crate) fn query_some(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(crate) fn json(mut self, value: Value) -> Self {
        self.body = Body::Json(value);
        self
    }

    pub(crate) fn bytes(mut self, bytes: Vec<u8>) -> Self {
        self.body = Body::Bytes(bytes);
        self
    }

    pub(crate) fn form(mut self, parts: Vec<Part>) -> Self {
        self.body = Body::Form(parts);
        self
    }

    /// Refuses (412) if what the call changes has moved since `etag` was read.
    pub(crate) fn if_match(mut self, etag: Option<String>) -> Self {
        self.if_match = etag;
        self
    }

    pub(super) fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// For messages. KV keys are user data, so the query stays out.
    pub(super) fn describe(&self) -> String {
        format!("{} /{}", self.method, self.segments.join("/"))
    }
}

pub(super) fn form(parts: &[Part]) -> Result<reqwest::multipart::Form, String> {
    let mut form = reqwest::multipart::Form::new();
    for part in parts {
        let mut sent = reqwest::multipart::Part::bytes(part.bytes.clone())
            .mime_str(&part.content_type)
            .map_err(|error| format!("{}: {error}", part.name))?;
        if let Some(name) = &part.file_name {
            sent = sent.file_name(name.clone());
        }
        form = form.part(part.name.clone(), sent);
    }
    Ok(form)
}
