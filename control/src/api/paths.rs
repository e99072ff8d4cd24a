//! Pure. The two spellings of an environment's calls.
//!
//! **Owns** where an environment stands in a path. **Must not know** the calls. **Enter at** [`environment`].

/// What stands before every call about a service.
pub(crate) const SERVICE: &str = "/accounts/{account}/workers/services/{service}";

/// A call about an environment: as a script of today's wrangler, and as an environment of a service.
pub(crate) fn environment(rest: &str) -> [String; 2] {
    [
        format!("/accounts/{{account}}/workers/scripts/{{script}}{rest}"),
        format!("{SERVICE}/environments/{{environment}}{rest}"),
    ]
}
