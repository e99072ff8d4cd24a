//! KV namespaces.
//!
//! **Owns** the calls below `/storage/kv/namespaces` that are about a namespace as a whole. **Must not know** keys.
//! **Enter at** [`mount`].

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use skerry_proto::id::NamespaceId;
use utoipa::ToSchema;

use crate::{
    api::{
        Deps,
        account::Account,
        auth::{KV_READ, KV_WRITE},
        body::JsonBody,
        endpoint::{Endpoint, Endpoints},
        envelope::{Answer, Reply},
        error::{ApiError, Thing},
        page::Page,
        params::Params,
        query::Query,
        writer::Writer,
    },
    catalog::{Change, Namespace, limits::TEXT_BYTES_MAX},
    kv::KvError,
    mint,
};

/// A namespace as Cloudflare shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamespaceView {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Unique in the account.
    pub title: String,
    /// Keys may be percent-encoded in URLs.
    pub supports_url_encoding: bool,
    /// The id of the node that keeps its entries; ours.
    pub home: u64,
}

impl NamespaceView {
    fn of(namespace: &Namespace) -> Self {
        let (id, title) = (namespace.id.to_string(), namespace.title.clone());
        Self { id, title, supports_url_encoding: true, home: namespace.home.0 }
    }
}

/// What a namespace is called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TitleBody {
    /// 1 to 512 bytes.
    pub title: String,
}

/// The namespace that a path names, which exists and is the account's.
#[derive(Debug, Clone)]
pub(crate) struct Named(pub(crate) Arc<Namespace>);

impl FromRequestParts<Deps> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        let account = Account::from_request_parts(parts, deps).await?;
        let params = Params::from_request_parts(parts, deps).await?;
        Ok(Self(Arc::clone(find(&account, params.text("namespace")?)?)))
    }
}

fn find<'a>(account: &'a Account, text: &str) -> Result<&'a Arc<Namespace>, ApiError> {
    let found = NamespaceId::new(text).ok().and_then(|id| account.catalog.namespace(&id));
    let own = found.filter(|found| found.account == account.id);
    own.ok_or_else(|| ApiError::not_found(Thing::Namespace, format!("{text:.80}")))
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    const ALL: &str = "/accounts/{account}/storage/kv/namespaces";
    const ONE: &str = "/accounts/{account}/storage/kv/namespaces/{namespace}";
    let list = Endpoint::get(ALL, "listNamespaces", "The account's KV namespaces")
        .needs(KV_READ)
        .tag("kv")
        .paged()
        .query("order", "`id` or `title`.")
        .query("direction", "`asc` or `desc`.")
        .lists::<NamespaceView>();
    endpoints.add(list, list_all);
    let make = Endpoint::post(ALL, "createNamespace", "Makes a KV namespace").needs(KV_WRITE).tag("kv");
    endpoints.add(make.repeatable().takes::<TitleBody>().answers::<NamespaceView>(), create);
    let show = Endpoint::get(ONE, "getNamespace", "One KV namespace").needs(KV_READ).tag("kv");
    endpoints.add(show.answers::<NamespaceView>(), show_one);
    let rename = Endpoint::put(ONE, "renameNamespace", "Gives a KV namespace another title").needs(KV_WRITE);
    endpoints.add(rename.repeatable().tag("kv").takes::<TitleBody>().answers::<NamespaceView>(), rename_one);
    let remove = Endpoint::delete(ONE, "deleteNamespace", "Removes a KV namespace with everything in it");
    endpoints.add(remove.needs(KV_WRITE).tag("kv").repeatable(), delete_one);
}

async fn list_all(account: Account, page: Page, query: Query) -> Reply<Vec<NamespaceView>> {
    let mut all: Vec<_> = account.catalog.namespaces(&account.id).collect();
    match query.text("order") {
        None | Some("title") => all.sort_by(|one, other| one.title.cmp(&other.title)),
        Some("id") => all.sort_by(|one, other| one.id.cmp(&other.id)),
        Some(_) => return Err(ApiError::field("order", "use id or title")),
    }
    match query.text("direction") {
        None | Some("asc") => {}
        Some("desc") => all.reverse(),
        Some(_) => return Err(ApiError::field("direction", "use asc or desc")),
    }
    let total = all.len();
    let (items, info) = page.cut(all, total);
    Ok(Answer::ok(items.into_iter().map(|namespace| NamespaceView::of(namespace)).collect()).with_info(info))
}

async fn create(
    State(deps): State<Deps>,
    account: Account,
    writer: Writer,
    JsonBody(body): JsonBody<TitleBody>,
) -> Reply<NamespaceView> {
    check_title(&body.title)?;
    // Only the leader gets here: as long as one node keeps a whole namespace, it is one that is never far from the others.
    let (title, home) = (body.title.clone(), deps.control.node());
    let change = Change::CreateNamespace { account: account.id.clone(), id: mint::namespace_id(), title, home };
    let applied = writer.propose(&account.id, Vec::new(), vec![change]).await?;
    // A repeated call finds what the first one made.
    let catalog = deps.control.catalog();
    let made = catalog.namespaces(&account.id).find(|namespace| namespace.title == body.title);
    let made = made.ok_or_else(|| ApiError::not_found(Thing::Namespace, &body.title))?;
    Ok(Answer::ok(NamespaceView::of(made)).at(applied.revision))
}

async fn show_one(Named(namespace): Named) -> Reply<NamespaceView> {
    Ok(Answer::ok(NamespaceView::of(&namespace)))
}

async fn rename_one(
    Named(namespace): Named,
    writer: Writer,
    JsonBody(body): JsonBody<TitleBody>,
) -> Reply<NamespaceView> {
    check_title(&body.title)?;
    let account = namespace.account.clone();
    let change =
        Change::RenameNamespace { account: account.clone(), id: namespace.id.clone(), title: body.title.clone() };
    let applied = writer.propose(&account, Vec::new(), vec![change]).await?;
    let view = NamespaceView::of(&Namespace { title: body.title, ..Namespace::clone(&namespace) });
    Ok(Answer::ok(view).at(applied.revision))
}

async fn delete_one(State(deps): State<Deps>, account: Account, params: Params, writer: Writer) -> Reply<()> {
    // The catalog first: once nothing can name it, its entries can go. A crash between leaves bytes that no one sees;
    // the same request again removes them, and so does their home when it sweeps.
    let (id, applied) = match writer.replay(&account.id)? {
        Some(applied) => (params.id("namespace")?, applied),
        None => {
            let id = find(&account, params.text("namespace")?)?.id.clone();
            let change = Change::DeleteNamespace { account: account.id.clone(), id: id.clone() };
            let applied = writer.propose(&account.id, Vec::new(), vec![change]).await?;
            (id, applied)
        }
    };
    deps.kv.delete_namespace(&id).await.map_err(half_done)?;
    Ok(Answer::ok(()).at(applied.revision))
}

/// The catalog has changed whatever became of the entries, so it is never said that nothing was.
fn half_done(error: KvError) -> ApiError {
    ApiError::kv_write(match error {
        KvError::Undone { reason } => KvError::Unavailable { reason },
        error => error,
    })
}

fn check_title(title: &str) -> Result<(), ApiError> {
    if title.is_empty() || title.len() > TEXT_BYTES_MAX || title.chars().any(char::is_control) {
        return Err(ApiError::field("title", format!("use 1 to {TEXT_BYTES_MAX} bytes without control characters")));
    }
    Ok(())
}
