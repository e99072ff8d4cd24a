// AbortController and AbortSignal (DOM §3).
//
// **Owns** when a signal aborts and in which order its dependents do. **Must not know** what is being aborted.
// **Enter at** `AbortSignal`; the prelude uses `createSignal`, `signalAbort`, `addAbortAlgorithm`.

import { dispatchTrusted, Event, eventHandlers, EventTarget, hasListeners, setSignalHooks } from "./events.js";
import { domException, INTERNAL, requireArguments, requireInternal, toEnforcedRange, toSequence, webClass } from "./errors.js";
import { OP, start } from "./host.js";

let stateOf;
let isSignal;

/** `reason` is undefined until the signal aborts: the reason of an abort never is. */
class SignalState {
  constructor() {
    this.reason = undefined;
    this.aborted = false;
    // Functions to run before the event, in order; undefined until there is one.
    this.algorithms = undefined;
    // For a signal made by `any`: the signals it follows (never themselves made by `any`).
    this.sources = undefined;
    // The signals that follow this one, weakly: a long-lived signal must not keep those of finished requests.
    this.dependents = undefined;
    // Dependents that somebody listens to; these must live as long as the source.
    this.watched = undefined;
  }
}

export class AbortSignal extends EventTarget {
  #state = new SignalState();

  static {
    stateOf = (signal) => signal.#state;
    isSignal = (value) => typeof value === "object" && value !== null && #state in value;
  }

  constructor(token = undefined) {
    requireInternal(token);
    super();
  }

  get aborted() { return this.#state.aborted; }
  get reason() { return this.#state.reason; }

  throwIfAborted() {
    if (this.#state.aborted) throw this.#state.reason;
  }

  static abort(reason = undefined) {
    const signal = createSignal();
    const state = stateOf(signal);
    state.aborted = true;
    state.reason = reason === undefined ? abortError() : reason;
    return signal;
  }

  static timeout(milliseconds) {
    requireArguments(arguments.length, 1, "timeout");
    const delay = toEnforcedRange(milliseconds, Number.MAX_SAFE_INTEGER, "milliseconds");
    const signal = createSignal();
    start(OP.TIMER, delay).then(
      () => signalAbort(signal, domException("The operation was aborted due to timeout", "TimeoutError")),
      // The timer went away with its request; nobody is left to tell.
      () => {},
    );
    return signal;
  }

  static any(signals) {
    requireArguments(arguments.length, 1, "any");
    return anySignal(toSequence(signals, requireSignal, "signals"));
  }
}
webClass(AbortSignal);
eventHandlers(AbortSignal, "abort");

export class AbortController {
  #signal = undefined;

  // The signal is made when it is first looked at.
  get signal() { return (this.#signal ??= createSignal()); }

  abort(reason = undefined) {
    signalAbort((this.#signal ??= createSignal()), reason);
  }
}
webClass(AbortController);

function requireSignal(value) {
  if (!isSignal(value)) throw new TypeError("The value is not an AbortSignal");
  return value;
}

/** Whether `value` is an AbortSignal of any kind. */
export function isAbortSignal(value) {
  return isSignal(value);
}

export function createSignal() {
  return new AbortSignal(INTERNAL);
}

function abortError() {
  return domException("The operation was aborted", "AbortError");
}

/** A signal that aborts when the first of `signals` does. */
function anySignal(signals) {
  const result = createSignal();
  const state = stateOf(result);
  const aborted = signals.find((signal) => stateOf(signal).aborted);
  if (aborted !== undefined) {
    state.aborted = true;
    state.reason = stateOf(aborted).reason;
    return result;
  }
  const sources = new Set();
  for (const signal of signals) {
    for (const source of stateOf(signal).sources ?? [signal]) sources.add(source);
  }
  state.sources = sources;
  const weak = new WeakRef(result);
  for (const source of sources) {
    const from = stateOf(source);
    // Forgetting the dead here keeps the list in proportion to the living.
    from.dependents = (from.dependents ?? []).filter((dependent) => dependent.deref() !== undefined);
    from.dependents.push(weak);
  }
  return result;
}

/** Aborts `signal` unless it already is. */
export function signalAbort(signal, reason = undefined) {
  const state = stateOf(signal);
  if (state.aborted) return;
  state.aborted = true;
  state.reason = reason === undefined ? abortError() : reason;
  const following = [];
  for (const weak of state.dependents ?? []) {
    const dependent = weak.deref();
    if (dependent === undefined || stateOf(dependent).aborted) continue;
    stateOf(dependent).aborted = true;
    stateOf(dependent).reason = state.reason;
    following.push(dependent);
  }
  state.dependents = state.watched = undefined;
  runAbortSteps(signal, state);
  for (const dependent of following) runAbortSteps(dependent, stateOf(dependent));
}

function runAbortSteps(signal, state) {
  const algorithms = state.algorithms;
  state.algorithms = undefined;
  for (const run of algorithms ?? []) run(state.reason);
  if (hasListeners(signal, "abort")) dispatchTrusted(signal, new Event("abort"));
}

/** Runs `algorithm(reason)` when `signal` aborts, before its event. Does nothing on a signal that has aborted. */
export function addAbortAlgorithm(signal, algorithm) {
  const state = stateOf(signal);
  if (state.aborted) return;
  (state.algorithms ??= new Set()).add(algorithm);
  keepWatched(signal, state);
}

export function removeAbortAlgorithm(signal, algorithm) {
  stateOf(signal).algorithms?.delete(algorithm);
}

/** Whether `algorithm` is all that would run when `signal` aborts. */
export function runsOnly(signal, algorithm) {
  const { algorithms, dependents } = stateOf(signal);
  if (dependents !== undefined || hasListeners(signal, "abort")) return false;
  return algorithms !== undefined && algorithms.size === 1 && algorithms.has(algorithm);
}

function keepWatched(signal, state) {
  for (const source of state.sources ?? []) (stateOf(source).watched ??= new Set()).add(signal);
}

setSignalHooks({
  isAbortSignal: isSignal,
  onSignalAbort: addAbortAlgorithm,
  onListenerAdded(target, type) {
    if (type === "abort" && isSignal(target)) keepWatched(target, stateOf(target));
  },
});
