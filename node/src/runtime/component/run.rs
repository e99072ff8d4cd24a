//! One request, in an instance of its own.
//!
//! **Owns** the order of a call: instance, request, answer, end. **Must not know** how components are compiled or found.
//! **Enter at** [`Call`].
//!
//! ```text
//! Call --instance made, request handed in--> Running --response-outparam set--> Answered --handler returns--> Ended
//!                                               `--returns, traps, or a limit: no answer--> WorkerError
//! ```
//! - Running: dropping the call stops the guest; so does the end of its wall time.
//! - However it is stopped, [`CutOff`] comes first: what the guest was sending is cut off, not ended.
//! - Answered: [`ResponseBody`] decides when to stop the guest; a failure from here on cuts the body off and goes to the log.
//!   A body may take as long as its reader does. Once it is over the guest has [`Call::wait_until`] to end.

use std::{
    convert::Infallible,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Request, Response, header::HOST, uri::Scheme};
use http_body_util::BodyExt;
use tokio::{
    sync::oneshot,
    time::{sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::{Store, component::Resource};
use wasmtime_wasi_http::{
    Error, WasiHttpView,
    p2::{
        bindings::http::types::{self, ErrorCode},
        body::HyperOutgoingBody,
        types::{HostIncomingRequest, HostResponseOutparam},
    },
};

use super::{
    door::Door,
    failure::Failure,
    guest::Guest,
    lane::HeavyLane,
    library::Prepared,
    meter::Meter,
    response::{Ended, ResponseBody},
    seats::Seat,
    ticker::Running,
};
use crate::{
    bindings::outbound::{CallContext, LogLevel},
    task,
    worker::{Body, WorkerError},
};

/// BOUND: bytes that the host copies out of a guest in one call of a WASI function: the largest KV value with room to spare.
const HOSTCALL_BYTES_MAX: usize = 32 << 20;

/// What a call needs and gives back when it ends.
pub(super) struct Call {
    /// The worker.
    pub(super) prepared: Arc<Prepared>,
    /// Its places: one of the worker's, one of its account's, one of the node's.
    pub(super) _seats: [Seat; 3],
    /// Keeps ticks coming.
    pub(super) _running: Running,
    /// How often they come.
    pub(super) tick: Duration,
    /// Where it goes on when it proves long.
    pub(super) lane: HeavyLane,
    /// When it has to have answered.
    pub(super) until: Instant,
    /// How long it may go on after its answer.
    pub(super) wait_until: Duration,
}

type Answer = Result<Response<HyperOutgoingBody>, ErrorCode>;

impl Call {
    /// Runs the handler until it has answered; the body streams on from there.
    pub(super) async fn fetch(self, request: Request<Body>, cx: CallContext) -> Result<Response<Body>, WorkerError> {
        let door = Door::new(self.prepared.worker.clone(), cx);
        let meter = Meter::new(self.prepared.worker.limits.cpu);
        let mut store = self.store(&door, &meter);
        let (answer_to, mut answer) = oneshot::channel();
        let (ended_to, mut ended) = oneshot::channel();
        let (serving, served) = oneshot::channel();
        let arguments = arguments(&mut store, request, answer_to).map_err(internal)?;

        let (lane, until, wall) = (self.lane.clone(), self.until, self.prepared.worker.limits.wall);
        let run = self.run(store, arguments, door.clone(), meter.clone(), Caller { served, ended: ended_to });
        let guest = AbortOnDropHandle::new(task::spawn("component", lane.drive(run, meter)));

        let answered = tokio::select! {
            biased;
            Ok(answered) = &mut answer => answered,
            gone = &mut ended => {
                // It may have answered and ended in one step.
                match answer.try_recv() {
                    Ok(answered) => {
                        let body_end = oneshot::channel();
                        let _the_receiver_is_right_here = gone.map(|gone| body_end.0.send(gone));
                        ended = body_end.1;
                        answered
                    }
                    Err(_) => return Err(silent(gone.ok(), &door)),
                }
            }
            // The guest goes with its handle.
            () = sleep_until(until.into()) => return Err(stopped(&Failure::wall(wall), &door)),
        };
        match answered {
            Ok(response) => Ok(response.map(|body| Body::new(ResponseBody::new(body, ended, guest, serving)))),
            Err(code) => {
                let message = format!("the component answered with the error {code:?}");
                door.log(LogLevel::Exception, message.clone(), None);
                Err(WorkerError::Exception { message, stack: String::new() })
            }
        }
    }

    fn store(&self, door: &Arc<Door>, meter: &Arc<Meter>) -> Store<Guest> {
        let limits = &self.prepared.worker.limits;
        let guest = Guest::new(door.clone(), &self.prepared.environment, limits.memory_bytes);
        let mut store = Store::new(self.prepared.component.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        store.set_epoch_deadline(1);
        let (meter, tick) = (meter.clone(), self.tick);
        store.epoch_deadline_callback(move |_| meter.on_tick(tick));
        store
    }

    /// The guest's whole life. Everything that the call holds is given back at the end, the instance's memory first.
    async fn run(
        self,
        mut store: Store<Guest>,
        arguments: Arguments,
        door: Arc<Door>,
        meter: Arc<Meter>,
        caller: Caller,
    ) {
        let limits = self.prepared.worker.limits.clone();
        let Caller { served, ended } = caller;
        let wait_until = self.wait_until;
        let lingering = async {
            // Nothing is ever sent: it is dropped when the answer's body is over.
            let _over = served.await;
            sleep(wait_until).await;
        };
        let ran = {
            let mut handling = pin!(async {
                let proxy = self.prepared.component.instantiate_async(&mut store).await?;
                proxy.wasi_http_incoming_handler().call_handle(&mut store, arguments.request, arguments.out).await
            });
            // Whoever drops this future stops the guest here, at the only `await`. The sending sides of the guest's bodies are in
            // the table of `store`, or for a moment on the guest's stack, in `handling`. Dropping them looks like the end of a
            // whole body, so the door fails before: locals are dropped in the reverse order of their making, arguments after
            // them, thus `cut_off`, `handling`, `store`. `select!` has only a reference, or it would drop `handling` first. A
            // reader on another thread learns of the end through a channel that is closed after the door failed, so it sees that.
            let mut cut_off = CutOff::new(&door);
            let ran = tokio::select! {
                biased;
                ran = handling.as_mut() => Some(ran),
                () = lingering => None,
            };
            if matches!(ran, Some(Ok(()))) {
                cut_off.disarm();
            }
            ran
        };
        let failure = match ran {
            Some(Ok(())) => None,
            Some(Err(error)) => Failure::of(&error, &limits, &meter, &store.data().memory),
            None => Some(Failure::lingering(wait_until)),
        };
        if let Some(failure) = &failure {
            stopped(failure, &door);
        }
        let table = store.into_data().table;
        drop((self, door));
        let _nobody_reads_the_body = ended.send(Ended { failure, _table: table });
    }
}

/// Fails the door when it is dropped, unless the guest has come to its own end.
struct CutOff<'a> {
    door: &'a Door,
    armed: bool,
}

impl<'a> CutOff<'a> {
    fn new(door: &'a Door) -> Self {
        Self { door, armed: true }
    }

    /// The guest has returned, and finished what it wanted to finish.
    fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for CutOff<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.door.fail();
        }
    }
}

/// Whoever waits for the guest.
struct Caller {
    /// Over when the body of its answer is.
    served: oneshot::Receiver<Infallible>,
    /// Where what is left of it goes.
    ended: oneshot::Sender<Ended>,
}

/// Says that a guest is stopped before its time, and why.
fn stopped(failure: &Failure, door: &Door) -> WorkerError {
    let (message, stack) = failure.record();
    door.log(LogLevel::Exception, message, stack);
    // Before the table goes: what the guest was sending must be cut off, not ended.
    door.fail();
    failure.error()
}

/// Why there is no answer.
fn silent(ended: Option<Ended>, door: &Door) -> WorkerError {
    match ended {
        Some(Ended { failure: Some(failure), .. }) => failure.error(),
        Some(Ended { failure: None, .. }) => {
            door.log(LogLevel::Exception, WorkerError::NeverResponds.to_string(), None);
            WorkerError::NeverResponds
        }
        None => WorkerError::Reset { reason: "the host failed while the worker ran".to_owned() },
    }
}

/// What the handler is called with.
struct Arguments {
    request: Resource<HostIncomingRequest>,
    out: Resource<HostResponseOutparam>,
}

fn arguments(
    store: &mut Store<Guest>,
    mut request: Request<Body>,
    answer_to: oneshot::Sender<Answer>,
) -> wasmtime::Result<Arguments> {
    let scheme = match request.uri().scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => types::Scheme::Https,
        _ => types::Scheme::Http,
    };
    if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, http::HeaderValue::from_static("localhost"));
    }
    let request = request.map(|body| body.map_err(|error| Error::InternalError(Some(error.to_string()))));
    let mut view = store.data_mut().http();
    Ok(Arguments { request: view.new_incoming_request(scheme, request)?, out: view.new_response_outparam(answer_to)? })
}

fn internal(error: wasmtime::Error) -> WorkerError {
    WorkerError::Exception {
        message: format!("the request can not be given to the component: {error:#}"),
        stack: String::new(),
    }
}
