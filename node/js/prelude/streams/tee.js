// Splitting one readable stream into two.
//
// **Owns** the tee of streams of any chunks, and picks byte-tee.js for byte streams. **Must not know** what chunks are.
// **Enter at** `tee`.

import { byteTee } from "./byte-tee.js";
import { createReadable } from "./default-controller.js";
import { Deferred } from "./promises.js";
import { acquireReader, cancelReadable } from "./readable.js";

/** Locks `stream`; both results see every chunk (the same object, for streams that are not byte streams). */
export function tee(stream) {
  return stream.controller.isByte ? byteTee(stream) : defaultTee(stream);
}

/** The two branches' common interest in their source: it is canceled when both have lost theirs. */
export class Cancellation {
  constructor(stream) {
    this.stream = stream;
    this.reasons = [undefined, undefined];
    this.canceled = [false, false];
    this.done = new Deferred();
  }

  get both() {
    return this.canceled[0] && this.canceled[1];
  }

  cancel(index, reason) {
    this.canceled[index] = true;
    this.reasons[index] = reason;
    if (this.both) this.done.resolve(cancelReadable(this.stream, this.reasons));
    return this.done.promise;
  }

  /** The source ended by itself, so nothing is left to be canceled. */
  settle() {
    if (!this.both) this.done.resolve(undefined);
  }
}

function defaultTee(stream) {
  const reader = acquireReader(stream);
  const cancellation = new Cancellation(stream);
  let reading = false;
  let readAgain = false;
  const branches = [];

  function pull() {
    if (reading) {
      readAgain = true;
      return Promise.resolve(undefined);
    }
    reading = true;
    reader.read({
      // A microtask later, so that errors of the source that come with the chunk are seen first.
      onChunk: (chunk) => queueMicrotask(() => {
        readAgain = false;
        branches.forEach((branch, index) => {
          if (!cancellation.canceled[index]) branch.controller.enqueue(chunk);
        });
        reading = false;
        if (readAgain) pull();
      }),
      onClose() {
        reading = false;
        branches.forEach((branch, index) => {
          if (!cancellation.canceled[index]) branch.controller.close();
        });
        cancellation.settle();
      },
      onError() {
        reading = false;
      },
    });
    return Promise.resolve(undefined);
  }

  for (const index of [0, 1]) {
    branches.push(createReadable({ pull, cancel: (reason) => cancellation.cancel(index, reason) }));
  }
  reader.closed.promise.catch((reason) => {
    for (const branch of branches) branch.controller.error(reason);
    cancellation.settle();
  });
  return branches;
}
