// TransformStream and TransformStreamDefaultController.
//
// **Owns** the checks of the two interfaces and how a worker's `transformer` is read and called. **Must not know** how the
// sides are tied. **Enter at** `TransformStream`.

import { INTERNAL, isObject, requireInternal, toCallback, webClass } from "../errors.js";
import { resolvedWith } from "./promises.js";
import { highWaterMarkOf, toStrategy } from "./queue.js";
import { shellOf } from "./readable-stream.js";
import { Transform } from "./transform.js";
import { shellOfWritable } from "./writable-stream.js";

/** A worker's transformer; its functions see the public controller, `shell`. */
class WorkerTransformer {
  constructor(object, members) {
    this.object = object;
    this.members = members;
    this.shell = undefined;
  }

  start() {
    const { start } = this.members;
    return start === undefined ? undefined : start.call(this.object, this.shell);
  }

  transform(chunk, owner) {
    const { transform } = this.members;
    if (transform === undefined) return owner.enqueue(chunk);
    return transform.call(this.object, chunk, this.shell);
  }

  flush() {
    return this.members.flush?.call(this.object, this.shell);
  }

  cancel(reason) {
    return this.members.cancel?.call(this.object, reason);
  }
}

function toTransformer(object) {
  if (object === undefined) return new WorkerTransformer(undefined, {});
  if (!isObject(object)) throw new TypeError("The transformer is not an object");
  const what = "The transformer";
  const cancel = toCallback(object, "cancel", what);
  const flush = toCallback(object, "flush", what);
  const { readableType } = object;
  const start = toCallback(object, "start", what);
  const transform = toCallback(object, "transform", what);
  const { writableType } = object;
  if (readableType !== undefined) throw new RangeError("A transformer has no readableType");
  if (writableType !== undefined) throw new RangeError("A transformer has no writableType");
  return new WorkerTransformer(object, { cancel, flush, start, transform });
}

export class TransformStream {
  #transform;

  constructor(transformer = undefined, writableStrategy = undefined, readableStrategy = undefined) {
    const writable = toStrategy(writableStrategy);
    const readable = toStrategy(readableStrategy);
    const converted = toTransformer(transformer);
    const readableMark = highWaterMarkOf(readable, 0);
    const writableMark = highWaterMarkOf(writable, 1);
    const transform = (this.#transform = new Transform(converted));
    transform.open(writableMark, writable.size, readableMark, readable.size);
    converted.shell = new TransformStreamDefaultController(INTERNAL, transform);
    // Both sides wait for `start`; what it throws leaves from here.
    transform.begin(resolvedWith(converted.start()));
  }

  get readable() { return shellOf(this.#transform.readable); }
  get writable() { return shellOfWritable(this.#transform.writable); }
}
webClass(TransformStream);

export class TransformStreamDefaultController {
  #transform;

  constructor(token = undefined, transform = undefined) {
    requireInternal(token);
    this.#transform = transform;
  }

  get desiredSize() { return this.#transform.output.desiredSize; }

  enqueue(chunk = undefined) { this.#transform.enqueue(chunk); }

  error(reason = undefined) { this.#transform.error(reason); }

  terminate() { this.#transform.terminate(); }
}
webClass(TransformStreamDefaultController);
