// What the streams ask of promises.
//
// **Owns** the few promise idioms of the Streams standard. **Must not know** streams. **Enter at** `handled`.

const ignore = () => {};

/** Marks a promise as handled: its rejection is an answer somebody may ask for, not an error to report. */
export function handled(promise) {
  promise.then(undefined, ignore);
  return promise;
}

/** A rejected promise that nobody needs to handle. */
export function handledRejection(reason) {
  return handled(Promise.reject(reason));
}

/** "A promise resolved with": always a new promise, unlike `Promise.resolve`. */
export function resolvedWith(value) {
  return new Promise((resolve) => resolve(value));
}

/** Calls a worker's function whose result is a promise; what it throws becomes a rejection. */
export function callAsync(callback, self, ...args) {
  try {
    return Promise.resolve(callback.apply(self, args));
  } catch (error) {
    return Promise.reject(error);
  }
}

/** A promise made when somebody first looks, because most are never looked at. */
export class LazyPromise {
  constructor() {
    this.deferred = undefined;
    this.settled = undefined;
  }

  get promise() {
    if (this.deferred === undefined) {
      this.deferred = Promise.withResolvers();
      handled(this.deferred.promise);
      this.settled?.(this.deferred);
    }
    return this.deferred.promise;
  }

  get pending() {
    return this.settled === undefined;
  }

  resolve() {
    this.settle((deferred) => deferred.resolve(undefined));
  }

  reject(reason) {
    this.settle((deferred) => deferred.reject(reason));
  }

  settle(how) {
    if (this.settled !== undefined) return;
    this.settled = how;
    if (this.deferred !== undefined) how(this.deferred);
  }

  /** Rejects, taking the place of an outcome that was there already. */
  replaceByRejection(reason) {
    if (this.settled !== undefined) this.deferred = this.settled = undefined;
    this.reject(reason);
  }
}
