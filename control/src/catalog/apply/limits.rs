//! Pure. How much the catalog holds.
//!
//! **Owns** the catalog's bounds. **Must not know** who counts. **Enter at** [`VARIABLES_MAX`].

/// BOUND: audit entries that are kept, newest first; about 50 MB in memory at a few hundred bytes each.
pub const AUDIT_ENTRIES_MAX: usize = 100_000;
/// BOUND: idempotency keys that are remembered; about 10 MB in memory. A node gives each request that it carries to the leader
/// one, so at the most writes that a cluster takes these last for half a minute, and else for hours; a retry comes within seconds.
pub const REPLAYS_MAX: usize = 50_000;
/// BOUND: bytes of an idempotency key; room for an account id, a slash and whatever a client makes keys of.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;
/// BOUND: changes in one command; a promote of hundreds of services fits, a log entry stays below a few MiB.
pub const CHANGES_MAX: usize = 1000;
/// BOUND: services of an account; past it names should be environments.
pub const SERVICES_MAX: usize = 10_000;
/// BOUND: environments of a service; one for each open pull request of a busy repository.
pub const ENVIRONMENTS_MAX: usize = 500;
/// BOUND: versions of an environment that are kept, newest first, besides those that a kept deployment names; a busy
/// environment's weeks. A version is a few KiB of memory on every node, and its bundle up to 65 MiB of disk.
pub const VERSIONS_KEPT: usize = 100;
/// BOUND: deployments of an environment that are kept, newest first; each keeps one or two versions.
pub const DEPLOYMENTS_KEPT: usize = 100;
/// BOUND: variables and secrets that a version sets itself; Cloudflare's limit.
pub const VARIABLES_MAX: usize = 128;
/// BOUND: bindings of any kind that a version sets itself.
pub const BINDINGS_MAX: usize = 256;
/// BOUND: bytes of one variable or secret; Cloudflare's limit.
pub const VARIABLE_BYTES_MAX: usize = 5 * 1024;
/// BOUND: bytes that sealing adds to a secret: a 24-byte nonce and a 16-byte tag.
pub const SEAL_BYTES: usize = 40;
/// BOUND: bytes of a binding's name; longer ones are mistakes.
pub const BINDING_NAME_BYTES_MAX: usize = 128;
/// BOUND: compatibility flags of a version; there are fewer than 200 in all.
pub const COMPATIBILITY_FLAGS_MAX: usize = 256;
/// BOUND: bytes of a compatibility flag; the longest there is has about 60.
pub const COMPATIBILITY_FLAG_BYTES_MAX: usize = 128;
/// BOUND: bytes of the entrypoint that a service binding names: an identifier of JavaScript.
pub const ENTRYPOINT_BYTES_MAX: usize = 256;
/// BOUND: annotations of a version or deployment, and bytes of each; a git message fits.
pub const ANNOTATIONS_MAX: usize = 20;
/// BOUND: bytes of one annotation.
pub const ANNOTATION_BYTES_MAX: usize = 1024;
/// BOUND: crons of an environment; Cloudflare's limit for an account.
pub const CRONS_MAX: usize = 250;
/// BOUND: tags of an environment; Cloudflare's limit.
pub const TAGS_MAX: usize = 8;
/// BOUND: bytes of a tag; Cloudflare's limit.
pub const TAG_BYTES_MAX: usize = 1024;
/// BOUND: bytes of a title or a name that people choose.
pub const TEXT_BYTES_MAX: usize = 512;
/// BOUND: routes of an account; Cloudflare allows 1000 for a zone.
pub const ROUTES_MAX: usize = 1000;
/// BOUND: custom domains of an account.
pub const DOMAINS_MAX: usize = 1000;
/// BOUND: things that a refusal names one by one; a line is for people.
pub const NAMED_MAX: usize = 5;
/// BOUND: KV namespaces of an account; Cloudflare's limit.
pub const NAMESPACES_MAX: usize = 1000;
/// BOUND: tokens of the cluster.
pub const TOKENS_MAX: usize = 10_000;
/// BOUND: milliseconds of CPU time that a version may ask for.
pub const CPU_MS_MAX: u32 = 30_000;
/// BOUND: outgoing calls of one request that a version may ask for; Cloudflare's limit.
pub const SUBREQUESTS_MAX: u32 = 10_000;
/// BOUND: nodes of the cluster; twice what the feed is measured with.
pub const NODES_MAX: usize = 2000;
/// BOUND: join tokens at a time, without those that are used up.
pub const JOIN_TOKENS_MAX: usize = 1000;
/// BOUND: nodes that one join token admits.
pub const JOIN_TOKEN_USES_MAX: u32 = 1000;
/// BOUND: CAs of the mesh: the one that signs, its successor, its predecessor, and one to spare.
pub const MESH_AUTHORITIES_MAX: usize = 4;
/// BOUND: bytes of a CA's certificate; ours have about 500.
pub const AUTHORITY_BYTES_MAX: usize = 4096;
/// BOUND: bytes of a node's name; a label of a hostname, as the machine's own name mostly is.
pub const NODE_NAME_BYTES_MAX: usize = 63;
/// BOUND: bytes of a region's or zone's name; cloud providers stay below 32.
pub const PLACE_BYTES_MAX: usize = 63;
/// BOUND: bytes of a node's address: a hostname, a colon, a port.
pub const ADDRESS_BYTES_MAX: usize = 259;
/// BOUND: bytes of what a node says of its build: a version and a commit.
pub const BUILD_BYTES_MAX: usize = 128;
