// What the streams ask of promises.
//
// **Owns** the few promise idioms of the Streams standard. **Must not know** streams. **Enter at** `handled`.

const ignore = () => {};

/** Marks a promise as handled: its rejection is an answer somebody may ask for, not an error to report. */
export function handled(promise) {
  promise.then(undefined, ignore);
  return promise;
}

/** "A promise resolved with": not the promise itself when `value` is one, unlike `Promise.resolve`. */
export function resolvedWith(value) {
  return value === undefined ? DONE : new Promise((resolve) => resolve(value));
}

/** Fulfilled with undefined; shared, because a promise and its resolving functions cost more than the reaction. */
export const DONE = Promise.resolve(undefined);

/** A worker's result as a promise. */
function toPromise(result) {
  return result === undefined ? DONE : Promise.resolve(result);
}

/** Calls a worker's function whose result is a promise; what it throws becomes a rejection. */
export function callAsync(callback, self) {
  try {
    return toPromise(callback.call(self));
  } catch (error) {
    return Promise.reject(error);
  }
}

/** As `callAsync`, with one argument: spreading a list of them costs more than the call. */
export function callAsync1(callback, self, argument) {
  try {
    return toPromise(callback.call(self, argument));
  } catch (error) {
    return Promise.reject(error);
  }
}

/** As `callAsync`, with two arguments. */
export function callAsync2(callback, self, first, second) {
  try {
    return toPromise(callback.call(self, first, second));
  } catch (error) {
    return Promise.reject(error);
  }
}

const PENDING = 0, FULFILLED = 1, REJECTED = 2;

/** A promise made when somebody first looks, because most are never looked at. */
export class LazyPromise {
  constructor() {
    this.state = PENDING;
    this.reason = undefined;
    this.deferred = undefined;
  }

  get promise() {
    if (this.deferred === undefined) {
      this.deferred = Promise.withResolvers();
      handled(this.deferred.promise);
      if (this.state === FULFILLED) this.deferred.resolve(undefined);
      else if (this.state === REJECTED) this.deferred.reject(this.reason);
    }
    return this.deferred.promise;
  }

  get pending() {
    return this.state === PENDING;
  }

  resolve() {
    if (this.state !== PENDING) return;
    this.state = FULFILLED;
    if (this.deferred !== undefined) this.deferred.resolve(undefined);
  }

  reject(reason) {
    if (this.state !== PENDING) return;
    this.state = REJECTED;
    this.reason = reason;
    if (this.deferred !== undefined) this.deferred.reject(reason);
  }

  /** Rejects, taking the place of an outcome that was there already. */
  replaceByRejection(reason) {
    if (this.state !== PENDING) {
      this.state = PENDING;
      this.deferred = undefined;
    }
    this.reject(reason);
  }
}
