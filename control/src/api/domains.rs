//! Custom domains: whole hosts that lead to an environment.
//!
//! **Owns** an account's custom domains. **Must not know** DNS or TLS. **Enter at** [`mount`].

use axum::extract::State;
use serde::{Deserialize, Serialize};
use skerry_proto::id::{AccountId, EnvironmentName, Hostname, ServiceName};
use utoipa::ToSchema;

use super::{
    Deps,
    account::Account,
    auth::{ROUTES_READ, ROUTES_WRITE},
    body::JsonBody,
    certificates,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::{self, Extent},
    params::Params,
    paths,
    query::Query,
    target::Target,
    writer::Writer,
    zones,
};
use crate::{
    catalog::{Catalog, Change, Domain, EnvironmentKey, HostPattern, Noun, Rejection, ServiceKey},
    mint,
};

/// BOUND: custom domains in one call of wrangler.
const ORIGINS_MAX: usize = 100;

/// A custom domain as Cloudflare shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DomainView {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The host.
    pub hostname: String,
    /// The service that answers.
    pub service: String,
    /// Its environment.
    pub environment: String,
    /// The zone of the host.
    pub zone_id: String,
    /// The zone of the host.
    pub zone_name: String,
}

/// A custom domain to set. `zone_id` and `zone_name` are accepted too; the host says it all.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct DomainBody {
    /// The host; lower-case, no wildcard, and without routes of another account.
    pub hostname: String,
    /// The service that answers.
    pub service: String,
    /// Its environment; `production` when absent.
    #[serde(default)]
    pub environment: Option<String>,
    /// Whether a domain of another environment is taken over.
    #[serde(default)]
    pub override_existing_origin: bool,
}

/// All custom domains that wrangler wants an environment to have. There are no DNS records that could be in the way, so
/// `override_existing_dns_record` and `override_scope` are accepted and mean nothing.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct DomainRecords {
    /// Whether a domain of another environment is taken over.
    #[serde(default)]
    pub override_existing_origin: bool,
    /// The domains.
    pub origins: Vec<Origin>,
}

/// One custom domain that wrangler wants.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct Origin {
    /// The host.
    pub hostname: String,
}

/// What setting domains would change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangesetView {
    /// New ones.
    pub added: Vec<DomainView>,
    /// Those that would go.
    pub removed: Vec<DomainView>,
    /// Those that stay or change hands.
    pub updated: Vec<UpdatedView>,
    /// Always empty: there are no DNS records to conflict with.
    pub conflicting: Vec<DomainView>,
}

/// A domain that stays or changes hands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UpdatedView {
    /// The domain as it is.
    #[serde(flatten)]
    pub domain: DomainView,
    /// Whether it would change hands.
    pub modified: bool,
}

impl DomainView {
    fn of(catalog: &Catalog, domain: &Domain) -> Self {
        Self {
            id: domain.id.to_string(),
            hostname: domain.hostname.to_string(),
            service: domain.environment.service.to_string(),
            environment: domain.environment.environment.to_string(),
            zone_id: zones::id_of(catalog, &domain.hostname),
            zone_name: domain.hostname.to_string(),
        }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let all = "/accounts/{account}/workers/domains";
    let records = "/accounts/{account}/workers/domains/records";
    let list = Endpoint::get(all, "listDomains", "Custom domains").also(records).needs(ROUTES_READ).tag("domains");
    let list = list.query("page", page::PAGE_OF_WHOLE).query("per_page", page::PER_PAGE_OF_WHOLE);
    let list = list.query("hostname", "Only this host.").query("service", "Only this service's.");
    endpoints.add(list.query("environment", "Only this environment's.").lists::<DomainView>(), list_all);
    let set = Endpoint::put(all, "putDomain", "Adds a custom domain or gives it to another environment");
    let set = set.needs(ROUTES_WRITE).tag("domains").conditional();
    endpoints.add(set.takes::<DomainBody>().answers::<DomainView>(), put_one);
    let one = "/accounts/{account}/workers/domains/{domain}";
    let show = Endpoint::get(one, "getDomain", "One custom domain, by id or host");
    let show = show.also("/accounts/{account}/workers/domains/records/{domain}").needs(ROUTES_READ).tag("domains");
    endpoints.add(show.answers::<DomainView>(), show_one);
    let remove = Endpoint::delete(one, "deleteDomain", "Removes a custom domain").needs(ROUTES_WRITE).tag("domains");
    endpoints.add(remove.repeatable(), delete_one);
    let [script, service] = paths::environment("/domains/records");
    let set = Endpoint::put(&script, "putDomainRecords", "Adds custom domains to an environment").also(&service);
    let set = set.needs(ROUTES_WRITE).tag("domains").conditional();
    endpoints.add(set.takes::<DomainRecords>().lists::<DomainView>(), put_records);
    let [script, service] = paths::environment("/domains/changeset");
    let plan = Endpoint::post(&script, "planDomainRecords", "What setting custom domains would change").also(&service);
    let plan = plan.needs(ROUTES_READ).tag("domains").query("replace_state", "Accepted.");
    endpoints.add(plan.takes_list::<Origin>().answers::<ChangesetView>(), plan_records);
}

// BOUND: without a page, the domains of one account, of which there are `limits::DOMAINS_MAX` at most.
async fn list_all(account: Account, query: Query, extent: Extent) -> Reply<Vec<DomainView>> {
    let catalog = &account.catalog;
    let wanted = |name: &str, value: &str| query.text(name).is_none_or(|text| text == value);
    let all: Vec<_> = catalog
        .domains()
        .filter(|domain| domain.environment.service.account == account.id)
        .filter(|domain| wanted("hostname", domain.hostname.as_str()))
        .filter(|domain| wanted("service", domain.environment.service.name.as_str()))
        .filter(|domain| wanted("environment", domain.environment.environment.as_str()))
        .collect();
    let total = all.len();
    let (items, info) = extent.cut(all, total);
    Ok(Answer::ok(items.into_iter().map(|domain| DomainView::of(catalog, domain)).collect()).with_info(info))
}

fn find<'a>(catalog: &'a Catalog, account: &AccountId, params: &Params) -> Result<&'a Domain, ApiError> {
    let text = params.text("domain")?;
    let mut own = catalog.domains().filter(|domain| domain.environment.service.account == *account);
    let found = own.find(|domain| domain.id.as_str() == text || domain.hostname.as_str() == text);
    found.map(|domain| &**domain).ok_or_else(|| ApiError::not_found(Thing::Domain, format!("{text:.80}")))
}

async fn show_one(account: Account, params: Params) -> Reply<DomainView> {
    let domain = find(&account.catalog, &account.id, &params)?;
    Ok(Answer::ok(DomainView::of(&account.catalog, domain)))
}

async fn put_one(
    State(deps): State<Deps>,
    account: Account,
    writer: Writer,
    JsonBody(body): JsonBody<DomainBody>,
) -> Reply<DomainView> {
    let service = ServiceKey { account: account.id.clone(), name: ServiceName::new(&body.service)? };
    let environment = match &body.environment {
        Some(name) => EnvironmentName::new(name)?,
        None => EnvironmentName::production(),
    };
    let hostname = parse_host("hostname", &body.hostname)?;
    let key = service.environment(environment);
    refuse_routed(&account.catalog, &account.id, "hostname", &hostname)?;
    if !body.override_existing_origin {
        refuse_taken(&account.catalog, &key, &hostname)?;
    }
    let changes = put_changes(&deps, &account.catalog, &key, vec![hostname.clone()])?;
    let applied = writer.propose(&account.id, writer.expects(&key), changes).await?;
    let catalog = deps.control.catalog();
    let made = catalog.domain(&hostname).ok_or_else(|| ApiError::not_found(Thing::Domain, &hostname))?;
    Ok(Answer::ok(DomainView::of(&catalog, made)).at(applied.revision))
}

fn parse_host(field: &str, text: &str) -> Result<Hostname, ApiError> {
    Hostname::new(&text.to_lowercase()).map_err(|error| ApiError::field(field, error.to_string()))
}

/// Fails when another account has routes on exactly this host, which would answer no more; what is a domain of this account
/// already stays one. It is asked before the command is made, so that older logs come out as they did.
fn refuse_routed(catalog: &Catalog, account: &AccountId, field: &str, host: &Hostname) -> Result<(), ApiError> {
    let is_own = catalog.domain(host).is_some_and(|domain| domain.environment.service.account == *account);
    let exact = HostPattern::Exact(host.clone());
    if is_own || !catalog.routes().any(|route| route.account != *account && *route.pattern.host() == exact) {
        return Ok(());
    }
    Err(ApiError::Conflict(format!("{field}: another account has routes on {host}; it must remove them first")))
}

/// Fails when the host answers for another environment, which would lose it without a word.
fn refuse_taken(catalog: &Catalog, key: &EnvironmentKey, host: &Hostname) -> Result<(), ApiError> {
    // Whose it is in another account is nobody's business here; the catalog refuses it without a name.
    let is_own = |domain: &&std::sync::Arc<Domain>| domain.environment.service.account == key.service.account;
    match catalog.domain(host).filter(is_own).filter(|domain| domain.environment != *key) {
        Some(other) => {
            let owner = &other.environment;
            let problem = format!("{host} is a domain of {owner}; set override_existing_origin to take it over");
            Err(ApiError::Conflict(problem))
        }
        None => Ok(()),
    }
}

/// Fails when the host is a domain of another account, as the catalog does when it is set. Whose it is and what answers there
/// is nobody's business here.
fn refuse_foreign(catalog: &Catalog, account: &AccountId, host: &Hostname) -> Result<(), ApiError> {
    match catalog.domain(host) {
        Some(domain) if domain.environment.service.account != *account => {
            Err(Rejection::Exists { noun: Noun::Domain, name: host.to_string() }.into())
        }
        _ => Ok(()),
    }
}

/// Each host with the certificate that it answers under.
fn put_changes(
    deps: &Deps,
    catalog: &Catalog,
    key: &EnvironmentKey,
    hosts: Vec<Hostname>,
) -> Result<Vec<Change>, ApiError> {
    let mut changes = Vec::with_capacity(2 * hosts.len());
    for hostname in hosts {
        let names = vec![hostname.to_string()];
        changes.extend(certificates::missing(deps, catalog, &key.service.account, names)?);
        changes.push(Change::PutDomain { id: mint::domain_id(), hostname, environment: key.clone() });
    }
    Ok(changes)
}

async fn delete_one(account: Account, writer: Writer, params: Params) -> Reply<()> {
    if let Some(applied) = writer.replay(&account.id)? {
        return Ok(Answer::ok(()).at(applied.revision));
    }
    let hostname = find(&account.catalog, &account.id, &params)?.hostname.clone();
    let change = Change::DeleteDomain { account: account.id.clone(), hostname };
    let applied = writer.propose(&account.id, Vec::new(), vec![change]).await?;
    Ok(Answer::ok(()).at(applied.revision))
}

fn hosts(origins: &[Origin]) -> Result<Vec<Hostname>, ApiError> {
    if origins.is_empty() || origins.len() > ORIGINS_MAX {
        return Err(ApiError::field("origins", format!("use 1 to {ORIGINS_MAX} domains")));
    }
    let parse = |(place, origin): (usize, &Origin)| parse_host(&hostname_field(place), &origin.hostname);
    origins.iter().enumerate().map(parse).collect()
}

fn hostname_field(place: usize) -> String {
    format!("origins[{place}].hostname")
}

async fn put_records(
    State(deps): State<Deps>,
    target: Target,
    writer: Writer,
    JsonBody(body): JsonBody<DomainRecords>,
) -> Reply<Vec<DomainView>> {
    let hosts = hosts(&body.origins)?;
    for (place, host) in hosts.iter().enumerate() {
        refuse_routed(&target.catalog, &target.key.service.account, &hostname_field(place), host)?;
    }
    if !body.override_existing_origin {
        hosts.iter().try_for_each(|host| refuse_taken(&target.catalog, &target.key, host))?;
    }
    let changes = put_changes(&deps, &target.catalog, &target.key, hosts.clone())?;
    let applied = writer.propose(&target.key.service.account, writer.expects(&target.key), changes).await?;
    let catalog = deps.control.catalog();
    let made = hosts.iter().filter_map(|host| catalog.domain(host));
    Ok(Answer::ok(made.map(|domain| DomainView::of(&catalog, domain)).collect()).at(applied.revision))
}

async fn plan_records(target: Target, JsonBody(origins): JsonBody<Vec<Origin>>) -> Reply<ChangesetView> {
    let mut view =
        ChangesetView { added: Vec::new(), removed: Vec::new(), updated: Vec::new(), conflicting: Vec::new() };
    for host in hosts(&origins)? {
        // Not as `conflicting`: wrangler would offer to take it over, and then be refused.
        refuse_foreign(&target.catalog, &target.key.service.account, &host)?;
        match target.catalog.domain(&host) {
            Some(domain) => view.updated.push(UpdatedView {
                modified: domain.environment != target.key,
                domain: DomainView::of(&target.catalog, domain),
            }),
            None => view.added.push(DomainView {
                id: String::new(),
                service: target.key.service.to_string(),
                environment: target.key.environment.to_string(),
                zone_id: zones::id_of(&target.catalog, &host),
                zone_name: host.to_string(),
                hostname: host.to_string(),
            }),
        }
    }
    Ok(Answer::ok(view))
}
