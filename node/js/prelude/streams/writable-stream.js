// WritableStream, WritableStreamDefaultWriter and WritableStreamDefaultController.
//
// **Owns** the checks of the three interfaces and how a worker's `underlyingSink` is read and called. **Must not know** the
// state machine. **Enter at** `WritableStream`; the prelude wraps its own with `shellOfWritable`.

import { INTERNAL, isObject, requireArguments, requireInternal, toCallback, webClass } from "../errors.js";
import { callAsync, callAsync1, callAsync2 } from "./promises.js";
import { highWaterMarkOf, toStrategy } from "./queue.js";
import { wrongReceiver } from "./readable.js";
import { abortWritable, closeWritable, Writable, WritableController, Writer } from "./writable.js";

/** A worker's sink. `write` and `start` see the public controller, `shell`. */
class WorkerSink {
  constructor(object, members) {
    this.object = object;
    this.members = members;
    this.shell = undefined;
  }

  start() {
    const { start } = this.members;
    return start === undefined ? undefined : start.call(this.object, this.shell);
  }

  write(chunk) {
    const { write } = this.members;
    return write === undefined ? undefined : callAsync2(write, this.object, chunk, this.shell);
  }

  close() {
    const { close } = this.members;
    return close === undefined ? undefined : callAsync(close, this.object);
  }

  abort(reason) {
    const { abort } = this.members;
    return abort === undefined ? undefined : callAsync1(abort, this.object, reason);
  }
}

function toSink(object) {
  if (object === undefined) return new WorkerSink(undefined, {});
  if (!isObject(object)) throw new TypeError("The underlying sink is not an object");
  const what = "The underlying sink";
  const members = {
    abort: toCallback(object, "abort", what),
    close: toCallback(object, "close", what),
    start: toCallback(object, "start", what),
    write: undefined,
  };
  const type = object.type;
  members.write = toCallback(object, "write", what);
  if (type !== undefined) throw new RangeError("A sink has no type");
  return new WorkerSink(object, members);
}

let stateOf;
let isWritable;

export class WritableStream {
  #stream;

  static {
    stateOf = (object) => object.#stream;
    isWritable = (value) => isObject(value) && #stream in value;
  }

  constructor(underlyingSink = undefined, strategy = undefined) {
    if (underlyingSink === INTERNAL) {
      this.#stream = strategy;
      return;
    }
    const converted = toStrategy(strategy);
    const sink = toSink(underlyingSink);
    const highWaterMark = highWaterMarkOf(converted, 1);
    const stream = (this.#stream = new Writable());
    const controller = new WritableController(stream, sink, highWaterMark, converted.size);
    sink.shell = new WritableStreamDefaultController(INTERNAL, controller);
    controller.begin(sink.start());
  }

  get locked() { return this.#stream.writer !== undefined; }

  abort(reason = undefined) {
    if (!(#stream in this)) return wrongReceiver("WritableStream");
    if (this.locked) return Promise.reject(new TypeError("The stream is locked to a writer"));
    return abortWritable(this.#stream, reason);
  }

  close() {
    if (!(#stream in this)) return wrongReceiver("WritableStream");
    if (this.locked) return Promise.reject(new TypeError("The stream is locked to a writer"));
    if (this.#stream.closeQueuedOrInFlight) return Promise.reject(new TypeError("The stream is already closing"));
    return closeWritable(this.#stream);
  }

  getWriter() {
    this.#stream;
    return new WritableStreamDefaultWriter(this);
  }
}
webClass(WritableStream);

export class WritableStreamDefaultWriter {
  #writer;

  constructor(stream) {
    requireArguments(arguments.length, 1, "WritableStreamDefaultWriter");
    if (!isWritable(stream)) throw new TypeError("The argument is not a WritableStream");
    this.#writer = new Writer(stateOf(stream));
  }

  get closed() {
    return #writer in this ? this.#writer.closed.promise : wrongReceiver("WritableStreamDefaultWriter");
  }

  get ready() {
    return #writer in this ? this.#writer.ready.promise : wrongReceiver("WritableStreamDefaultWriter");
  }

  get desiredSize() {
    if (this.#writer.stream === undefined) throw new TypeError("The writer was released");
    return this.#writer.desiredSize;
  }

  abort(reason = undefined) {
    if (!(#writer in this)) return wrongReceiver("WritableStreamDefaultWriter");
    const { stream } = this.#writer;
    return stream === undefined ? released() : abortWritable(stream, reason);
  }

  close() {
    if (!(#writer in this)) return wrongReceiver("WritableStreamDefaultWriter");
    const writer = this.#writer;
    return writer.stream === undefined ? released() : writer.close();
  }

  write(chunk = undefined) {
    if (!(#writer in this)) return wrongReceiver("WritableStreamDefaultWriter");
    const writer = this.#writer;
    return writer.stream === undefined ? released() : writer.write(chunk);
  }

  releaseLock() { this.#writer.release(); }
}
webClass(WritableStreamDefaultWriter);

function released() {
  return Promise.reject(new TypeError("The writer was released"));
}

export class WritableStreamDefaultController {
  #controller;

  constructor(token = undefined, controller = undefined) {
    requireInternal(token);
    this.#controller = controller;
  }

  get signal() { return this.#controller.signal; }

  error(reason = undefined) { this.#controller.errorIfNeeded(reason); }
}
webClass(WritableStreamDefaultController);

/** The state behind a WritableStream; a TypeError for anything else. */
export function writableOf(value) {
  if (!isWritable(value)) throw new TypeError("The value is not a WritableStream");
  return stateOf(value);
}

/** The object that workers see of `stream`. */
export function shellOfWritable(stream) {
  return (stream.shell ??= new WritableStream(INTERNAL, stream));
}
