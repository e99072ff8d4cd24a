// `pipeTo`: moving chunks from a readable to a writable stream (Streams §4.9.1, ReadableStreamPipeTo).
//
// **Owns** the order in which errors, closes and aborts travel. **Must not know** chunks. **Enter at** `pipe`.
//
//   Flowing --source errored | dest errored | source closed | dest closed | signal--> Stopping --last write--> Stopped
//
// - Flowing: reads only while the destination wants more.  - Stopping: waits for the writes of chunks already read, runs
//   the action (abort, cancel or close), then releases both locks.

import { addAbortAlgorithm, removeAbortAlgorithm } from "../abort.js";
import { Deferred, handled } from "./promises.js";
import { acquireReader, cancelReadable } from "./readable.js";
import { abortWritable, Writer } from "./writable.js";

/** Locks both; a promise of the end, rejected with what went wrong. */
export function pipe(source, target, options) {
  const job = new Pipe(source, target, options);
  job.run();
  return job.done.promise;
}

class Pipe {
  constructor(source, target, options) {
    this.source = source;
    this.target = target;
    this.options = options;
    this.reader = acquireReader(source);
    this.writer = new Writer(target);
    source.disturbed = true;
    this.stopping = false;
    this.lastWrite = Promise.resolve(undefined);
    this.done = new Deferred();
    this.onAbort = () => this.abort();
    this.again = () => this.step();
  }

  run() {
    const { signal } = this.options;
    if (signal !== undefined) {
      if (signal.aborted) {
        this.abort();
        return;
      }
      addAbortAlgorithm(signal, this.onAbort);
    }
    this.watch();
    this.step();
  }

  /** The four conditions, in the spec's order of precedence. */
  watch() {
    const { source, target, reader, writer } = this;
    if (source.state === "errored") this.sourceErrored(source.error);
    else reader.closed.promise.catch((reason) => this.sourceErrored(reason));

    if (target.state === "errored") this.targetErrored(target.error);
    else writer.closed.promise.catch((reason) => this.targetErrored(reason));

    if (source.state === "closed") this.sourceClosed();
    else reader.closed.promise.then(() => this.sourceClosed(), () => {});

    if (target.closeQueuedOrInFlight || target.state === "closed") this.targetClosed();
  }

  sourceErrored(reason) {
    if (this.options.preventAbort) this.stop(undefined, true, reason);
    else this.stop(() => abortWritable(this.target, reason), true, reason);
  }

  targetErrored(reason) {
    if (this.options.preventCancel) this.stop(undefined, true, reason);
    else this.stop(() => cancelReadable(this.source, reason), true, reason);
  }

  sourceClosed() {
    if (this.options.preventClose) this.stop();
    else this.stop(() => this.writer.closeWithErrorPropagation());
  }

  targetClosed() {
    const reason = new TypeError("The destination of the pipe is closed");
    if (this.options.preventCancel) this.stop(undefined, true, reason);
    else this.stop(() => cancelReadable(this.source, reason), true, reason);
  }

  abort() {
    const { preventAbort, preventCancel, signal } = this.options;
    const { reason } = signal;
    this.stop(() => {
      const actions = [];
      if (!preventAbort) {
        actions.push(this.target.state === "writable" ? abortWritable(this.target, reason) : undefined);
      }
      if (!preventCancel) {
        actions.push(this.source.state === "readable" ? cancelReadable(this.source, reason) : undefined);
      }
      return Promise.all(actions);
    }, true, reason);
  }

  /** Moves one chunk, then itself again. */
  step() {
    const { writer, target } = this;
    // An erroring destination wants nothing; it stops the pipe once it is errored.
    if (this.stopping || target.state !== "writable") return;
    if (writer.ready.pending) writer.ready.promise.then(this.again, () => {});
    else this.reader.read(this);
  }

  // The pipe is its own read request: one is under way at a time.
  onChunk(chunk) {
    this.lastWrite = handled(this.writer.write(chunk));
    // A microtask later, so that a full queue does not become a deep stack.
    queueMicrotask(this.again);
  }

  onClose() {}

  onError() {}

  stop(action, failed = false, reason = undefined) {
    if (this.stopping) return;
    this.stopping = true;
    const { target } = this;
    const act = () => {
      if (action === undefined) {
        this.finish(failed, reason);
        return;
      }
      action().then(
        () => this.finish(failed, reason),
        (error) => this.finish(true, error),
      );
    };
    if (target.state === "writable" && !target.closeQueuedOrInFlight) this.afterWrites(act);
    else act();
  }

  /** Runs `then` when every chunk that was read has been written, or could not be. */
  afterWrites(then) {
    const awaited = this.lastWrite;
    const again = () => (awaited === this.lastWrite ? then() : this.afterWrites(then));
    awaited.then(again, again);
  }

  finish(failed, reason) {
    this.writer.release();
    this.reader.release();
    if (this.options.signal !== undefined) removeAbortAlgorithm(this.options.signal, this.onAbort);
    if (failed) this.done.reject(reason);
    else this.done.resolve(undefined);
  }
}
