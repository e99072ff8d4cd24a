//! Pure. The operations' numbers; a test compares them with `js/OPS.md`.

macro_rules! codes {
    ($($name:ident = $value:literal,)*) => {
        $(pub(crate) const $name: i32 = $value;)*
        /// Every number with its name, as OPS.md writes it.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, i32)] = &[$((stringify!($name), $value),)*];
    };
}

codes! {
    LOG = 1,
    RESPOND = 2,
    FAIL = 3,
    DONE = 4,
    LOAD_FAILED = 5,
    LOADED = 6,
    NOW = 7,
    RANDOM = 8,
    HAND_ON = 9,
    URL_PARSE = 10,
    URL_SET = 11,
    DOMAIN_TO_ASCII = 12,
    DIGEST = 20,
    HMAC_SIGN = 21,
    HMAC_VERIFY = 22,
    TIMING_SAFE_EQUAL = 23,
    DIGEST_NEW = 24,
    DIGEST_WRITE = 25,
    DIGEST_END = 26,
    HMAC_NEW = 27,
    ENCODING_FOR_LABEL = 30,
    DECODER_NEW = 31,
    DECODER_WRITE = 32,
    ZLIB_NEW = 33,
    ZLIB_WRITE = 34,
    DROP = 35,
    BODY_NEW = 40,
    BODY_CANCEL = 41,
    BODY_ABORT = 42,
    TIMER_CLEAR = 43,
    ABORT = 44,
    BODY_END = 45,
    SOCKET_NEW = 50,
    SOCKET_SEND = 51,
    SOCKET_CLOSE = 52,
    TIMER = 100,
    FETCH = 101,
    SERVICE_FETCH = 102,
    BODY_READ = 103,
    BODY_WRITE = 104,
    KV_GET = 110,
    KV_PUT = 111,
    KV_DELETE = 112,
    KV_LIST = 113,
}

/// Asynchronous operations lie between `TIMER` and this.
pub(crate) const ASYNC_LAST: i32 = 199;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_document_and_the_prelude_carry_the_same_numbers() {
        let document = include_str!("../../../js/OPS.md");
        let prelude = include_str!("../../../js/prelude/host.js");
        for (name, value) in ALL {
            assert!(document.contains(&format!("| {value} | {name} |")), "OPS.md lacks {value} {name}");
            assert!(prelude.contains(&format!("{name}: {value},")), "host.js lacks {name}: {value}");
        }
    }
}
