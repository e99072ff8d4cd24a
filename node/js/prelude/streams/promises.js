// What the streams ask of promises.
//
// **Owns** the few promise idioms of the Streams standard. **Must not know** streams. **Enter at** `handled`.

import { host } from "../host.js";

const { promise, promiseState, react, settle } = host;

const NativePromise = Promise;

const ignore = () => {};

/** Marks a promise as handled: its rejection is an answer somebody may ask for, not an error to report. */
export function handled(promise) {
  react(promise, undefined, ignore);
  return promise;
}

/** "A promise resolved with": not the promise itself when `value` is one, unlike `Promise.resolve`. */
export function resolvedWith(value) {
  if (value === undefined) return DONE;
  const outcome = promise();
  settle(outcome, value, false);
  return outcome;
}

/** Fulfilled with undefined; shared, because a promise costs more than the reaction. */
export const DONE = Promise.resolve(undefined);

/** A worker's result as a promise, whatever the worker has made of `Promise`. One of a class of its own has a `then` of its own. */
function toPromise(result) {
  if (result === undefined) return DONE;
  return promiseState(result) >= 0 && result.constructor === NativePromise ? result : resolvedWith(result);
}

function rejectedWith(reason) {
  const outcome = promise();
  settle(outcome, reason, true);
  return outcome;
}

/** Calls a worker's function whose result is a promise; what it throws becomes a rejection. */
export function callAsync(callback, self) {
  try {
    return toPromise(callback.call(self));
  } catch (error) {
    return rejectedWith(error);
  }
}

/** As `callAsync`, with one argument: spreading a list of them costs more than the call. */
export function callAsync1(callback, self, argument) {
  try {
    return toPromise(callback.call(self, argument));
  } catch (error) {
    return rejectedWith(error);
  }
}

/** As `callAsync`, with two arguments. */
export function callAsync2(callback, self, first, second) {
  try {
    return toPromise(callback.call(self, first, second));
  } catch (error) {
    return rejectedWith(error);
  }
}

/** As `Promise.withResolvers()`, without the two functions. */
export class Deferred {
  constructor() {
    this.promise = promise();
    this.settled = false;
  }

  resolve(value) {
    this.settle(value, false);
  }

  reject(reason) {
    this.settle(reason, true);
  }

  settle(value, isRejection) {
    if (this.settled) return;
    this.settled = true;
    settle(this.promise, value, isRejection);
  }
}

const PENDING = 0, FULFILLED = 1, REJECTED = 2;

/** A promise made when somebody first looks, because most are never looked at. */
export class LazyPromise {
  constructor() {
    this.state = PENDING;
    this.reason = undefined;
    this.made = undefined;
  }

  get promise() {
    if (this.made === undefined) {
      this.made = handled(promise());
      if (this.state === FULFILLED) settle(this.made, undefined, false);
      else if (this.state === REJECTED) settle(this.made, this.reason, true);
    }
    return this.made;
  }

  get pending() {
    return this.state === PENDING;
  }

  resolve() {
    if (this.state !== PENDING) return;
    this.state = FULFILLED;
    if (this.made !== undefined) settle(this.made, undefined, false);
  }

  reject(reason) {
    if (this.state !== PENDING) return;
    this.state = REJECTED;
    this.reason = reason;
    if (this.made !== undefined) settle(this.made, reason, true);
  }

  /** Rejects, taking the place of an outcome that was there already. */
  replaceByRejection(reason) {
    if (this.state !== PENDING) {
      this.state = PENDING;
      this.made = undefined;
    }
    this.reject(reason);
  }
}
