//! Pure. The bounds of the listeners that no configuration changes.
//!
//! **Owns** each number and its reason. **Must not know** who enforces it. **Enter at** the constant.

use std::time::Duration;

/// BOUND: bytes of a request's target; Cloudflare's limit. More is answered with 414.
pub const URL_BYTES_MAX: usize = 16 << 10;
/// BOUND: bytes of a request's headers; Cloudflare's limit. More is answered with 431. Must hold a whole URL too.
pub const HEADER_BYTES_MAX: usize = 128 << 10;
/// BOUND: requests at once on one HTTP/2 connection; browsers use about a hundred.
pub const H2_STREAMS_MAX: u32 = 250;
/// BOUND: resets that an HTTP/2 peer may cause before it is cut off (CVE-2023-44487).
pub const H2_RESETS_MAX: usize = 100;
/// BOUND: bytes of a request's body that are read although its worker does not want them, so that the HTTP/1.1 connection
/// can go on; more closes it. Go's server has the same number.
pub const DRAINED_BYTES_MAX: u64 = 256 << 10;
/// BOUND: how long a connection that is closed goes on reading what its peer still sends, so that the peer is not reset before it
/// has read its answer (RFC 9112 section 9.6). A peer that has read it closes at once.
pub const LINGER: Duration = Duration::from_secs(1);
/// BOUND: bytes of an answer that one HTTP/2 stream is handed at once, and holds while its peer takes nothing: a frame of the
/// size that every peer accepts (RFC 9113 section 4.2).
pub const H2_PIECE_BYTES_MAX: usize = 16 << 10;
/// BOUND: a TLS handshake that takes longer is an attack or a dead peer.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// BOUND: how long a client of the API may idle between requests, or take nothing of an answer; dashboards poll more often.
pub const API_STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// BOUND: how long an accept loop waits when the process is out of file descriptors.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// BOUND: how long the API, metrics and health may take to close.
pub const BACK_STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// BOUND: connections to the API, and to metrics and health, at once.
pub const BACK_CONNECTIONS_MAX: usize = 1024;
/// BOUND: connections that wait in the kernel to be accepted.
pub const BACKLOG: u32 = 4096;
