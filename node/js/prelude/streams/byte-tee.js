// Splitting one byte stream into two, each of which may be read with BYOB readers (Streams §4.9.1,
// ReadableByteStreamTee).
//
// **Owns** which branch's buffer the source's next bytes go into. **Must not know** workers' objects. **Enter at**
// `byteTee`.

import { ByteController } from "./byte-controller.js";
import { acquireReader, Readable } from "./readable.js";
import { Cancellation } from "./tee.js";

export function byteTee(stream) {
  const tee = new ByteTee(stream);
  return tee.branches;
}

/** A byte stream over one of the prelude's own sources. */
export function createByteReadable(source, highWaterMark = 0) {
  const stream = new Readable();
  new ByteController(stream, source, highWaterMark, undefined).begin(undefined);
  return stream;
}

class ByteTee {
  constructor(stream) {
    this.stream = stream;
    this.cancellation = new Cancellation(stream);
    this.reading = false;
    // Which branches asked again while a read was under way.
    this.again = [false, false];
    this.reader = undefined;
    this.attach(false);
    this.branches = [0, 1].map((index) => createByteReadable({
      pull: () => this.pull(index),
      cancel: (reason) => this.cancellation.cancel(index, reason),
    }));
  }

  /** Takes the kind of reader that the next read needs. */
  attach(byob) {
    if (this.reader !== undefined) {
      if (this.reader.byob === byob) return;
      this.reader.release();
    }
    const reader = (this.reader = acquireReader(this.stream, byob));
    reader.closed.promise.catch((reason) => {
      if (reader !== this.reader) return;
      for (const branch of this.branches) branch.controller.error(reason);
      this.cancellation.settle();
    });
  }

  pull(index) {
    if (this.reading) {
      this.again[index] = true;
      return;
    }
    this.reading = true;
    const lent = this.branches[index].controller.pending[0];
    if (lent === undefined) this.pullDefault();
    else this.pullInto(index, lent);
  }

  pullAgain() {
    this.reading = false;
    const [first, second] = this.again;
    this.again = [false, false];
    if (first) this.pull(0);
    else if (second) this.pull(1);
  }

  live(index) {
    return !this.cancellation.canceled[index];
  }

  pullDefault() {
    this.attach(false);
    this.reader.read({
      onChunk: (chunk) => queueMicrotask(() => {
        this.again = [false, false];
        const copy = this.live(0) && this.live(1) ? chunk.slice() : chunk;
        if (this.live(0)) this.branches[0].controller.enqueueOwned(chunk);
        if (this.live(1)) this.branches[1].controller.enqueueOwned(copy);
        this.pullAgain();
      }),
      onClose: () => {
        this.reading = false;
        this.branches.forEach((branch, index) => {
          if (this.live(index)) branch.controller.finish();
        });
        this.cancellation.settle();
      },
      onError: () => {
        this.reading = false;
      },
    });
  }

  /** Reads straight into the buffer that a BYOB reader of branch `index` lent. */
  pullInto(index, lent) {
    this.attach(true);
    const mine = this.branches[index].controller;
    const other = this.branches[1 - index].controller;
    const view = new Uint8Array(lent.buffer, lent.byteOffset + lent.filled, lent.byteLength - lent.filled);
    mine.invalidateByobRequest();
    this.reader.readInto(view, 1, {
      onChunk: (chunk) => queueMicrotask(() => {
        this.again = [false, false];
        if (this.live(1 - index)) other.enqueueOwned(chunk.slice());
        if (this.live(index)) mine.respondWithNewView(chunk);
        this.pullAgain();
      }),
      onClose: (chunk) => {
        this.reading = false;
        const mineEnds = this.live(index) && mine.end();
        const otherEnds = this.live(1 - index) && other.end();
        if (chunk !== undefined) {
          if (mineEnds) mine.respondWithNewView(chunk);
          if (otherEnds && other.pending.length > 0) other.respond(0);
        }
        this.cancellation.settle();
      },
      onError: () => {
        this.reading = false;
      },
    });
  }
}
