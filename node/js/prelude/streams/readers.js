// ReadableStreamDefaultReader and ReadableStreamBYOBReader.
//
// **Owns** the checks of the two interfaces. **Must not know** controllers. **Enter at** the classes.

import { toDictionary, toEnforcedRange, webClass } from "../errors.js";
import { viewConstructor } from "./byte-controller.js";
import { acquireReader, cancelByReader, PromiseRequest, wrongReceiver } from "./readable.js";

// readable-stream.js stands above this file and says what a ReadableStream is (set at build time).
let stateOfStream;

export function setStreamAccess(access) {
  stateOfStream = access;
}

const RELEASED = "The reader was released";

export class ReadableStreamDefaultReader {
  #reader;

  constructor(stream) {
    this.#reader = acquireReader(stateOfStream(stream));
  }

  get closed() {
    return #reader in this ? this.#reader.closed.promise : wrongReceiver("ReadableStreamDefaultReader");
  }

  cancel(reason = undefined) {
    return #reader in this ? cancelByReader(this.#reader, reason) : wrongReceiver("ReadableStreamDefaultReader");
  }

  read() {
    if (!(#reader in this)) return wrongReceiver("ReadableStreamDefaultReader");
    if (this.#reader.stream === undefined) return Promise.reject(new TypeError(RELEASED));
    const request = new PromiseRequest();
    this.#reader.read(request);
    return request.promise;
  }

  releaseLock() { this.#reader.release(); }
}
webClass(ReadableStreamDefaultReader);

export class ReadableStreamBYOBReader {
  #reader;

  constructor(stream) {
    this.#reader = acquireReader(stateOfStream(stream), true);
  }

  get closed() {
    return #reader in this ? this.#reader.closed.promise : wrongReceiver("ReadableStreamBYOBReader");
  }

  cancel(reason = undefined) {
    return #reader in this ? cancelByReader(this.#reader, reason) : wrongReceiver("ReadableStreamBYOBReader");
  }

  read(view, options = undefined) {
    if (!(#reader in this)) return wrongReceiver("ReadableStreamBYOBReader");
    const request = new PromiseRequest();
    try {
      const min = toMinimum(view, options);
      if (this.#reader.stream === undefined) throw new TypeError(RELEASED);
      this.#reader.readInto(view, min, request);
    } catch (error) {
      request.onError(error);
    }
    return request.promise;
  }

  /** Workers' older name for `read(view, { min })`. */
  readAtLeast(min, view) {
    return this.read(view, { min });
  }

  releaseLock() { this.#reader.release(); }
}
webClass(ReadableStreamBYOBReader);

/** Checks the arguments of a BYOB read; the number of elements it must bring. */
function toMinimum(view, options) {
  if (!ArrayBuffer.isView(view)) throw new TypeError("The argument is not a view on an ArrayBuffer");
  const given = toDictionary(options, "The options").min;
  const min = given === undefined ? 1 : toEnforcedRange(given, Number.MAX_SAFE_INTEGER, "min");
  if (view.byteLength === 0) throw new TypeError("The view is empty");
  if (view.buffer.detached) throw new TypeError("The view's buffer is detached");
  if (min === 0) throw new TypeError("min must be at least 1");
  const most = viewConstructor(view) === DataView ? view.byteLength : view.length;
  if (min > most) throw new RangeError("min is larger than the view");
  return min;
}
