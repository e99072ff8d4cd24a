//! URLs, by the `url` crate, which implements the WHATWG standard.
//!
//! **Owns** the list that describes a URL, and which texts are too long to be one. **Must not know** the URL class. **Enter
//! at** [`parse`].

use ::url::{Host, Position, Url, quirks};

use super::Replied;
use crate::runtime::{
    frame::{Reader, Writer},
    limits,
};

pub(super) fn parse(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    let (text, base) = (args.text()?, args.optional_text()?);
    if is_too_long(text) || base.is_some_and(is_too_long) {
        return Ok(false);
    }
    let base = match base {
        None => None,
        Some(base) if has_long_host(base, None) => return Ok(false),
        Some(base) => match Url::parse(base) {
            Ok(base) => Some(base),
            Err(_) => return Ok(false),
        },
    };
    if has_long_host(text, base.as_ref()) {
        return Ok(false);
    }
    match Url::options().base_url(base.as_ref()).parse(text) {
        Ok(url) => Ok(describe(&url, reply)),
        Err(_) => Ok(false),
    }
}

pub(super) fn set(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    let Ok(mut url) = Url::parse(args.text()?) else { return Ok(false) };
    let component = args.text()?;
    let value = args.text()?;
    if is_too_long(value) {
        return Ok(component != "href" && describe(&url, reply));
    }
    // A value that does not fit leaves the URL as it was, as the standard says; only `href` fails.
    match component {
        "href" if has_long_host(value, None) => return Ok(false),
        "href" => match Url::parse(value) {
            Ok(new) => url = new,
            Err(_) => return Ok(false),
        },
        "protocol" => drop(quirks::set_protocol(&mut url, value)),
        "username" => drop(quirks::set_username(&mut url, value)),
        "password" => drop(quirks::set_password(&mut url, value)),
        "host" | "hostname" if before_path(value).len() > limits::HOST_BYTES_MAX => {}
        "host" => drop(quirks::set_host(&mut url, value)),
        "hostname" => drop(quirks::set_hostname(&mut url, value)),
        "port" => drop(quirks::set_port(&mut url, value)),
        "pathname" => quirks::set_pathname(&mut url, value),
        "search" => quirks::set_search(&mut url, value),
        "hash" => quirks::set_hash(&mut url, value),
        _ => return Ok(false),
    }
    Ok(describe(&url, reply))
}

pub(super) fn domain_to_ascii(args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
    let text = args.text()?;
    if text.len() > limits::HOST_BYTES_MAX {
        return Ok(false);
    }
    match Host::parse(text) {
        Ok(host) => {
            reply.text(&host.to_string());
            Ok(true)
        }
        Err(_) => Ok(false),
    }
}

/// Parsing can not be interrupted, so a text past the bound is no URL; none that a server takes is as long.
fn is_too_long(text: &str) -> bool {
    text.len() > limits::COMPUTED_BYTES_MAX
}

/// What ends a host in URLs whose host is a domain.
const HOST_ENDS: [char; 4] = ['/', '\\', '?', '#'];

fn before_path(text: &str) -> &str {
    text.split(HOST_ENDS).next().unwrap_or_default()
}

/// Whether parsing `text` would come to a host that is too long. It finds the host as the standard does; what is in doubt, such
/// as a port with a thousand zeros, counts as part of it. Hosts that are no domains cost nothing.
fn has_long_host(text: &str, base: Option<&Url>) -> bool {
    if text.len() <= limits::HOST_BYTES_MAX {
        return false;
    }
    let text = text.trim_start_matches(|c: char| c <= ' ');
    let text: String = text.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let scheme = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme));
    let scheme = scheme.map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let (scheme, rest) = match (&scheme, base) {
        (Some((scheme, rest)), _) => (scheme.as_str(), *rest),
        (None, Some(base)) => (base.scheme(), text.as_str()),
        (None, None) => return false,
    };
    let slashes = rest.bytes().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
    let host = match scheme {
        "file" if slashes >= 2 => before_path(&rest[2..]),
        "http" | "https" | "ws" | "wss" | "ftp" => {
            // Without slashes, or with one, it is a path of a base with the same scheme.
            if slashes < 2 && base.is_some_and(|base| base.scheme() == scheme) {
                return false;
            }
            let authority = before_path(&rest[slashes..]);
            authority.rsplit('@').next().unwrap_or_default()
        }
        _ => return false,
    };
    host.len() > limits::HOST_BYTES_MAX
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The whole, and the places in it that JavaScript cuts the components out at: most are never asked for, and a number is
/// cheaper to carry across than a string.
fn describe(url: &Url, reply: &mut Writer) -> bool {
    let until = |position: Position| url[..position].len();
    let username_end = until(Position::AfterUsername);
    // Not by `Position`: that asserts that a username is followed by a password.
    let (password, password_end) = match url.password() {
        Some(password) => (username_end + 1, username_end + 1 + password.len()),
        None => (username_end, username_end),
    };
    let cuts = [
        until(Position::AfterScheme),
        until(Position::BeforeUsername),
        username_end,
        password,
        password_end,
        until(Position::BeforeHost),
        until(Position::AfterHost),
        until(Position::AfterPort),
        until(Position::BeforePath),
        until(Position::AfterPath),
        until(Position::AfterQuery),
    ];
    reply.list(1 + cuts.len());
    reply.text(url.as_str());
    for cut in cuts {
        // A URL came in a frame, whose length fits.
        reply.int(i32::try_from(cut).unwrap_or(i32::MAX));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parses(text: &str, base: Option<&str>) -> bool {
        let mut frame = Writer::new();
        frame.text(text).optional_text(base);
        parse(&mut Reader::new(frame.as_bytes()), &mut Writer::new()).unwrap()
    }

    fn after_set(url: &str, component: &str, value: &str) -> Option<String> {
        let (mut frame, mut reply) = (Writer::new(), Writer::new());
        frame.text(url).text(component).text(value);
        if !set(&mut Reader::new(frame.as_bytes()), &mut reply).unwrap() {
            return None;
        }
        let mut list = Reader::new(reply.as_bytes());
        list.list().unwrap();
        Some(list.text().unwrap().to_owned())
    }

    #[test]
    fn a_host_is_bounded_wherever_it_stands() {
        let most = "a".repeat(limits::HOST_BYTES_MAX);
        let long = format!("{most}a");
        let base = Some("http://b/c/d");
        assert!(parses(&format!("http://{most}/"), None));
        for (text, base) in [
            (format!("http://{long}/"), None),
            (format!("http://{long}"), base),
            (format!(" hT\ntps:\\/\t\\user:secret@{long}?x"), None),
            (format!("http:{long}"), None),
            (format!("https:{long}"), base),
            (format!("//{long}/x"), base),
            (format!("/\\\n{long}/x"), base),
            (format!("http:\\\\/{long}"), base),
            (format!("file://{long}/x"), None),
            (format!("//{long}/x"), Some("file:///x")),
            ("/x".to_owned(), Some(&*format!("http://{long}/"))),
        ] {
            assert!(!parses(&text, base), "{text} {base:?}");
        }
    }

    #[test]
    fn what_is_no_host_may_be_long() {
        let long = "a".repeat(10 * limits::HOST_BYTES_MAX);
        let base = Some("http://b/c/d");
        for (text, base) in [
            (format!("http://b/{long}?{long}#{long}"), None),
            (format!("http://{long}:{long}@b/"), None),
            (format!("http:{long}"), base),
            (format!("http:/{long}"), base),
            (long.clone(), base),
            (format!("/{long}"), base),
            (format!("?//{long}"), base),
            (format!("data:text/plain,{long}"), None),
            (format!("x://{long}/"), base),
            (format!("file:///{long}"), None),
            (long.clone(), Some("file:///x/y")),
            ("x".to_owned(), Some(&*format!("http://b/{long}/"))),
        ] {
            assert!(parses(&text, base), "{text} {base:?}");
        }
    }

    #[test]
    fn setting_a_long_host_changes_nothing() {
        let long = "a".repeat(limits::HOST_BYTES_MAX + 1);
        for component in ["host", "hostname"] {
            assert_eq!(after_set("http://b/c", component, &long).as_deref(), Some("http://b/c"));
            let path = format!("d/{long}");
            assert_eq!(after_set("http://b/c", component, &path).as_deref(), Some("http://d/c"));
        }
        assert_eq!(after_set("http://b/c", "href", &format!("http://{long}/")), None);
        assert_eq!(after_set("http://b/c", "pathname", &long), Some(format!("http://b/{long}")));
    }

    #[test]
    fn a_domain_is_bounded() {
        for (length, is_one) in [(limits::HOST_BYTES_MAX, true), (limits::HOST_BYTES_MAX + 1, false)] {
            let mut frame = Writer::new();
            frame.text(&"a".repeat(length));
            let reply = domain_to_ascii(&mut Reader::new(frame.as_bytes()), &mut Writer::new());
            assert_eq!(reply.unwrap(), is_one);
        }
    }
}
