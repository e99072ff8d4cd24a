//! One call of the API: where it is, who may use it, what it says of itself, and what answers it.
//!
//! **Owns** that a route can not exist without an access rule and a description: the router and the OpenAPI document
//! are made from the same [`Endpoint`]s. **Must not know** what any call does. **Enter at** [`Endpoints::add`].

use std::collections::BTreeMap;

use axum::{
    Router,
    handler::Handler,
    middleware,
    routing::{MethodFilter, on},
};
use utoipa::{
    ToSchema,
    openapi::{
        Content, HttpMethod, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required, ResponseBuilder, Schema,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    Deps,
    auth::{self, Rule},
    carry::{self, Carrier, Place},
    conditions::Conditions,
    envelope::{ErrorView, ResultInfo},
    traced,
};

/// One call, described. Built by chaining, then handed to [`Endpoints::add`].
pub(crate) struct Endpoint {
    method: HttpMethod,
    paths: Vec<String>,
    rule: Rule,
    place: Place,
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
    query: Vec<(&'static str, &'static str)>,
    conditions: Conditions,
    repeatable: bool,
    request: Option<(&'static str, RefOr<Schema>)>,
    result: Option<RefOr<Schema>>,
    raw_answer: Option<&'static str>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Endpoint {
    fn new(method: HttpMethod, path: &str, id: &'static str, summary: &'static str) -> Self {
        let place = if method == HttpMethod::Get { Place::Here } else { Place::Leader };
        Self {
            method,
            paths: vec![path.to_owned()],
            rule: Rule::AnyToken,
            place,
            tag: "accounts",
            id,
            summary,
            query: Vec::new(),
            conditions: Conditions::Ignored,
            repeatable: false,
            request: None,
            result: None,
            raw_answer: None,
            schemas: Vec::new(),
        }
    }

    /// A read.
    pub(crate) fn get(path: &str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Get, path, id, summary)
    }

    /// A write that makes something or does something.
    pub(crate) fn post(path: &str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Post, path, id, summary)
    }

    /// A write that puts something in its place.
    pub(crate) fn put(path: &str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Put, path, id, summary)
    }

    /// A write that changes a part of something.
    pub(crate) fn patch(path: &str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Patch, path, id, summary)
    }

    /// A write that removes something.
    pub(crate) fn delete(path: &str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Delete, path, id, summary)
    }

    /// The same call under a second path.
    pub(crate) fn also(mut self, path: &str) -> Self {
        self.paths.push(path.to_owned());
        self
    }

    /// Who may use it; any token when not said.
    pub(crate) fn needs(mut self, rule: impl Into<Rule>) -> Self {
        self.rule = rule.into();
        self
    }

    /// Answered by the node that was asked although it changes something: not the catalog.
    pub(crate) fn here(mut self) -> Self {
        self.place = Place::Here;
        self
    }

    /// Answered by the leader although it changes nothing: only the leader knows.
    pub(crate) fn on_leader(mut self) -> Self {
        self.place = Place::Leader;
        self
    }

    /// The group it is listed in.
    pub(crate) fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// A query parameter.
    pub(crate) fn query(mut self, name: &'static str, description: &'static str) -> Self {
        self.query.push((name, description));
        self
    }

    /// Takes `Idempotency-Key`: a repeated request is done once and gets the first one's answer.
    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Changes an environment, or makes one, and keeps `If-Match` and `If-None-Match`; repeatable too.
    pub(crate) fn conditional(mut self) -> Self {
        self.conditions = Conditions::MatchOrAbsent;
        self.repeatable()
    }

    /// Changes a service and keeps `If-Match`; repeatable too.
    pub(crate) fn if_match(mut self) -> Self {
        self.conditions = Conditions::Match;
        self.repeatable()
    }

    /// Takes `page` and `per_page`.
    pub(crate) fn paged(self) -> Self {
        self.query("page", "The page, from 1.").query("per_page", "Results on a page, 1 to 100; 20 when absent.")
    }

    /// Takes this JSON body.
    pub(crate) fn takes<T: ToSchema>(mut self) -> Self {
        let schema = self.reference::<T>();
        self.request = Some(("application/json", schema));
        self
    }

    /// Takes a list of these as its JSON body.
    pub(crate) fn takes_list<T: ToSchema>(mut self) -> Self {
        let item = self.reference::<T>();
        self.request = Some(("application/json", array_of(item)));
        self
    }

    /// Takes a body that is not JSON.
    pub(crate) fn takes_raw(mut self, content_type: &'static str) -> Self {
        self.request = Some((content_type, ObjectBuilder::new().into()));
        self
    }

    /// Answers this as `result`.
    pub(crate) fn answers<T: ToSchema>(mut self) -> Self {
        self.result = Some(self.reference::<T>());
        self
    }

    /// Answers a list of these as `result`.
    pub(crate) fn lists<T: ToSchema>(mut self) -> Self {
        let item = self.reference::<T>();
        self.result = Some(array_of(item));
        self
    }

    /// Answers bytes without an envelope.
    pub(crate) fn answers_raw(mut self, content_type: &'static str) -> Self {
        self.raw_answer = Some(content_type);
        self
    }

    fn reference<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let mut nested = Vec::new();
        T::schemas(&mut nested);
        self.schemas.extend(nested);
        let name = T::name();
        // Primitives have no name of their own worth a reference.
        if matches!(name.as_ref(), "String" | "str" | "bool" | "Value" | "u64" | "TupleUnit" | "()") {
            return T::schema();
        }
        self.schemas.push((name.to_string(), T::schema()));
        Ref::from_schema_name(name).into()
    }

    fn filter(&self) -> MethodFilter {
        match self.method {
            HttpMethod::Get => MethodFilter::GET,
            HttpMethod::Post => MethodFilter::POST,
            HttpMethod::Put => MethodFilter::PUT,
            HttpMethod::Patch => MethodFilter::PATCH,
            _ => MethodFilter::DELETE,
        }
    }

    fn operation(&self, path: &str, is_first: bool) -> OperationBuilder {
        let id = if is_first { self.id.to_owned() } else { format!("{}At{}", self.id, path.matches('/').count()) };
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(id))
            .summary(Some(self.summary))
            .description(Some(self.rule.description()));
        for name in parameters_of(path) {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Path)
                    .required(Required::True)
                    .schema(Some(text_schema())),
            );
        }
        for (name, description) in &self.query {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(*name)
                    .parameter_in(ParameterIn::Query)
                    .required(Required::False)
                    .description(Some(*description))
                    .schema(Some(text_schema())),
            );
        }
        for (name, description) in self.headers() {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Header)
                    .required(Required::False)
                    .description(Some(description))
                    .schema(Some(text_schema())),
            );
        }
        if let Some((content_type, schema)) = &self.request {
            let body = RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content(*content_type, Content::new(Some(schema.clone())));
            operation = operation.request_body(Some(body.build()));
        }
        if self.rule != Rule::Public {
            operation = operation.security(SecurityRequirement::new::<_, [&str; 0], _>("token", []));
        }
        if self.conditions != Conditions::Ignored {
            operation = operation.response("412", refusal(STALE));
        }
        if self.repeatable {
            operation = operation.response("409", refusal(CONFLICT));
        }
        operation.response("200", self.success()).response("default", Ref::from_response_name("Error"))
    }

    /// The headers that make the call conditional and repeatable.
    fn headers(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let keeps = |needed| self.conditions >= needed;
        let if_match = keeps(Conditions::Match).then_some(("If-Match", IF_MATCH));
        let if_none_match = keeps(Conditions::MatchOrAbsent).then_some(("If-None-Match", IF_NONE_MATCH));
        let key = self.repeatable.then_some(("Idempotency-Key", IDEMPOTENCY_KEY));
        [if_match, if_none_match, key].into_iter().flatten()
    }

    fn success(&self) -> ResponseBuilder {
        if let Some(content_type) = self.raw_answer {
            return ResponseBuilder::new()
                .description("The content itself")
                .content(content_type, Content::new(Some(RefOr::from(ObjectBuilder::new()))));
        }
        let result = self.result.clone().unwrap_or_else(|| ObjectBuilder::new().schema_type(Type::Null).into());
        let envelope = ObjectBuilder::new()
            .property("success", ObjectBuilder::new().schema_type(Type::Boolean))
            .property("errors", array_of(Ref::from_schema_name("ErrorView").into()))
            .property("messages", array_of(text_schema()))
            .property("result", result)
            .property("result_info", Ref::from_schema_name("ResultInfo"))
            .required("success")
            .required("result");
        ResponseBuilder::new()
            .description("Done")
            .content("application/json", Content::new(Some(RefOr::from(envelope))))
    }
}

/// The calls collected so far: a router, and the document that describes it.
pub(crate) struct Endpoints {
    router: Router<Deps>,
    deps: Deps,
    paths: Paths,
    schemas: BTreeMap<String, RefOr<Schema>>,
}

impl Endpoints {
    /// No calls yet.
    pub(crate) fn new(deps: Deps) -> Self {
        let mut endpoints = Self { router: Router::new(), deps, paths: Paths::new(), schemas: BTreeMap::new() };
        endpoints.schema::<ErrorView>();
        endpoints.schema::<ResultInfo>();
        endpoints
    }

    fn schema<T: ToSchema>(&mut self) {
        let mut nested = vec![(T::name().to_string(), T::schema())];
        T::schemas(&mut nested);
        self.schemas.extend(nested);
    }

    /// Adds one call under each of its paths.
    pub(crate) fn add<H, T>(&mut self, endpoint: Endpoint, handler: H)
    where
        H: Handler<T, Deps>,
        T: 'static,
    {
        let guard = auth::Guard { deps: self.deps.clone(), rule: endpoint.rule, conditions: endpoint.conditions };
        for (place, path) in endpoint.paths.iter().enumerate() {
            let mut answer = on(endpoint.filter(), handler.clone())
                .layer(middleware::from_fn_with_state(guard.clone(), auth::check));
            if endpoint.place == Place::Leader {
                let carrier = Carrier { guard: guard.clone(), repeatable: endpoint.repeatable };
                answer = answer.layer(middleware::from_fn_with_state(carrier, carry::to_leader));
            }
            answer = answer.layer(middleware::from_fn_with_state(self.deps.control.clone(), traced::call));
            let router = std::mem::take(&mut self.router);
            self.router = router.route(path, answer);
            // OpenAPI has no name for a parameter that spans segments.
            let described = path.replace("{*", "{");
            let operation = endpoint.operation(&described, place == 0);
            self.paths.add_path_operation(&described, vec![endpoint.method.clone()], operation);
        }
        self.schemas.extend(endpoint.schemas);
    }

    /// The router, and the document.
    pub(crate) fn finish(self, version: &str) -> (Router<Deps>, OpenApi) {
        let error = refusal("Why not; the envelope with `success` false");
        let components = ComponentsBuilder::new()
            .schemas_from_iter(self.schemas)
            .response("Error", error)
            .security_scheme("token", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
        let mut info = utoipa::openapi::Info::new("Skerry API", version);
        info.description = Some("Cloudflare's v4 calls, and ours in the same style.".into());
        let document = OpenApiBuilder::new()
            .info(info)
            .servers(Some([utoipa::openapi::Server::new("/client/v4")]))
            .paths(self.paths)
            .components(Some(components.build()))
            .build();
        (self.router, document)
    }
}

const IF_MATCH: &str = "The ETag of what the caller has seen, such as `\"1f\"`: 412 when it has changed since. `*`: 412 \
                        when it does not exist.";
const IF_NONE_MATCH: &str = "`*`: 412 when it exists already.";
const IDEMPOTENCY_KEY: &str = "A name for this request, 1 to 167 characters: repeated under the same name, it is done \
                               once and gets the first one's answer.";
const STALE: &str = "It is not as `If-Match` or `If-None-Match` say (10412); nothing was changed.";
const CONFLICT: &str = "Something is in the way (10040, 10064), or the Idempotency-Key was used for another request \
                        (10042); nothing was changed.";

fn refusal(description: &str) -> ResponseBuilder {
    let envelope = ObjectBuilder::new()
        .property("success", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("errors", array_of(Ref::from_schema_name("ErrorView").into()));
    let content = Content::new(Some(RefOr::from(envelope)));
    ResponseBuilder::new().description(description).content("application/json", content)
}

fn parameters_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

fn text_schema() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).into()
}

fn array_of(item: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(item).into()
}
