//! The operations that a guest can ask for (`js/OPS.md`): one file a family, one dispatch here.
//!
//! **Owns** the numbers and the state behind them, for one isolate. **Must not know** how the guest is run, or what
//! [`crate::bindings`] does with a call. **Enter at** [`Ops::call`].

pub(crate) mod body;
pub(crate) mod code;
pub(crate) mod codec;
pub(crate) mod crypto;
pub(crate) mod fetch;
pub(crate) mod headers;
pub(crate) mod kv;
pub(crate) mod pending;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod room;
pub(crate) mod socket;
pub(crate) mod text;
pub(crate) mod timer;
pub(crate) mod url;

use std::{sync::Arc, time::Duration};

use self::pending::Begun;
use super::{
    frame::{FrameError, Reader, Writer},
    limits,
    origins::Origins,
    thread,
    worker::WorkerSpec,
};
use crate::bindings::outbound::CallContext;

/// What an operation does instead of replying.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpError {
    /// The guest broke the protocol: the isolate is trapped. State: unknown. Retry: no.
    #[error("operation with a malformed frame")]
    Frame(#[from] FrameError),
    /// The operation does not exist: the isolate is trapped. State: unchanged. Retry: no.
    #[error("unknown operation {0}")]
    Unknown(i32),
    /// JavaScript gets an exception. State: unchanged. Retry: no.
    #[error("{name}: {message}")]
    Throw {
        /// The class: `TypeError`, `RangeError`, `SyntaxError`, `Error`, or a `DOMException`'s name.
        name: &'static str,
        /// Its message.
        message: String,
    },
}

impl OpError {
    pub(crate) fn throw(name: &'static str, message: impl Into<String>) -> Self {
        Self::Throw { name, message: message.into() }
    }
}

/// Whether an operation wrote a reply.
pub(crate) type Replied = Result<bool, OpError>;

/// The host's side of one isolate.
pub(crate) struct Ops {
    pub(crate) worker: Arc<WorkerSpec>,
    pub(crate) requests: request::Requests,
    pub(crate) pending: pending::Pending,
    pub(crate) bodies: body::Bodies,
    pub(crate) codecs: codec::Codecs,
    pub(crate) sockets: socket::Sockets,
    pub(crate) report: report::Report,
    pub(crate) room: room::Room,
    /// What the operation that begins next has waited for.
    pub(crate) granted: Option<room::Granted>,
    origins: Arc<Origins>,
    /// CPU time that is not the event's.
    pub(crate) spared: Duration,
    /// Milliseconds since the Unix epoch; stands still within a turn.
    pub(crate) now_ms: f64,
}

impl Ops {
    /// For an isolate of `worker`; what belongs to no event is logged through `context`.
    pub(crate) fn new(worker: Arc<WorkerSpec>, origins: Arc<Origins>, context: CallContext) -> Self {
        Self {
            worker,
            requests: request::Requests::default(),
            pending: pending::Pending::default(),
            bodies: body::Bodies::default(),
            codecs: codec::Codecs::default(),
            sockets: socket::Sockets::default(),
            report: report::Report::new(context),
            room: room::Room::new(),
            granted: None,
            origins,
            spared: Duration::ZERO,
            now_ms: 0.0,
        }
    }

    /// A turn of the isolate begins.
    pub(crate) fn begin_turn(&mut self, now_ms: f64) {
        self.now_ms = now_ms;
        self.bodies.begin_turn();
    }

    /// Runs one operation; its reply, one value, goes to `reply`. `Err` traps the isolate.
    pub(crate) fn call(&mut self, code: i32, arguments: Reader<'_>, reply: &mut Vec<u8>) -> Result<bool, OpError> {
        let mut writer = Writer::over(std::mem::take(reply));
        let replied = match self.run(code, arguments, &mut writer) {
            Err(OpError::Throw { name, message }) => {
                writer.clear();
                writer.error(name, &message);
                Ok(true)
            }
            other => other,
        };
        *reply = writer.into_bytes();
        replied
    }

    /// Asks where code was written. Reading the worker's source maps, at the first question, is not on the event's account.
    fn in_sources<T>(&mut self, ask: impl FnOnce(&Origins) -> T) -> T {
        if !self.origins.are_unread() {
            return ask(&self.origins);
        }
        let began = thread::cpu_time();
        let answer = ask(&self.origins);
        self.spared += thread::cpu_time().saturating_sub(began);
        answer
    }

    fn run(&mut self, code: i32, mut arguments: Reader<'_>, reply: &mut Writer) -> Replied {
        let args = &mut arguments;
        match code {
            code::LOG => self.log(args),
            code::RESPOND => self.respond(args, reply),
            code::FAIL => self.fail(args),
            code::DONE => self.done(args),
            code::LOAD_FAILED => self.load_failed(args),
            code::LOADED => self.report.loaded(args),
            code::NOW => {
                reply.number(self.now_ms);
                Ok(true)
            }
            code::RANDOM => crypto::random(args, reply),
            code::HAND_ON => self.hand_on(args),
            code::URL_PARSE => url::parse(args, reply),
            code::URL_SET => url::set(args, reply),
            code::DOMAIN_TO_ASCII => url::domain_to_ascii(args, reply),
            code::DIGEST => crypto::digest(args, reply),
            code::HMAC_SIGN => crypto::hmac_sign(args, reply),
            code::HMAC_VERIFY => crypto::hmac_verify(args, reply),
            code::TIMING_SAFE_EQUAL => crypto::timing_safe_equal(args, reply),
            code::DIGEST_NEW | code::HMAC_NEW | code::DECODER_NEW | code::ZLIB_NEW => self.codec_new(code, args, reply),
            code::DIGEST_WRITE => self.codecs.digest_write(args),
            code::DIGEST_END => self.codecs.digest_end(args, reply),
            code::ENCODING_FOR_LABEL => text::encoding_for_label(args, reply),
            code::DECODER_WRITE => self.codecs.decoder_write(args, reply),
            code::ZLIB_WRITE => self.codecs.zlib_write(args, reply),
            code::DROP => self.codecs.discard(args),
            code::BODY_NEW => self.body_new(args, reply),
            code::BODY_CANCEL => self.body_cancel(args),
            code::BODY_ABORT => self.bodies.abort(args),
            code::BODY_END => self.bodies.end(args),
            code::TIMER_CLEAR | code::ABORT => self.abort(args),
            code::SOCKET_NEW => self.socket_new(args, reply),
            code::SOCKET_SEND => self.sockets.send(args),
            code::SOCKET_CLOSE => self.sockets.close(args),
            code::TIMER..=code::ASYNC_LAST => self.start(code, args, reply),
            _ => Err(OpError::Unknown(code)),
        }
    }

    /// The asynchronous operations: each begins with its id and the request it belongs to. Replies what one came to that is
    /// done at once, and `false` for one that has to wait for room.
    fn start(&mut self, code: i32, args: &mut Reader<'_>, reply: &mut Writer) -> Replied {
        let op = args.int()?;
        let request = args.int()?;
        self.requests.check(request)?;
        self.pending.admit(op, code)?;
        let (work, waits) = match self.begin(code, op, request, args)? {
            Begun::AtOnce(done) => {
                self.describe(request, done, reply);
                return Ok(true);
            }
            Begun::Operation(work) => (work, false),
            Begun::Wait(work) => (work, true),
        };
        self.pending.start(op, request, code, work);
        self.requests.operation_started(request);
        if waits {
            reply.bool(false);
        }
        Ok(waits)
    }

    fn begin(&mut self, code: i32, op: i32, request: i32, args: &mut Reader<'_>) -> Result<Begun, OpError> {
        let granted = self.granted.take();
        let bytes = args.remaining();
        let room = match code {
            code::BODY_WRITE => return self.bodies.write(args, granted),
            code::BODY_READ => return self.bodies.read(op, args),
            code::TIMER => None,
            _ if bytes <= limits::ARGUMENT_BYTES_FREE => None,
            _ if bytes > limits::ARGUMENT_BYTES_MAX => return Err(OpError::throw("RangeError", TOO_LARGE)),
            _ => match self.room.arguments(bytes, granted) {
                Ok(room) => Some(room),
                Err(wait) => return Ok(Begun::Wait(wait)),
            },
        };
        Ok(Begun::Operation(match code {
            code::TIMER => {
                let (work, due_us) = timer::sleep(args, self.now_ms)?;
                self.pending.is_due(op, due_us);
                work
            }
            code::FETCH => self.fetch(self.requests.context(request)?, None, args, room)?,
            code::SERVICE_FETCH => self.service_fetch(self.requests.context(request)?, args, room)?,
            code::KV_GET | code::KV_PUT | code::KV_DELETE | code::KV_LIST => {
                self.kv(code, self.requests.context(request)?, args, room)?
            }
            _ => return Err(OpError::Unknown(code)),
        }))
    }
}

/// Whether an operation with so many bytes of arguments may take longer than a tick. A few bytes can ask for much only of
/// a decompressor.
pub(crate) fn may_be_long(code: i32, bytes: usize) -> bool {
    match code {
        code::ZLIB_WRITE => true,
        code::LOG
        | code::FAIL
        | code::LOAD_FAILED
        | code::URL_PARSE
        | code::URL_SET
        | code::DOMAIN_TO_ASCII
        | code::DIGEST
        | code::HMAC_SIGN
        | code::HMAC_VERIFY
        | code::DIGEST_WRITE
        | code::DECODER_WRITE => bytes > limits::BRIEF_BYTES_MAX,
        _ => false,
    }
}

/// What the guest is told of arguments that never have room; the prelude refuses them before, with better words.
const TOO_LARGE: &str = "The operation's arguments are larger than 32 MiB.";
