//! URLs, by the `url` crate, which implements the WHATWG standard.
//!
//! **Owns** the list that describes a URL. **Must not know** the URL class. **Enter at** [`parse`].

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
        Some(base) => match Url::parse(base) {
            Ok(base) => Some(base),
            Err(_) => return Ok(false),
        },
    };
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
        "href" => match Url::parse(value) {
            Ok(new) => url = new,
            Err(_) => return Ok(false),
        },
        "protocol" => drop(quirks::set_protocol(&mut url, value)),
        "username" => drop(quirks::set_username(&mut url, value)),
        "password" => drop(quirks::set_password(&mut url, value)),
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
    if is_too_long(text) {
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
