// ReadableStream, the object that workers see.
//
// **Owns** the checks of the interface. **Must not know** how chunks move: every method hands over to one file. **Enter at**
// `ReadableStream`; the prelude wraps its own with `shellOf` and unwraps with `readableOf`.

import { isAbortSignal } from "../abort.js";
import { INTERNAL, isObject, requireArguments, toDictionary, webClass } from "../errors.js";
import { openWorkerByteStream } from "./byte-api.js";
import { openWorkerReadable } from "./default-controller.js";
import { fromIterable, iterate } from "./iterate.js";
import { pipe } from "./pipe.js";
import { highWaterMarkOf, toStrategy } from "./queue.js";
import { cancelReadable, Readable, wrongReceiver } from "./readable.js";
import { ReadableStreamBYOBReader, ReadableStreamDefaultReader, setStreamAccess } from "./readers.js";
import { toSource } from "./source.js";
import { tee } from "./tee.js";
import { writableOf } from "./writable-stream.js";

let stateOf;
let isReadable;

export class ReadableStream {
  #stream;

  static {
    stateOf = (object) => object.#stream;
    isReadable = (value) => isObject(value) && #stream in value;
  }

  constructor(underlyingSource = undefined, strategy = undefined) {
    if (underlyingSource === INTERNAL) {
      this.#stream = strategy;
      return;
    }
    const converted = toStrategy(strategy);
    const { source, type, autoAllocateChunkSize } = toSource(underlyingSource);
    const stream = (this.#stream = new Readable());
    stream.shell = this;
    if (type === "bytes") {
      if (converted.size !== undefined) throw new RangeError("A byte stream's strategy has no size function");
      openWorkerByteStream(stream, source, highWaterMarkOf(converted, 0), autoAllocateChunkSize);
    } else {
      openWorkerReadable(stream, source, highWaterMarkOf(converted, 1), converted.size);
    }
  }

  static from(asyncIterable) {
    requireArguments(arguments.length, 1, "from");
    return shellOf(fromIterable(asyncIterable));
  }

  get locked() { return this.#stream.reader !== undefined; }

  cancel(reason = undefined) {
    if (!(#stream in this)) return wrongReceiver("ReadableStream");
    if (this.locked) return Promise.reject(new TypeError("The stream is locked to a reader"));
    return cancelReadable(this.#stream, reason);
  }

  getReader(options = undefined) {
    this.#stream;
    const { mode } = toDictionary(options, "The options");
    if (mode === undefined) return new ReadableStreamDefaultReader(this);
    if (`${mode}` !== "byob") throw new TypeError(`'${mode}' is not a reader mode`);
    return new ReadableStreamBYOBReader(this);
  }

  pipeThrough(transform, options = undefined) {
    this.#stream;
    requireArguments(arguments.length, 1, "pipeThrough");
    const { readable, writable } = toDictionary(transform, "The transform");
    if (!isReadable(readable)) throw new TypeError("transform.readable is not a ReadableStream");
    const target = writableOf(writable);
    const converted = toPipeOptions(options);
    requireUnlocked(this.#stream, target);
    // The pipe's failure shows in `readable`.
    pipe(this.#stream, target, converted).catch(() => {});
    return readable;
  }

  pipeTo(destination, options = undefined) {
    if (!(#stream in this)) return wrongReceiver("ReadableStream");
    try {
      requireArguments(arguments.length, 1, "pipeTo");
      const target = writableOf(destination);
      const converted = toPipeOptions(options);
      requireUnlocked(this.#stream, target);
      return pipe(this.#stream, target, converted);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  tee() { return tee(this.#stream).map(shellOf); }

  values(options = undefined) {
    const stream = this.#stream;
    const { preventCancel } = toDictionary(options, "The options");
    return iterate(stream, !!preventCancel);
  }
}
webClass(ReadableStream);
Object.defineProperty(ReadableStream.prototype, Symbol.asyncIterator, {
  value: ReadableStream.prototype.values,
  writable: true,
  configurable: true,
});

function requireUnlocked(source, target) {
  if (source.reader !== undefined) throw new TypeError("The stream is locked to a reader");
  if (target.writer !== undefined) throw new TypeError("The destination is locked to a writer");
}

function toPipeOptions(options) {
  const { preventAbort, preventCancel, preventClose, signal } = toDictionary(options, "The options");
  if (signal !== undefined && !isAbortSignal(signal)) throw new TypeError("signal is not an AbortSignal");
  return { preventAbort: !!preventAbort, preventCancel: !!preventCancel, preventClose: !!preventClose, signal };
}

/** The state behind a ReadableStream; a TypeError for anything else. */
export function readableOf(value) {
  if (!isReadable(value)) throw new TypeError("The value is not a ReadableStream");
  return stateOf(value);
}

/** The object that workers see of `stream`. */
export function shellOf(stream) {
  return (stream.shell ??= new ReadableStream(INTERNAL, stream));
}

setStreamAccess(readableOf);
