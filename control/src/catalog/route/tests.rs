use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> RoutePattern {
    text.parse().unwrap()
}

fn table(patterns: &[&str]) -> RouteTable {
    let routes: Vec<Arc<Route>> =
        patterns.iter().enumerate().map(|(at, text)| Arc::new(route(at, pattern(text)))).collect();
    RouteTable::build(&routes)
}

fn route(at: usize, pattern: RoutePattern) -> Route {
    Route {
        id: RouteId::new(&format!("{at:032x}")).unwrap(),
        account: AccountId::new(&"a".repeat(32)).unwrap(),
        pattern,
        target: None,
        created_at_ms: 0,
    }
}

fn found(table: &RouteTable, host: &str, path: &str) -> Option<String> {
    table.find(Scheme::Https, host, path).map(|route| route.pattern.to_string())
}

#[test]
fn documented_patterns_match_what_they_say() {
    for (text, host, path, matches) in [
        ("example.com", "example.com", "/", true),
        ("example.com", "example.com", "/?q=1", false),
        ("example.com/img/*", "example.com", "/img/a?b=c", true),
        ("example.com/img/*", "example.com", "/img", false),
        ("example.com/img/*", "example.com", "/IMG/a", false),
        ("EXAMPLE.com/*", "example.com", "/x", true),
        ("*.example.com/*", "example.com", "/", false),
        ("*.example.com/*", "a.b.example.com", "/", true),
        ("*example.com/*", "example.com", "/", true),
        ("*example.com/*", "www.example.com", "/", true),
        ("*example.com/*", "badexample.com", "/", false),
        ("*/*", "anything.test", "/x", true),
        ("http://example.com/*", "example.com", "/", false),
        ("https://example.com/*", "example.com", "/", true),
    ] {
        assert_eq!(pattern(text).matches(Scheme::Https, host, path), matches, "{text} on {host}{path}");
    }
}

#[test]
fn patterns_that_break_a_rule_are_refused() {
    for text in [
        "",
        "/",
        "example.com/*.jpg",
        "example.com/?x",
        "example.com/a#b",
        "ex*ample.com/",
        "www.*.com/",
        "ftp://a.com/",
        "example.com:8080/*",
        "example..com/",
        "example.com/a b",
        "**.example.com/",
        "example.com/ä",
    ] {
        assert!(text.parse::<RoutePattern>().is_err(), "{text}");
    }
}

#[test]
fn a_slash_before_the_star_is_more_specific_than_none() {
    let table = table(&["example.com/images*", "example.com/images/*"]);
    assert_eq!(found(&table, "example.com", "/images/hello").unwrap(), "example.com/images/*");
    assert_eq!(found(&table, "example.com", "/images123").unwrap(), "example.com/images*");
}

#[test]
fn the_host_decides_before_the_path() {
    let table = table(&["*.example.com/a", "a.example.com/*", "*/*", "*example.com/a"]);
    assert_eq!(found(&table, "a.example.com", "/a").unwrap(), "a.example.com/*");
    assert_eq!(found(&table, "b.example.com", "/a").unwrap(), "*.example.com/a");
    assert_eq!(found(&table, "example.com", "/a").unwrap(), "*example.com/a");
    assert_eq!(found(&table, "b.example.com", "/b").unwrap(), "*/*");
}

#[test]
fn a_given_scheme_is_more_specific_than_none() {
    let table = table(&["example.com/*", "https://example.com/*"]);
    assert_eq!(found(&table, "example.com", "/").unwrap(), "https://example.com/*");
    assert_eq!(table.find(Scheme::Http, "example.com", "/").unwrap().pattern, pattern("example.com/*"));
}

#[test]
fn the_routes_of_one_account_are_found_below_more_specific_ones_of_others() {
    let other = AccountId::new(&"b".repeat(32)).unwrap();
    let foreign = Route { account: other.clone(), ..route(0, pattern("example.com/a/*")) };
    let own = [route(1, pattern("example.com/*")), route(2, pattern("*/*"))];
    let table = RouteTable::build(&[foreign].into_iter().chain(own).map(Arc::new).collect::<Vec<_>>());
    let of = |account: &AccountId, path: &str| {
        table.find_of(account, Scheme::Https, "example.com", path).map(|route| route.pattern.to_string())
    };
    assert_eq!(found(&table, "example.com", "/a/b").unwrap(), "example.com/a/*");
    assert_eq!(of(&AccountId::new(&"a".repeat(32)).unwrap(), "/a/b").unwrap(), "example.com/*");
    assert_eq!(of(&other, "/a/b").unwrap(), "example.com/a/*");
    assert_eq!(of(&other, "/b"), None);
}

fn any_pattern() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![Just(""), Just("http://"), Just("https://")];
    let star = prop_oneof![Just(""), Just("*"), Just("*.")];
    let path = "(/[ab]{0,2}){1,2}";
    (scheme, star, "[ab](\\.[ab]){0,2}", path, prop_oneof![Just(""), Just("*")])
        .prop_map(|(scheme, star, host, path, end)| format!("{scheme}{star}{host}{path}{end}"))
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in "\\PC{0,60}") {
        if let Ok(parsed) = text.parse::<RoutePattern>() {
            prop_assert_eq!(parsed.to_string().parse::<RoutePattern>().unwrap(), parsed);
        }
    }

    #[test]
    fn the_table_finds_the_same_as_trying_every_pattern(
        patterns in prop::collection::btree_set(any_pattern(), 0..20),
        host in "[ab](\\.[ab]){0,3}",
        path in "(/[ab]{0,2}){1,3}",
    ) {
        let routes: Vec<Arc<Route>> =
            patterns.iter().enumerate().map(|(at, text)| Arc::new(route(at, pattern(text)))).collect();
        let matching = routes.iter().filter(|route| route.pattern.matches(Scheme::Https, &host, &path));
        let best = matching.max_by(|left, right| left.pattern.specificity(&right.pattern));
        let table = RouteTable::build(&routes);
        prop_assert_eq!(table.find(Scheme::Https, &host, &path).map(|r| &r.id), best.map(|r| &r.id));
    }

    #[test]
    fn patterns_of_equal_specificity_never_meet(left in any_pattern(), right in any_pattern(), host in "[ab](\\.[ab]){0,3}", path in "(/[ab]{0,2}){1,3}") {
        let (left, right) = (pattern(&left), pattern(&right));
        let both = left.matches(Scheme::Https, &host, &path) && right.matches(Scheme::Https, &host, &path);
        if both && left != right {
            prop_assert_ne!(left.specificity(&right), Ordering::Equal);
        }
    }
}
