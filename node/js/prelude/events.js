// Event, its subclasses, and EventTarget (DOM §2, HTML's event interfaces).
//
// **Owns** listeners and dispatch. There is no tree: a target's path is itself. **Must not know** who dispatches, or how
// an uncaught exception is logged (`setExceptionReporter`). **Enter at** `EventTarget` and `dispatchTrusted`.

import { isObject, requireArguments, toDictionary, toDOMString, webClass, webConstants } from "./errors.js";

let reportException = () => {};

/** Called once at build time by the file that knows how uncaught errors are reported. */
export function setExceptionReporter(report) {
  reportException = report;
}

let stateOf;

/** What dispatch needs to know of an event, apart from the object that workers see. */
class EventState {
  constructor(type, init) {
    this.type = type;
    this.bubbles = !!init.bubbles;
    this.cancelable = !!init.cancelable;
    this.composed = !!init.composed;
    this.target = null;
    this.currentTarget = null;
    this.phase = 0;
    this.canceled = false;
    this.stopped = false;
    this.stoppedNow = false;
    this.dispatching = false;
    this.passive = false;
    this.trusted = false;
  }
}

export class Event {
  #state;

  static {
    stateOf = (event) => event.#state;
  }

  constructor(type, init = undefined) {
    requireArguments(arguments.length, 1, "Event");
    this.#state = new EventState(toDOMString(type), toDictionary(init, "EventInit"));
  }

  get type() { return this.#state.type; }
  get bubbles() { return this.#state.bubbles; }
  get cancelable() { return this.#state.cancelable; }
  get composed() { return this.#state.composed; }
  get target() { return this.#state.target; }
  get srcElement() { return this.#state.target; }
  get currentTarget() { return this.#state.currentTarget; }
  get eventPhase() { return this.#state.phase; }
  get defaultPrevented() { return this.#state.canceled; }
  get returnValue() { return !this.#state.canceled; }
  set returnValue(value) { if (!value) cancelEvent(this.#state); }
  get isTrusted() { return this.#state.trusted; }
  // Clocks stand still while JavaScript runs, so a time stamp could only ever say when the event loop last woke.
  get timeStamp() { this.#state; return 0; }
  get cancelBubble() { return this.#state.stopped; }
  set cancelBubble(value) { if (value) this.#state.stopped = true; }

  composedPath() { return this.#state.currentTarget === null ? [] : [this.#state.currentTarget]; }
  stopPropagation() { this.#state.stopped = true; }
  stopImmediatePropagation() { this.#state.stopped = this.#state.stoppedNow = true; }
  preventDefault() { cancelEvent(this.#state); }
}
webClass(Event);
webConstants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });

function cancelEvent(state) {
  if (state.cancelable && !state.passive) state.canceled = true;
}

let listenersOf;

/** One registration. `removed` lets a dispatch that holds a copy of the list skip it. */
class Listener {
  constructor(callback, capture, once, passive) {
    this.callback = callback;
    this.capture = capture;
    this.once = once;
    this.passive = passive;
    this.removed = false;
  }
}

export class EventTarget {
  // type -> list of Listener; made at the first listener, because most targets (signals of requests) never get one.
  #listeners = undefined;

  static {
    listenersOf = (target) => target.#listeners;
  }

  addEventListener(type, callback, options = undefined) {
    requireArguments(arguments.length, 2, "addEventListener");
    type = toDOMString(type);
    const capture = captureOption(options);
    const { once, passive, signal } = isObject(options) ? options : {};
    if (signal !== undefined && !isAbortSignal(signal)) throw new TypeError("signal is not an AbortSignal");
    if (callback !== null && callback !== undefined && !isObject(callback)) {
      throw new TypeError("The listener is not an object");
    }
    const listeners = (this.#listeners ??= new Map());
    if (signal?.aborted || callback === null || callback === undefined) return;
    let list = listeners.get(type);
    if (list === undefined) listeners.set(type, (list = []));
    if (list.some((l) => l.callback === callback && l.capture === capture)) return;
    const listener = new Listener(callback, capture, !!once, !!passive);
    list.push(listener);
    onListenerAdded?.(this, type);
    if (signal !== undefined) onSignalAbort(signal, () => removeListener(listeners, type, listener));
  }

  removeEventListener(type, callback, options = undefined) {
    requireArguments(arguments.length, 2, "removeEventListener");
    const listeners = this.#listeners;
    type = toDOMString(type);
    const capture = captureOption(options);
    const found = listeners?.get(type)?.find((l) => l.callback === callback && l.capture === capture);
    if (found !== undefined) removeListener(listeners, type, found);
  }

  dispatchEvent(event) {
    requireArguments(arguments.length, 1, "dispatchEvent");
    this.#listeners;
    if (!(event instanceof Event)) throw new TypeError("The argument is not an Event");
    const state = stateOf(event);
    if (state.dispatching) throw new DOMException("The event is already being dispatched", "InvalidStateError");
    state.trusted = false;
    return dispatch(this, event, state, reportException);
  }
}
webClass(EventTarget);

// abort.js stands above this file, so it hands these down (both set at build time).
let isAbortSignal = () => false;
let onSignalAbort;
let onListenerAdded;

export function setSignalHooks(hooks) {
  ({ isAbortSignal, onSignalAbort, onListenerAdded } = hooks);
}

function captureOption(options) {
  return isObject(options) ? !!options.capture : !!options;
}

function removeListener(listeners, type, listener) {
  listener.removed = true;
  const rest = listeners.get(type)?.filter((l) => l !== listener) ?? [];
  if (rest.length === 0) listeners.delete(type);
  else listeners.set(type, rest);
}

/** Whether anybody listens: lets callers skip making an event. */
export function hasListeners(target, type) {
  return listenersOf(target)?.has(type) ?? false;
}

/**
 * Dispatches an event that the platform made. Exceptions of listeners are reported, or given to `onException` when the
 * caller wants them (a `fetch` event whose listener throws fails the request). Returns false if it was canceled.
 */
export function dispatchTrusted(target, event, onException = reportException) {
  const state = stateOf(event);
  state.trusted = true;
  return dispatch(target, event, state, onException);
}

function dispatch(target, event, state, onException) {
  state.dispatching = true;
  state.target = state.currentTarget = target;
  state.phase = Event.AT_TARGET;
  const listeners = listenersOf(target);
  const list = listeners?.get(state.type);
  if (list !== undefined) {
    // Removing a listener replaces the list and adding one appends to it: the first `count` are those of now.
    const count = list.length;
    runListeners(listeners, list, count, true, event, state, onException);
    if (!state.stopped) runListeners(listeners, list, count, false, event, state, onException);
  }
  state.phase = Event.NONE;
  state.currentTarget = null;
  state.dispatching = state.stopped = state.stoppedNow = false;
  return !state.canceled;
}

function runListeners(listeners, list, count, capture, event, state, onException) {
  for (let at = 0; at < count; at++) {
    const listener = list[at];
    if (state.stoppedNow) return;
    if (listener.removed || listener.capture !== capture) continue;
    if (listener.once) removeListener(listeners, state.type, listener);
    state.passive = listener.passive;
    try {
      callListener(listener.callback, state.currentTarget, event);
    } catch (error) {
      onException(error);
    }
    state.passive = false;
  }
}

function callListener(callback, target, event) {
  if (typeof callback === "function") {
    callback.call(target, event);
    return;
  }
  const handle = callback.handleEvent;
  if (typeof handle !== "function") throw new TypeError("The listener has no handleEvent function");
  handle.call(callback, event);
}

/**
 * Defines event handler attributes (`onabort`) on an interface. The first assignment takes a place among the listeners
 * and keeps it, as HTML's event handlers do.
 */
export function eventHandlers(Class, ...types) {
  for (const type of types) {
    const handlers = new WeakMap();
    Object.defineProperty(Class.prototype, `on${type}`, {
      configurable: true,
      enumerable: true,
      get() {
        return handlers.get(this)?.callback ?? null;
      },
      set(value) {
        const callback = isObject(value) ? value : null;
        const handler = handlers.get(this);
        if (handler !== undefined) {
          handler.callback = callback;
        } else if (callback !== null) {
          handlers.set(this, addHandler(this, type, callback));
        }
      },
    });
  }
}

function addHandler(target, type, callback) {
  const handler = { callback };
  EventTarget.prototype.addEventListener.call(target, type, function (event) {
    if (typeof handler.callback === "function" && handler.callback.call(this, event) === false) event.preventDefault();
  });
  return handler;
}
