//! The file that `skerry-node init` writes.
//!
//! **Owns** its text. **Must not know** the values that an operator chooses. **Enter at** [`TEMPLATE`]. A test holds it
//! against [`Settings`](super::Settings), so that no key is missing or unknown.

/// Every key with its default, commented out.
pub const TEMPLATE: &str = r#"# skerry-node configuration. Every key is also a flag (--data-dir) and a variable (SKERRY_DATA_DIR).
# A flag wins over its variable, that over this file, that over the default shown here.

# Directory for everything lasting; one node each. Holds the admin token and the cluster's keys: keep it private.
#data_dir = "skerry-data"

# What people call this node; the machine's host name when absent.
#node_name = "node-1"

# Where the node is, and which failures it shares with others.
#region = ""
#zone = ""

# Whether the node votes in the control plane: "voter" or "edge".
#role = "voter"

# The zone that the cluster serves: <service>.<domain>, <environment>.<service>.<domain>. Fixed at bootstrap.
#domain = "workers.localhost"

# Listeners: ADDRESS:PORT, port 0 picks a free one, "off" disables.
#http = "127.0.0.1:8080"
#https = "127.0.0.1:8443"
# The API is plain HTTP on a loopback address and TLS with the cluster's CA on any other.
#api = "127.0.0.1:8700"
# The mesh between nodes is UDP. Other nodes dial mesh_advertise (HOST or HOST:PORT) when it is set, else this address.
#mesh = "off"
#mesh_advertise = "node-1.example"
#dns = "off"
# /metrics (Prometheus), /healthz (alive), /readyz (serving; not while it stops or drains).
#metrics = "127.0.0.1:9090"

# Found a cluster when the data directory is empty. Harmless later.
#bootstrap = false

# Join the cluster of another node instead: its mesh address, and a token of `skerry cluster join-token`.
#join = "192.0.2.1:8701"
#join_token_file = "/etc/skerry/join.token"

# Changes (100 to 1000000) that a voter keeps as a log until it writes the whole catalog down. Too low writes the catalog
# often, too high makes a start slow.
#logs_per_snapshot = 5000

# Log lines: "text" or "json", and which: a filter such as "info,skerry_node=debug".
#log_format = "text"
#log = "info,openraft=warn"

# End users' connections at once (1 to 1000000). Too low refuses honest users, too high runs out of files and memory.
#connections_max = 20000
# Bytes of a request's body (0 to 5000000000); more is answered with 413.
#body_bytes_max = 104857600
# Milliseconds (100 to 600000) for a request's headers, idling included, and between two pieces of its body or of its answer.
# Too low cuts off slow networks, too high lets connections pile up that idle or read nothing.
#header_timeout_ms = 30000
#body_timeout_ms = 30000

# Workers reach public addresses only; list inner ranges that they may reach all the same.
#egress_allow = ["10.1.0.0/16"]

# Proxies in front of this node whose X-Forwarded-For and X-Forwarded-Proto are believed.
#trusted_proxies = []

# Bytes of hot KV entries kept in memory; 0 disables.
#kv_cache_bytes = 67108864

# Bytes of code (1048576 or more) on an edge's disk; the longest unused goes first. What is deployed is kept all the same, and
# a voter keeps all that a version names. Too low makes rollbacks and previews fetch their code from a voter first.
#bundle_bytes_max = 10737418240

# A collector of traces that speaks OTLP over HTTP, headers that it asks for, and the share of traces (0 to 1) that are kept. A
# request whose traceparent says whether its trace is kept has the last word. Too high a share costs CPU time and network.
#otlp_endpoint = "off"
#otlp_headers = ["x-api-key=0123"]
#otlp_sample_ratio = 1.0

# Directory for compiled engine and component images; made again when lost; nodes of one machine may share it.
#cache_dir = "skerry-data/cache"

# Milliseconds (0 to 600000) that a stopping node goes on accepting after /readyz turns 503. Too low sends requests of load
# balancers that have not asked yet to a closed port; set it to their interval. Too high only delays the stop.
#drain_notice_ms = 0
# Milliseconds (0 to 3600000) that a stopping node waits for requests in flight.
#drain_timeout_ms = 30000
"#;
