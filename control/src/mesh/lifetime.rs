//! Pure. How long a connection is kept.
//!
//! **Owns** when one is replaced or closed. **Must not know** QUIC. **Enter at** [`fate`].

use std::time::Duration;

use super::code::CloseCode;

/// What is known of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The peer is still a member.
    pub(super) is_member: bool,
    /// The directory has another address now, or this node another certificate.
    pub(super) is_outdated: bool,
    /// Another connection took its place.
    pub(super) is_replaced: bool,
    /// A call or a flow is using it.
    pub(super) is_busy: bool,
    /// Until the first of the two certificates ends.
    pub(super) ends_in_ms: i64,
    /// Since it was made.
    pub(super) age: Duration,
    /// Since it was last used.
    pub(super) unused_for: Duration,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays.
    Keep,
    /// It stays until there is a new one.
    Replace,
    /// It is closed.
    Close(CloseCode),
}

/// What the configuration says about it; see [`MeshConfig`](super::MeshConfig).
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) unused_after: Duration,
    pub(super) renew_before: Duration,
    pub(super) linger: Duration,
}

/// What happens to a connection that this node made.
pub(super) fn fate(facts: Facts, rules: Rules) -> Fate {
    let renew_before_ms = i64::try_from(rules.renew_before.as_millis()).unwrap_or(i64::MAX);
    // The new connection may end as soon as this one, when the peer has no new certificate yet: ask again, but not always.
    let may_ask = facts.age >= rules.renew_before / 10;
    let is_idle = !facts.is_busy;
    match facts {
        _ if !facts.is_member => Fate::Close(CloseCode::NotMember),
        _ if facts.ends_in_ms <= 0 => Fate::Close(CloseCode::Expired),
        _ if facts.is_replaced && is_idle && facts.unused_for >= rules.linger => Fate::Close(CloseCode::Done),
        _ if facts.is_replaced => Fate::Keep,
        _ if is_idle && facts.unused_for >= rules.unused_after => Fate::Close(CloseCode::Done),
        _ if facts.is_outdated => Fate::Replace,
        _ if facts.ends_in_ms <= renew_before_ms && may_ask => Fate::Replace,
        _ => Fate::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        unused_after: Duration::from_secs(60),
        renew_before: Duration::from_secs(600),
        linger: Duration::from_secs(5),
    };
    const FRESH: Facts = Facts {
        is_member: true,
        is_outdated: false,
        is_replaced: false,
        is_busy: false,
        ends_in_ms: 3_600_000,
        age: Duration::from_secs(1),
        unused_for: Duration::ZERO,
    };

    fn fate(facts: Facts) -> Fate {
        super::fate(facts, RULES)
    }

    #[test]
    fn a_connection_in_use_outlives_everything_but_its_certificates_and_membership() {
        let busy = Facts { is_busy: true, unused_for: Duration::from_secs(999), ..FRESH };
        assert_eq!(fate(busy), Fate::Keep);
        assert_eq!(fate(Facts { is_replaced: true, ..busy }), Fate::Keep);
        assert_eq!(fate(Facts { is_outdated: true, ..busy }), Fate::Replace);
        assert_eq!(fate(Facts { ends_in_ms: 0, ..busy }), Fate::Close(CloseCode::Expired));
        assert_eq!(fate(Facts { is_member: false, ..busy }), Fate::Close(CloseCode::NotMember));
    }

    #[test]
    fn an_unused_connection_is_closed_and_a_replaced_one_sooner() {
        let unused = Facts { unused_for: Duration::from_secs(59), ..FRESH };
        assert_eq!(fate(unused), Fate::Keep);
        assert_eq!(fate(Facts { is_replaced: true, ..unused }), Fate::Close(CloseCode::Done));
        assert_eq!(fate(Facts { is_replaced: true, ..FRESH }), Fate::Keep);
        assert_eq!(fate(Facts { unused_for: Duration::from_secs(60), ..FRESH }), Fate::Close(CloseCode::Done));
    }

    #[test]
    fn a_connection_is_replaced_before_its_certificates_end_but_not_in_a_circle() {
        let ending = Facts { ends_in_ms: 600_000, age: Duration::from_secs(60), ..FRESH };
        assert_eq!(fate(ending), Fate::Replace);
        assert_eq!(fate(Facts { age: Duration::from_secs(59), ..ending }), Fate::Keep);
    }
}
