// One event that this isolate is working on.
//
// Owns when an event is over: its handler, its `waitUntil` promises, its streaming body and its sockets. Must not know
// handlers or HTTP. Enter at `RequestState`; the engine carries it as the async context.
//
// ```text
// open --(each hold released)--> ended: DONE is sent
// ```
// - hold: something must settle first.  - release: it has.  - cancel: the caller went away; `signal` aborts, holds stay.

import { OP, host, op } from "./host.js";
import { createSignal, signalAbort } from "./abort.js";
import { domException } from "./errors.js";

export class RequestState {
  constructor(requestId) {
    this.requestId = requestId;
    // Open holds; the handler is the first.
    this.holds = 1;
    // Whether RESPOND or FAIL was sent.
    this.answered = false;
    this.cancelled = false;
    // The signal of the incoming request, made when somebody asks for it.
    this.signal = undefined;
  }
}

// The event on whose behalf code runs now, or undefined at the top level.
export function currentState() {
  return host.getContext();
}

// BOUND: the host bounds events in flight (Limits::in_flight), so this table needs no limit of its own.
const open = new Map();

export function openState(requestId) {
  const state = new RequestState(requestId);
  open.set(requestId, state);
  return state;
}

// One more thing has to settle before the event is over.
export function hold(state) {
  state.holds += 1;
}

// One thing has settled.
export function release(state) {
  state.holds -= 1;
  if (state.holds !== 0) return;
  open.delete(state.requestId);
  op(OP.DONE, state.requestId);
}

// Keeps the event open until a promise settles. `failed` is called with its rejection. After the end it is too late:
// the host has forgotten the event, so the promise runs on without one.
export function holdUntil(state, promise, failed) {
  if (state.holds === 0) return;
  hold(state);
  Promise.resolve(promise).then(
    () => release(state),
    (error) => {
      failed(error, state.requestId);
      release(state);
    },
  );
}

// The caller went away.
export function cancel(requestId) {
  const state = open.get(requestId);
  if (state === undefined) return;
  state.cancelled = true;
  if (state.signal === undefined) return;
  host.setContext(state);
  signalAbort(state.signal, abortReason());
}

function abortReason() {
  return domException("The client disconnected.", "AbortError");
}

// The signal that `cancel` aborts.
export function cancelSignal(state) {
  if (state.signal === undefined) {
    state.signal = createSignal();
    if (state.cancelled) signalAbort(state.signal, abortReason());
  }
  return state.signal;
}
