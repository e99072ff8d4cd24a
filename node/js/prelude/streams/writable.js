// The state of one writable stream, its controller and its writer (Streams §5).
//
// **Owns** the states below, the write requests and back-pressure. **Must not know** the public objects. **Enter at**
// `createWritable` and `Writer`.
//
//   writable --close--> writable (closing) --closed--> closed
//      `--error, abort--> erroring --in-flight work done--> errored
//
// - erroring waits for the write or close that the sink is busy with; only then may the sink's `abort` run.
// - A sink has `start(controller)`, `write(chunk, controller)`, `close(controller)`, `abort(reason)`: each a promise, or
//   undefined (done at once) for the prelude's own sinks.

import { createSignal, signalAbort } from "../abort.js";
import { host } from "../host.js";
import { callAsync, callAsync1, Deferred, LazyPromise, resolvedWith } from "./promises.js";
import { SizedQueue } from "./queue.js";

const { react } = host;

const CLOSE = Symbol("close");

export class Writable {
  constructor() {
    this.state = "writable";
    this.error = undefined;
    this.writer = undefined;
    this.controller = undefined;
    this.shell = undefined;
    this.backpressure = false;
    // Deferreds of writes that wait, in the order of the queue.
    this.writes = [];
    this.writeInFlight = undefined;
    this.closeRequest = undefined;
    this.closeInFlight = undefined;
    this.pendingAbort = undefined;
  }

  get closeQueuedOrInFlight() {
    return this.closeRequest !== undefined || this.closeInFlight !== undefined;
  }
}

/** Asks the stream to stop: a promise of the sink having been told. */
export function abortWritable(stream, reason) {
  if (stream.state === "closed" || stream.state === "errored") return Promise.resolve(undefined);
  stream.controller.signalAbort(reason);
  // A listener of the signal may have changed the state.
  const { state } = stream;
  if (state === "closed" || state === "errored") return Promise.resolve(undefined);
  if (stream.pendingAbort !== undefined) return stream.pendingAbort.deferred.promise;
  const wasErroring = state === "erroring";
  const deferred = new Deferred();
  stream.pendingAbort = { deferred, reason: wasErroring ? undefined : reason, wasErroring };
  if (!wasErroring) startErroring(stream, reason);
  return deferred.promise;
}

export function closeWritable(stream) {
  if (stream.state === "closed" || stream.state === "errored") {
    return Promise.reject(new TypeError(`The stream is ${stream.state} and can not be closed`));
  }
  const deferred = (stream.closeRequest = new Deferred());
  if (stream.writer !== undefined && stream.backpressure && stream.state === "writable") stream.writer.ready.resolve();
  stream.controller.close();
  return deferred.promise;
}

function startErroring(stream, reason) {
  stream.state = "erroring";
  stream.error = reason;
  stream.writer?.ensureReadyRejected(reason);
  const busy = stream.writeInFlight !== undefined || stream.closeInFlight !== undefined;
  if (!busy && stream.controller.started) finishErroring(stream);
}

function dealWithRejection(stream, reason) {
  if (stream.state === "writable") startErroring(stream, reason);
  else finishErroring(stream);
}

function finishErroring(stream) {
  stream.state = "errored";
  stream.controller.queue.reset();
  for (const write of stream.writes) write.reject(stream.error);
  stream.writes = [];
  const abort = stream.pendingAbort;
  if (abort === undefined) {
    rejectCloseAndClosed(stream);
    return;
  }
  stream.pendingAbort = undefined;
  if (abort.wasErroring) {
    abort.deferred.reject(stream.error);
    rejectCloseAndClosed(stream);
    return;
  }
  const { sink } = stream.controller;
  stream.controller.clearSink();
  callAsync1(sink.abort, sink, abort.reason).then(
    () => {
      abort.deferred.resolve(undefined);
      rejectCloseAndClosed(stream);
    },
    (reason) => {
      abort.deferred.reject(reason);
      rejectCloseAndClosed(stream);
    },
  );
}

function rejectCloseAndClosed(stream) {
  stream.closeRequest?.reject(stream.error);
  stream.closeRequest = undefined;
  stream.writer?.closed.reject(stream.error);
}

function finishClose(stream) {
  stream.closeInFlight.resolve(undefined);
  stream.closeInFlight = undefined;
  if (stream.state === "erroring") {
    stream.error = undefined;
    stream.pendingAbort?.deferred.resolve(undefined);
    stream.pendingAbort = undefined;
  }
  stream.state = "closed";
  stream.writer?.closed.resolve();
}

function finishCloseWithError(stream, reason) {
  stream.closeInFlight.reject(reason);
  stream.closeInFlight = undefined;
  stream.pendingAbort?.deferred.reject(reason);
  stream.pendingAbort = undefined;
  dealWithRejection(stream, reason);
}

function updateBackpressure(stream, backpressure) {
  const { writer } = stream;
  if (writer !== undefined && backpressure !== stream.backpressure) {
    if (backpressure) writer.ready = new LazyPromise();
    else writer.ready.resolve();
  }
  stream.backpressure = backpressure;
}

const NO_SINK = { write() {}, close() {}, abort() {} };

export class WritableController {
  constructor(stream, sink, highWaterMark, size) {
    this.stream = stream;
    this.sink = sink;
    this.highWaterMark = highWaterMark;
    this.size = size;
    this.queue = new SizedQueue();
    this.started = false;
    this.abortSignal = undefined;
    // The reactions to a write, made at the first and kept.
    this.onWritten = undefined;
    this.onWriteFailed = undefined;
    stream.controller = this;
    updateBackpressure(stream, this.backpressure);
  }

  /** Waits for the sink's `start` result, then begins to write. */
  begin(startResult) {
    const { stream } = this;
    react(
      resolvedWith(startResult),
      () => {
        this.started = true;
        this.advance();
      },
      (reason) => {
        this.started = true;
        dealWithRejection(stream, reason);
      },
    );
  }

  get desiredSize() {
    return this.highWaterMark - this.queue.total;
  }

  get backpressure() {
    return this.desiredSize <= 0;
  }

  /** The signal that aborts with the stream; made when somebody looks. */
  get signal() {
    return (this.abortSignal ??= createSignal());
  }

  signalAbort(reason) {
    signalAbort(this.signal, reason);
  }

  clearSink() {
    this.sink = NO_SINK;
    this.size = undefined;
  }

  errorIfNeeded(reason) {
    if (this.stream.state === "writable") this.fail(reason);
  }

  fail(reason) {
    this.clearSink();
    startErroring(this.stream, reason);
  }

  /** The size of a chunk; a strategy that throws errors the stream. */
  sizeOf(chunk) {
    if (this.size === undefined) return 1;
    try {
      return this.size.call(undefined, chunk);
    } catch (error) {
      this.errorIfNeeded(error);
      return 1;
    }
  }

  write(chunk, size) {
    try {
      this.queue.push(chunk, size);
    } catch (error) {
      this.errorIfNeeded(error);
      return;
    }
    const { stream } = this;
    if (!stream.closeQueuedOrInFlight && stream.state === "writable") updateBackpressure(stream, this.backpressure);
    this.advance();
  }

  close() {
    this.queue.push(CLOSE, 0);
    this.advance();
  }

  advance() {
    const { stream } = this;
    if (!this.started || stream.writeInFlight !== undefined || stream.closeInFlight !== undefined) return;
    if (stream.state === "erroring") {
      finishErroring(stream);
      return;
    }
    if (this.queue.length === 0 || stream.state !== "writable") return;
    const next = this.queue.peek();
    if (next === CLOSE) this.processClose();
    else this.processWrite(next);
  }

  processClose() {
    const { stream, sink } = this;
    stream.closeInFlight = stream.closeRequest;
    stream.closeRequest = undefined;
    this.queue.shift();
    const closed = callAsync(sink.close, sink);
    this.clearSink();
    react(
      closed,
      () => finishClose(stream),
      (reason) => finishCloseWithError(stream, reason),
    );
  }

  processWrite(chunk) {
    const { stream } = this;
    stream.writeInFlight = stream.writes.shift();
    this.onWritten ??= () => this.written();
    this.onWriteFailed ??= (reason) => this.writeFailed(reason);
    react(callAsync1(this.sink.write, this.sink, chunk), this.onWritten, this.onWriteFailed);
  }

  writeFailed(reason) {
    const { stream } = this;
    if (stream.state === "writable") this.clearSink();
    stream.writeInFlight.reject(reason);
    stream.writeInFlight = undefined;
    dealWithRejection(stream, reason);
  }

  written() {
    const { stream } = this;
    stream.writeInFlight.resolve(undefined);
    stream.writeInFlight = undefined;
    this.queue.shift();
    if (!stream.closeQueuedOrInFlight && stream.state === "writable") updateBackpressure(stream, this.backpressure);
    this.advance();
  }
}

/** A writable over one of the prelude's own sinks, which needs no `start`. */
export function createWritable(sink, highWaterMark = 1, size = undefined) {
  const stream = new Writable();
  new WritableController(stream, sink, highWaterMark, size).begin(undefined);
  return stream;
}

/** The lock on a writable stream. */
export class Writer {
  constructor(stream) {
    if (stream.writer !== undefined) throw new TypeError("The stream is locked to a writer");
    this.stream = stream;
    stream.writer = this;
    this.ready = new LazyPromise();
    this.closed = new LazyPromise();
    const { state, error } = stream;
    if (state === "erroring") this.ready.reject(error);
    else if (state === "errored") {
      this.ready.reject(error);
      this.closed.reject(error);
    } else if (state === "closed") {
      this.ready.resolve();
      this.closed.resolve();
    } else if (stream.closeQueuedOrInFlight || !stream.backpressure) this.ready.resolve();
  }

  get desiredSize() {
    const { state, controller } = this.stream;
    if (state === "errored" || state === "erroring") return null;
    return state === "closed" ? 0 : controller.desiredSize;
  }

  ensureReadyRejected(reason) {
    this.ready.replaceByRejection(reason);
  }

  write(chunk) {
    const { stream } = this;
    const { controller } = stream;
    const size = controller.sizeOf(chunk);
    // The strategy's size function is a worker's code: it may have released this writer.
    if (stream !== this.stream) return Promise.reject(new TypeError("The writer was released"));
    const { state } = stream;
    if (state === "errored") return Promise.reject(stream.error);
    if (stream.closeQueuedOrInFlight || state === "closed") {
      return Promise.reject(new TypeError("The stream is closing or closed and can not be written to"));
    }
    if (state === "erroring") return Promise.reject(stream.error);
    const deferred = new Deferred();
    stream.writes.push(deferred);
    controller.write(chunk, size);
    return deferred.promise;
  }

  close() {
    if (this.stream.closeQueuedOrInFlight) return Promise.reject(new TypeError("The stream is already closing"));
    return closeWritable(this.stream);
  }

  /** As `close`, but content with a stream that is closed already: what pipes need. */
  closeWithErrorPropagation() {
    const { stream } = this;
    if (stream.closeQueuedOrInFlight || stream.state === "closed") return Promise.resolve(undefined);
    return stream.state === "errored" ? Promise.reject(stream.error) : closeWritable(stream);
  }

  release() {
    const { stream } = this;
    if (stream === undefined) return;
    const reason = new TypeError("The writer was released");
    this.ensureReadyRejected(reason);
    this.closed.replaceByRejection(reason);
    stream.writer = undefined;
    this.stream = undefined;
  }
}
