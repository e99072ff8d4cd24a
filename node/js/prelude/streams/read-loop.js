// Reading a stream to its end.
//
// **Owns** the loop. **Must not know** what becomes of the chunks. **Enter at** `ReadLoop`.

import { handled } from "./promises.js";
import { acquireReader, cancelReadable } from "./readable.js";

/** Locks a stream, and is its own read request, one under way at a time: `onChunk` calls `read` when it wants the next. */
export class ReadLoop {
  constructor(stream) {
    this.stream = stream;
    this.reader = acquireReader(stream);
    this.reading = false;
    this.more = false;
  }

  /** A loop, not recursion: a full queue answers at once, chunk after chunk. */
  read() {
    this.more = true;
    if (this.reading) return;
    this.reading = true;
    try {
      do {
        this.more = false;
        this.reader.read(this);
      } while (this.more);
    } finally {
      this.reading = false;
    }
  }

  cancel(reason) {
    handled(cancelReadable(this.stream, reason));
  }
}
