//! What the table promises, over catalogs made by commands.

use bytes::Bytes;
use proptest::prelude::*;
use skerry_control::catalog::{Account, Actor, Change, Cluster, Command, NewRoute, SealScope, Sealed, ServiceKey};
use skerry_proto::id::{
    AccountId, DomainId, EnvironmentId, EnvironmentName, Hostname, Revision, RouteId, ServiceId, ServiceName,
};

use super::*;

/// An entry that knows its name and when it was made.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    made: u64,
}

/// A catalog and the table that follows it.
struct World {
    catalog: Arc<Catalog>,
    router: Router<Entry>,
    ids: u128,
}

impl World {
    fn new() -> Self {
        let mut world = Self { catalog: Arc::default(), router: Router::default(), ids: 0 };
        let key = Sealed { scope: SealScope::cluster_ca(), bytes: Bytes::new() };
        let cluster = Cluster::new(Hostname::new("workers.test").unwrap(), Bytes::new(), key, 0);
        let account = Account { id: account(), name: "a".into(), label: None, created_at_ms: 0 };
        world.apply(vec![Change::SetCluster(cluster), Change::CreateAccount(account)]);
        world
    }

    fn apply(&mut self, changes: Vec<Change>) {
        let mut catalog = Catalog::clone(&self.catalog);
        let revision = Revision(catalog.revision().0 + 1);
        catalog.apply(revision, &Command::new(Actor::node("test"), 0, changes)).unwrap();
        self.catalog = Arc::new(catalog);
        self.router =
            self.router.next(&self.catalog, |key, _, _| Arc::new(Entry { name: key.to_string(), made: revision.0 }));
    }

    fn hex(&mut self) -> String {
        self.ids += 1;
        format!("{:032x}", self.ids)
    }

    fn service(&mut self, name: &str) {
        self.service_of(service(name));
    }

    fn service_of(&mut self, service: ServiceKey) {
        let (id, production) = (self.hex(), self.hex());
        self.apply(vec![Change::CreateService {
            service,
            id: ServiceId::new(&id).unwrap(),
            production: EnvironmentId::new(&production).unwrap(),
        }]);
    }

    fn environment(&mut self, of: &str, name: &str) {
        let id = EnvironmentId::new(&self.hex()).unwrap();
        let environment = service(of).environment(EnvironmentName::new(name).unwrap());
        let parent = Some(EnvironmentName::production());
        self.apply(vec![Change::CreateEnvironment { environment, id, parent, clone: None }]);
    }

    /// Another account, whose names end in `tenant.workers.test`, and a service of it.
    fn tenant(&mut self, name: &str) -> ServiceKey {
        let id = AccountId::new(&"b".repeat(32)).unwrap();
        let label = Some(ServiceName::new("tenant").unwrap());
        self.apply(vec![Change::CreateAccount(Account { id: id.clone(), name: "b".into(), label, created_at_ms: 0 })]);
        let service = ServiceKey { account: id, name: ServiceName::new(name).unwrap() };
        self.service_of(service.clone());
        service
    }

    fn route(&mut self, pattern: &str, to: &ServiceKey) {
        let id = RouteId::new(&self.hex()).unwrap();
        let (account, pattern, target) = (to.account.clone(), pattern.parse().unwrap(), Some(to.production()));
        self.apply(vec![Change::PutRoute(NewRoute { account, id, pattern, target })]);
    }

    fn domain(&mut self, hostname: &str, to: &ServiceKey) {
        let id = DomainId::new(&self.hex()).unwrap();
        let hostname = Hostname::new(hostname).unwrap();
        self.apply(vec![Change::PutDomain { id, hostname, environment: to.production() }]);
    }

    fn found(&self, host: &str, path: &str, except: Option<&EnvironmentKey>) -> Option<&str> {
        self.router.find(Scheme::Https, host, path, except).map(|found| found.target.name.as_str())
    }
}

fn account() -> AccountId {
    AccountId::new(&"a".repeat(32)).unwrap()
}

fn service(name: &str) -> ServiceKey {
    ServiceKey { account: account(), name: ServiceName::new(name).unwrap() }
}

#[test]
fn an_empty_table_knows_nobody() {
    let router: Router<()> = Router::default();
    assert!(router.find(Scheme::Https, "app.workers.test", "/", None).is_none());
}

#[test]
fn only_what_changed_is_made_anew() {
    let mut world = World::new();
    world.service("a");
    world.service("b");
    let made = |world: &World, name| world.router.environment(&service(name).production()).unwrap().made;
    let before = made(&world, "a");
    world.environment("b", "staging");
    assert_eq!(made(&world, "a"), before);
    assert!(made(&world, "b") > before);
    assert_eq!(world.found("staging.b.workers.test", "/", None), Some("b/staging"));
}

#[test]
fn a_renamed_or_deleted_environment_leaves_no_hostname_behind() {
    let mut world = World::new();
    world.service("a");
    world.environment("a", "old");
    let environment = service("a").environment(EnvironmentName::new("old").unwrap());
    world.apply(vec![Change::RenameEnvironment { environment, to: EnvironmentName::new("new").unwrap() }]);
    assert_eq!(world.found("old.a.workers.test", "/", None), None);
    assert_eq!(world.found("new.a.workers.test", "/", None), Some("a/new"));
    world.apply(vec![Change::RenameService { service: service("a"), to: ServiceName::new("b").unwrap() }]);
    assert_eq!(world.found("a.workers.test", "/", None), None);
    assert_eq!(world.found("b.workers.test", "/", None), Some("b/production"));
}

#[test]
fn a_route_never_leads_a_worker_to_itself() {
    let mut world = World::new();
    world.service("a");
    world.service("b");
    world.route("shop.test/*", &service("a"));
    assert_eq!(world.found("shop.test", "/x", None), Some("a/production"));
    assert_eq!(world.found("shop.test", "/x", Some(&service("a").production())), None);
    assert_eq!(world.found("shop.test", "/x", Some(&service("b").production())), Some("a/production"));
}

#[test]
fn no_route_however_wide_answers_in_the_clusters_own_domain() {
    for pattern in ["*/*", "*.test/*", "*test/*", "https://*/*"] {
        let mut world = World::new();
        world.service("a");
        world.environment("a", "staging");
        let greedy = world.tenant("greedy");
        world.route(pattern, &greedy);
        for (host, answers) in [
            ("a.workers.test", Some("a/production")),
            ("staging.a.workers.test", Some("a/staging")),
            ("greedy.tenant.workers.test", Some("greedy/production")),
            ("workers.test", None),
            ("nobody.workers.test", None),
            ("00000000-a.workers.test", None),
            ("shop.test", Some("greedy/production")),
            ("badworkers.test", Some("greedy/production")),
        ] {
            assert_eq!(world.found(host, "/x", None), answers, "{pattern} on {host}");
        }
    }
}

#[test]
fn a_custom_domain_takes_only_routes_of_its_own_account() {
    let mut world = World::new();
    world.service("site");
    world.service("api");
    let greedy = world.tenant("greedy");
    world.domain("site.test", &service("site"));
    for pattern in ["*/*", "*site.test/*", "site.test/api/secret"] {
        world.route(pattern, &greedy);
    }
    assert_eq!(world.found("site.test", "/", None), Some("site/production"));
    assert_eq!(world.found("site.test", "/api/secret", None), Some("site/production"));
    assert_eq!(world.found("www.site.test", "/", None), Some("greedy/production"));
    world.route("site.test/api/*", &service("api"));
    assert_eq!(world.found("site.test", "/api/secret", None), Some("api/production"));
    assert_eq!(world.found("site.test", "/api/secret", Some(&service("api").production())), Some("site/production"));
    assert_eq!(world.found("site.test", "/", None), Some("site/production"));
    // With the domain goes its claim.
    let (account, hostname) = (account(), Hostname::new("site.test").unwrap());
    world.apply(vec![Change::DeleteDomain { account, hostname }]);
    assert_eq!(world.found("site.test", "/api/secret", None), Some("greedy/production"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_made_step_by_step_equals_one_made_at_once(steps in proptest::collection::vec(("[ab]{1,2}", "[cd]{0,2}"), 1..12)) {
        let mut world = World::new();
        for (name, environment) in steps {
            if world.catalog.service(&service(&name)).is_none() {
                world.service(&name);
            } else if environment.is_empty() {
                let bound = skerry_control::catalog::WhenBound::Delete;
                world.apply(vec![Change::DeleteService { service: service(&name), bound }]);
            } else if world.catalog.service(&service(&name)).unwrap().environments.len() < 2 {
                world.environment(&name, &environment);
            }
        }
        let fresh = Router::default().next(&world.catalog, |key, _, _| Arc::new(Entry { name: key.to_string(), made: 0 }));
        let names = |router: &Router<Entry>| {
            let mut hosts: Vec<_> = router.hosts.iter().map(|(host, entry)| (host.clone(), entry.name.clone())).collect();
            hosts.sort();
            hosts
        };
        prop_assert_eq!(names(&world.router), names(&fresh));
        prop_assert_eq!(world.router.environments.len(), fresh.environments.len());
    }
}
