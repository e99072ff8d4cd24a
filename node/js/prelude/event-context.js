// One event that this isolate is working on: the `ctx` that handlers get, which is also the async context.
//
// **Owns** when an event is over: its handler, its `waitUntil` promises, its streaming body and its sockets. **Must not know**
// handlers or HTTP. **Enter at** `openEvent`.
//
// ```text
// open --(each hold released)--> ended: DONE is sent
// ```
// - hold: something must settle first.  - release: it has.  - cancel: the caller went away; `signal` aborts, holds stay.

import { OP, host, op, setRequestIdOf } from "./host.js";
import { createSignal, signalAbort } from "./abort.js";
import { domException, illegalConstructor, requireArguments, webClass } from "./errors.js";

// Marks a construction by the prelude itself; tenant code can not reach it.
const INTERNAL = {};

// Events that did not end within the call that began them, by request id: those that CANCEL can reach.
// BOUND: the host bounds events in flight (Limits::in_flight).
const lasting = new Map();

let requestIdOf;
let openEvent;
let hold;
let release;
let isOpen;
let last;
let cancel;
let cancelSignal;
let reportFailure = () => {};

export class ExecutionContext {
  #requestId;
  // The handler is the first.
  #holds = 1;
  // JSON text of the caller's `props`, parsed when asked for.
  #props;
  // undefined, or { cancelled, signal } once the event lasts longer than one call or somebody asks for the signal.
  #caller;

  static {
    requestIdOf = (event) => event.#requestId;
    openEvent = (requestId, props) => {
      const event = new ExecutionContext(INTERNAL);
      event.#requestId = requestId;
      if (props !== undefined) event.#props = props;
      return event;
    };
    isOpen = (event) => event.#holds > 0;
    hold = (event) => {
      event.#holds += 1;
    };
    release = (event) => {
      event.#holds -= 1;
      if (event.#holds > 0) return;
      if (event.#caller !== undefined) lasting.delete(event.#requestId);
      op(OP.DONE, event.#requestId);
    };
    last = (event) => {
      if (event.#caller !== undefined) return;
      event.#caller = { cancelled: false, signal: undefined };
      lasting.set(event.#requestId, event);
    };
    cancel = (requestId) => {
      const event = lasting.get(requestId);
      if (event === undefined) return;
      event.#caller.cancelled = true;
      if (event.#caller.signal === undefined) return;
      host.setContext(event);
      signalAbort(event.#caller.signal, gone());
    };
    cancelSignal = (event) => {
      if (!isOpen(event)) return createSignal();
      last(event);
      const caller = event.#caller;
      if (caller.signal === undefined) {
        caller.signal = createSignal();
        if (caller.cancelled) signalAbort(caller.signal, gone());
      }
      return caller.signal;
    };
  }

  constructor(token = undefined) {
    if (token !== INTERNAL) throw illegalConstructor();
  }

  waitUntil(promise) {
    requireArguments(arguments.length, 1, "waitUntil");
    holdUntil(this, promise);
  }

  // There is no origin behind a Skerry hostname to pass a request on to, so a failed request gets the error page.
  passThroughOnException() {
    this.#holds;
  }

  get props() {
    if (typeof this.#props === "string") this.#props = JSON.parse(this.#props);
    this.#props ??= {};
    return this.#props;
  }
}

webClass(ExecutionContext);
setRequestIdOf(requestIdOf);

function gone() {
  return domException("The client disconnected.", "AbortError");
}

// Keeps the event open until a promise settles; its rejection is reported. After the end it is too late: the host has
// forgotten the event, so the promise runs on without one.
export function holdUntil(event, promise) {
  if (!isOpen(event)) return;
  hold(event);
  last(event);
  Promise.resolve(promise).then(
    () => release(event),
    (error) => {
      reportFailure(error, requestIdOf(event));
      release(event);
    },
  );
}

// Says how a rejected `waitUntil` promise is reported: `report(error, requestId)`. Called once, by a file above this one.
export function setFailureReporter(report) {
  reportFailure = report;
}

// The event on whose behalf code runs now, or undefined at the top level.
export function currentEvent() {
  return host.getContext();
}

// `last` makes an event reachable for CANCEL; `cancel(requestId)` is that.
export { cancel, cancelSignal, hold, isOpen, last, openEvent, release, requestIdOf };
