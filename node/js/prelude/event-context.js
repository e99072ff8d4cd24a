// One event that this isolate is working on: the `ctx` that handlers get, which is also the async context.
//
// **Owns** when an event is over: its handler, its `waitUntil` promises, its streaming body and its sockets. **Must not know**
// handlers or HTTP. **Enter at** `openEvent`.
//
// ```text
// open --(each hold released)--> ended: DONE is sent, unless RESPOND or HAND_ON has said that this is the end
// ```
// - hold: something must settle first.  - release: it has.  - cancel: the caller went away; `signal` aborts, holds stay.
// - end: the host has ended the event by itself; DONE is not sent.

import { OP, dropChain, host, op, setChainOf, setRequestIdOf } from "./host.js";
import { createSignal, signalAbort } from "./abort.js";
import { domException, illegalConstructor, requireArguments, webClass } from "./errors.js";

// Marks a construction by the prelude itself; tenant code can not reach it.
const INTERNAL = {};

// Events that did not end within the call that began them, by request id: those that CANCEL and END can reach.
// BOUND: the host bounds events in flight (Limits::in_flight).
const lasting = new Map();

const { stamp } = host;

// What most events never need to remember. `props` is JSON text, or its value; `chain` is of operations, see host.js.
const MORE = { props: undefined, lasting: false, chain: undefined, cancelled: false, signal: undefined, atEnd: undefined };

let requestIdOf;
let openEvent;
let hold;
let release;
let drop;
let isLastHold;
let isOpen;
let isLasting;
let waitsOnlyFor;
let last;
let cancel;
let cancelSignal;
let end;
let atEnd;
let chainOf;
let setChain;
let reportFailure = () => {};

export class ExecutionContext {
  #requestId;
  // The handler is the first.
  #holds = 1;
  // A copy of MORE, where there is something to remember.
  #more;

  static {
    requestIdOf = (event) => event.#requestId;
    const model = new ExecutionContext(INTERNAL);
    openEvent = (requestId, props) => stamp(model, requestId, 1, props === undefined ? undefined : stamp(MORE, props));
    isOpen = (event) => event.#holds > 0;
    isLasting = (event) => event.#more !== undefined && event.#more.lasting;
    // Whether operation `id` is all that is left of the event beside its handler, whose promise waits for it. `signal` is what
    // stops the operation, if anything does: only that of the event may.
    waitsOnlyFor = (event, id, signal) => {
      const more = event.#more;
      if (event.#holds !== 1 || more === undefined || more.signal !== signal || more.atEnd !== undefined) return false;
      const { chain } = more;
      return chain !== undefined && chain.id === id && chain.after === undefined && chain.again === undefined;
    };
    hold = (event) => {
      event.#holds += 1;
    };
    release = (event) => {
      if (drop(event)) op(OP.DONE, event.#requestId);
    };
    drop = (event) => {
      event.#holds -= 1;
      // Below 0: the host has ended it.
      if (event.#holds !== 0) return false;
      if (event.#more !== undefined) forget(event);
      return true;
    };
    isLastHold = (event) => event.#holds === 1;
    end = (requestId) => {
      const event = lasting.get(requestId);
      if (event === undefined) return;
      event.#holds = 0;
      forget(event);
    };
    const forget = (event) => {
      const more = event.#more;
      if (more.lasting) lasting.delete(event.#requestId);
      const { chain } = more;
      more.chain = undefined;
      dropChain(chain);
      if (more.atEnd !== undefined) for (const run of more.atEnd) run();
      more.atEnd = undefined;
    };
    atEnd = (event, run) => {
      event.#more ??= stamp(MORE);
      (event.#more.atEnd ??= []).push(run);
    };
    chainOf = (event) => (event.#holds > 0 ? event.#more?.chain : null);
    setChain = (event, first) => {
      event.#more ??= stamp(MORE);
      event.#more.chain = first;
    };
    last = (event) => {
      event.#more ??= stamp(MORE);
      if (event.#more.lasting) return;
      event.#more.lasting = true;
      lasting.set(event.#requestId, event);
    };
    cancel = (requestId) => {
      const event = lasting.get(requestId);
      if (event === undefined) return;
      const more = event.#more;
      more.cancelled = true;
      if (more.signal === undefined) return;
      host.setContext(event);
      signalAbort(more.signal, gone());
    };
    cancelSignal = (event) => {
      if (!isOpen(event)) return createSignal();
      last(event);
      const more = event.#more;
      if (more.signal === undefined) {
        more.signal = createSignal();
        if (more.cancelled) signalAbort(more.signal, gone());
      }
      return more.signal;
    };
  }

  constructor(token) {
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
    this.#more ??= stamp(MORE);
    const more = this.#more;
    if (typeof more.props === "string") more.props = JSON.parse(more.props);
    more.props ??= {};
    return more.props;
  }
}

webClass(ExecutionContext);
setRequestIdOf(requestIdOf);
setChainOf(chainOf, setChain);

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

// `drop` is `release` for a hold whose end the host has been told of (`isLastHold`: it would be the event's end). `last` makes an event reachable for CANCEL and END; `cancel(requestId)` and `end(requestId)` are those. `atEnd(event, run)`
// calls `run` when the event ends, however it does.
export { atEnd, cancel, cancelSignal, drop, end, hold, isLastHold, isLasting, isOpen, last, openEvent, release, requestIdOf, waitsOnlyFor };
