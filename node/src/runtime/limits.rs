//! Pure. The bounds of the runtime that no configuration changes.
//!
//! **Owns** each number and its reason. **Must not know** who enforces it. **Enter at** the constant.

use std::time::Duration;

/// BOUND: linear memory that an isolate can be given; a service's own limit lies below. Cloudflare's isolates have 128 MiB.
pub(crate) const MEMORY_BYTES_MAX: usize = 128 << 20;
/// BOUND: native stack of an isolate. Recursion through the parser uses up to a dozen bytes of it for each byte of the
/// engine's own (shadow) stack of 1 MiB, which must run out first so that JavaScript gets its RangeError.
pub(crate) const WASM_STACK_BYTES: usize = 16 << 20;
/// BOUND: stack left for the operations that the host runs on behalf of an isolate; brotli's window tables are the largest, and
/// a body that is read is polled on it.
pub(crate) const HOST_STACK_BYTES: usize = 1 << 20;
/// BOUND: the memory image (engine, prelude and stack); about 3 MiB now.
pub(crate) const IMAGE_BYTES_MAX: u64 = 32 << 20;
/// BOUND: the engine's function table, about 1100 entries.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 4096;
/// BOUND: memories of dropped isolates that stay mapped for the next one of the same image.
pub(crate) const WARM_SLOTS_MAX: u32 = 64;

/// BOUND: uploads that are tried out at once, each in an isolate beside those of the workers, so that workers which fill the
/// node keep nobody from deploying. As many as the API reads at once.
pub(crate) const VALIDATIONS_MAX: u32 = 8;
/// BOUND: how long an upload waits until others have been tried out; each takes a second or two of CPU time at most.
pub(crate) const VALIDATION_WAIT_MAX: Duration = Duration::from_secs(30);

/// BOUND: ticks an event may run on the thread that brought it, before it goes to the heavy lane. A neighbour waits at
/// most about this many milliseconds.
pub(crate) const INLINE_TICKS_MAX: u32 = 2;
/// BOUND: ticks between two turns of events on one heavy thread.
pub(crate) const HEAVY_SLICE_TICKS: u32 = 10;

/// BOUND: turns that an isolate takes in a row on the thread that brought it mail; then another task has the thread. One
/// event rarely takes more than a few.
pub(crate) const TURNS_MAX: usize = 32;

/// BOUND: operations in flight of one isolate; each holds a future and an entry in the guest.
pub(crate) const OPERATIONS_MAX: usize = 10_000;
/// BOUND: bodies and, apart from them, WebSockets of one isolate.
pub(crate) const RESOURCES_MAX: usize = 10_000;
/// BOUND: decoders, compressors and digests of one isolate; a request needs one or two.
pub(crate) const CODECS_MAX: usize = 256;
/// BOUND: memory of one isolate's compressors and decompressors, outside its own: as many of gzip as there may be, and of brotli
/// a compressor takes 5 MB and a decompressor what its sender's window asks for, 16 MB at most.
pub(crate) const CODEC_BYTES_MAX: usize = 128 << 20;
/// BOUND: bytes that one operation computes on. It runs on a thread of the node and can not be interrupted; at this size it
/// takes a few milliseconds. The prelude takes larger input in steps.
pub(crate) const COMPUTED_BYTES_MAX: usize = 256 * 1024;
/// BOUND: bytes that an operation computes on before the thread's clock is read for it: with fewer it is over in some ten
/// microseconds, and reading the clock would be felt.
pub(crate) const BRIEF_BYTES_MAX: usize = 1024;
/// BOUND: the host of a URL. Each label of a host that is not ASCII costs the square of its length, and a host may have many;
/// DNS allows 253 bytes, which are some 760 when each is percent-encoded.
pub(crate) const HOST_BYTES_MAX: usize = 2 * 1024;
/// BOUND: names and values of one response's or outgoing request's headers, as much as ingress takes in a request.
pub(crate) const HEADER_BLOCK_BYTES_MAX: usize = 128 * 1024;
/// BOUND: timers of one isolate, Cloudflare's documented limit.
pub(crate) const TIMERS_MAX: usize = 10_000;
/// BOUND: one BODY_READ or BODY_WRITE hands over at most this, so that a stream stays a stream.
pub(crate) const BODY_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// BOUND: pieces of bodies that one turn of an isolate reads and writes at once; then its next turn is waited for, and others
/// have theirs. A reader that is as fast as the worker would have it in one turn for as long as its CPU limit allows. Two pipes
/// of small pieces fit, and 1 MiB.
pub(crate) const PIECES_AT_ONCE_MAX: u32 = 16;
/// BOUND: a request body that is there already goes in whole up to this size, which saves a round trip; an answer's goes out
/// whole, and takes no room that a client which reads slowly could hold.
pub(crate) const BODY_INLINE_BYTES_MAX: usize = 16 * 1024;
/// BOUND: chunks of an outgoing body that wait for its reader; a write past them waits.
pub(crate) const BODY_CHUNKS_MAX: usize = 8;
/// BOUND: bytes of these chunks: two of the largest, so that one is sent while the next is made.
pub(crate) const BODY_PIPE_BYTES_MAX: usize = 2 * BODY_CHUNK_BYTES_MAX;
/// BOUND: outgoing bytes of one isolate that wait for whoever reads its bodies, outside its own memory. Answers that are
/// handed over whole take at most half. What is left fills the pipes of as many streams as an isolate has events in flight
/// by default (256), so that they hold up nobody but their own readers.
pub(crate) const BODY_BYTES_MAX: usize = 2 * 256 * BODY_PIPE_BYTES_MAX;
/// BOUND: arguments of one isolate's operations in flight, such as the head and body of a request or the value of a KV put:
/// the largest value (25 MiB) and room for others beside it. Past it operations wait.
pub(crate) const ARGUMENT_BYTES_MAX: usize = 32 << 20;
/// BOUND: arguments up to this size take no room: all operations in flight together have 40 MB of them.
pub(crate) const ARGUMENT_BYTES_FREE: usize = 4 * 1024;
/// BOUND: KV replies of one isolate that wait for its next turn, and room for those that are being read: two of the largest
/// (25 MiB) and others beside them.
pub(crate) const REPLY_BYTES_MAX: usize = 64 << 20;
/// BOUND: room that a KV reply has while nobody knows how long it is, which shows only when it has been read. Most are shorter;
/// a longer one that finds no more room then is read again once there is. As many reads at once as an isolate has events in
/// flight by default (256).
pub(crate) const REPLY_BYTES_ASSUMED: usize = REPLY_BYTES_MAX / 256;
/// BOUND: messages of a WebSocket that wait for their reader, each way.
pub(crate) const SOCKET_MESSAGES_MAX: usize = 256;
/// BOUND: bytes of the messages that wait, each way: two of the largest, so that one is sent while the next is made. They lie
/// outside the isolate's own memory.
pub(crate) const SOCKET_QUEUE_BYTES_MAX: usize = 2 << 20;
/// BOUND: one WebSocket message, Cloudflare's limit.
pub(crate) const SOCKET_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// BOUND: one line of a worker's log, and its position or stack; the rest is cut.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 16 * 1024;
/// BOUND: a source map that is used; reading it takes some ten milliseconds, once, at the first place that is asked for. The
/// places of a version with a larger one stay those of its bundle.
pub(crate) const SOURCE_MAP_BYTES_MAX: usize = 16 << 20;
/// BOUND: lines of a message or a stack that are looked up in source maps, each in a few microseconds; those after them stay
/// as the engine has them. More than anybody reads of one stack.
pub(crate) const STACK_LINES_MAX: usize = 50;
/// BOUND: sources of one map; their names are in memory for as long as the worker is.
pub(crate) const SOURCES_MAX: usize = 20_000;
/// BOUND: the name of a source, as much as a module's may have; each line of a stack has one.
pub(crate) const SOURCE_NAME_BYTES_MAX: usize = 512;
/// BOUND: what one zlib or brotli step hands over, so that it takes a few milliseconds whatever its input holds; the guest asks
/// for the rest.
pub(crate) const INFLATED_STEP_BYTES: usize = 1 << 20;
/// BOUND: what the input of one such step may come to in all: half of an isolate's own memory.
pub(crate) const INFLATED_BYTES_MAX: usize = 64 << 20;
/// BOUND: random bytes of one call, the limit of the Web Cryptography API's getRandomValues.
pub(crate) const RANDOM_BYTES_MAX: usize = 65_536;
