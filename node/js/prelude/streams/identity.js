// IdentityTransformStream and FixedLengthStream: Workers' byte pipes, whose readable side takes BYOB readers.
//
// **Owns** the hand-over from a write to a read: a write is done when somebody has taken its bytes, so nothing is buffered
// beyond one chunk. **Must not know** bodies. **Enter at** the classes.

import { INTERNAL, toBytesCopy, toEnforcedRange, webClass } from "../errors.js";
import { createByteReadable } from "./byte-tee.js";
import { Deferred } from "./promises.js";
import { shellOf } from "./readable-stream.js";
import { createWritable } from "./writable.js";
import { shellOfWritable } from "./writable-stream.js";

/** Both the source of the readable side and the sink of the writable side. */
class BytePipe {
  constructor(expected) {
    // How many bytes must still be written; undefined when any number may.
    this.left = expected;
    // Waits for a reader; resolved by `pull`.
    this.demand = new Deferred();
    this.readable = createByteReadable(this);
    this.writable = createWritable({
      write: (chunk) => this.write(chunk),
      close: () => this.close(),
      abort: (reason) => this.abort(reason),
    });
    // A body made of the readable side knows its length: it is sent with Content-Length.
    this.readable.body = expected === undefined ? undefined : { length: expected };
  }

  pull() {
    this.demand.resolve(true);
  }

  cancel(reason) {
    this.writable.controller.errorIfNeeded(reason);
    this.demand.resolve(false);
    return Promise.resolve(undefined);
  }

  async write(chunk) {
    let bytes;
    try {
      bytes = toBytesCopy(chunk, "The chunk");
      if (this.left !== undefined && bytes.byteLength > this.left) {
        throw new TypeError("Attempt to write too many bytes through a FixedLengthStream.");
      }
    } catch (error) {
      this.readable.controller.error(error);
      throw error;
    }
    if (bytes.byteLength === 0) return;
    if (!(await this.demand.promise)) return;
    this.demand = new Deferred();
    if (this.left !== undefined) this.left -= bytes.byteLength;
    this.readable.controller.enqueueOwned(bytes);
  }

  async close() {
    if (this.left !== undefined && this.left > 0) {
      const error = new TypeError("FixedLengthStream did not see all expected bytes before close().");
      this.readable.controller.error(error);
      throw error;
    }
    this.readable.controller.finish();
    if (this.readable.state === "errored") throw this.readable.error;
  }

  async abort(reason) {
    this.readable.controller.error(reason);
    this.demand.resolve(false);
  }
}

export class IdentityTransformStream {
  #pipe;

  // Only FixedLengthStream can show the token, and then the length that the stream must have.
  constructor(options = undefined, expected = undefined) {
    this.#pipe = new BytePipe(options === INTERNAL ? expected : undefined);
  }

  get readable() { return shellOf(this.#pipe.readable); }
  get writable() { return shellOfWritable(this.#pipe.writable); }
}
webClass(IdentityTransformStream);

export class FixedLengthStream extends IdentityTransformStream {
  constructor(expectedLength) {
    const big = typeof expectedLength === "bigint" ? Number(expectedLength) : expectedLength;
    super(INTERNAL, toEnforcedRange(big, Number.MAX_SAFE_INTEGER, "expectedLength"));
  }
}
webClass(FixedLengthStream);
