//! What the settings promise.

use super::*;

fn settings(text: &str) -> Settings {
    Settings::parse(text).unwrap()
}

#[test]
fn an_unknown_key_is_refused_by_name_with_its_line() {
    let error = Settings::parse("http = \"off\"\nhtpps = \"off\"\n").unwrap_err();
    assert!(error.contains("line 2") && error.contains("htpps") && error.contains("https"), "{error}");
}

#[test]
fn the_template_names_every_key_and_no_other() {
    let uncommented: String = TEMPLATE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase()) => format!("{key}\n"),
            _ => "\n".to_owned(),
        })
        .collect();
    settings(&uncommented);
    let debug = format!("{:?}", settings(&uncommented));
    assert!(!debug.contains("None"), "the template lacks a key: {debug}");
}

#[test]
fn a_flag_wins_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("skerry.toml");
    std::fs::write(&file, "node_name = \"file\"\nzone = \"z\"\n").unwrap();
    let flags = settings("node_name = \"flag\"");
    let config = Config::resolve(Some(&file), flags).unwrap();
    assert_eq!((config.node_name.as_str(), config.zone.as_str()), ("flag", "z"));
}

#[test]
fn a_bad_value_is_refused_by_key() {
    for (text, part) in [
        ("http = \"localhost\"", "http"),
        ("role = \"king\"", "voter or edge"),
        ("domain = \"UPPER\"", "domain"),
        ("node_name = \"a b\"", "node_name"),
        ("connections_max = 0", "connections_max"),
        ("egress_allow = [\"10/8\"]", "egress_allow"),
        ("header_timeout_ms = 5", "100 to 600000"),
        ("join = \"a:1\"", "join_token_file"),
        ("join_token_file = \"t\"", "join"),
        ("join = \"a\"\njoin_token_file = \"t\"\nmesh = \"127.0.0.1:1\"", "HOST:PORT"),
        ("join = \"a:1\"\njoin_token_file = \"t\"", "mesh"),
        ("join = \"a:1\"\njoin_token_file = \"t\"\nmesh = \"127.0.0.1:1\"\nbootstrap = true", "bootstrap"),
        ("mesh = \"0.0.0.0:1\"", "mesh_advertise"),
        ("role = \"edge\"\nbootstrap = true", "role"),
        ("logs_per_snapshot = 99", "100 to 1000000"),
        ("dns = \"127.0.0.1:53\"", "dns"),
    ] {
        let error = Config::resolve(None, settings(text)).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn listeners_can_be_off() {
    let config = Config::resolve(None, settings("http = \"off\"\nhttps = \"[::1]:0\"")).unwrap();
    assert_eq!(config.http, Listen::Off);
    assert_eq!(config.https.to_string(), "[::1]:0");
}
