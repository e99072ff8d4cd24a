// Readable streams as async iterables, and async iterables as readable streams.
//
// **Owns** `for await (… of stream)` and `ReadableStream.from`. **Must not know** byte streams. **Enter at** `iterate` and
// `fromIterable`.

import { isObject } from "../errors.js";
import { createReadable } from "./default-controller.js";
import { acquireReader, cancelByReader, PromiseRequest } from "./readable.js";

const AsyncIteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}.prototype));

/** One loop over a stream. Calls queue behind each other, as WebIDL's asynchronous iterators do. */
class Iteration {
  constructor(stream, preventCancel) {
    this.reader = acquireReader(stream);
    this.preventCancel = preventCancel;
    this.ongoing = undefined;
    this.finished = false;
  }

  enqueue(step) {
    const result = this.ongoing === undefined ? step() : this.ongoing.then(step, step);
    this.ongoing = result;
    return result;
  }

  next() {
    if (this.finished) return Promise.resolve({ value: undefined, done: true });
    const request = new NextRequest(this);
    this.reader.read(request);
    return request.promise;
  }

  end() {
    this.finished = true;
    this.reader.release();
  }

  stop(value) {
    if (this.finished) return Promise.resolve({ value, done: true });
    this.finished = true;
    const told = this.preventCancel ? Promise.resolve() : cancelByReader(this.reader, value);
    this.reader.release();
    return told.then(() => ({ value, done: true }));
  }
}

/** The promise of a `next()` call. */
class NextRequest extends PromiseRequest {
  constructor(iteration) {
    super();
    this.iteration = iteration;
  }

  onClose() {
    this.iteration.end();
    super.onClose(undefined);
  }

  onError(reason) {
    this.iteration.end();
    super.onError(reason);
  }
}

const iterations = new WeakMap();

function iterationOf(iterator) {
  const iteration = iterations.get(iterator);
  return iteration ?? new TypeError("Illegal invocation: this is not an iterator of a ReadableStream");
}

const iteratorPrototype = Object.create(AsyncIteratorPrototype, {
  [Symbol.toStringTag]: { value: "ReadableStream AsyncIterator", configurable: true },
});
Object.assign(iteratorPrototype, {
  next() {
    const iteration = iterationOf(this);
    return iteration instanceof Iteration ? iteration.enqueue(() => iteration.next()) : Promise.reject(iteration);
  },
  return(value) {
    const iteration = iterationOf(this);
    return iteration instanceof Iteration ? iteration.enqueue(() => iteration.stop(value)) : Promise.reject(iteration);
  },
});

export function iterate(stream, preventCancel) {
  const iterator = Object.create(iteratorPrototype);
  iterations.set(iterator, new Iteration(stream, preventCancel));
  return iterator;
}

/** A stream of what `iterable` yields, read one by one. */
export function fromIterable(iterable) {
  const { iterator, asynchronous } = iteratorOf(iterable);
  const next = iterator.next;
  return createReadable({
    async pull(controller) {
      const result = await next.call(iterator);
      if (!isObject(result)) throw new TypeError("The iterator's result is not an object");
      if (result.done) controller.close();
      else controller.enqueue(asynchronous ? result.value : await result.value);
    },
    async cancel(reason) {
      const stop = iterator.return;
      if (stop === undefined || stop === null) return;
      const result = await stop.call(iterator, reason);
      if (!isObject(result)) throw new TypeError("The iterator's result is not an object");
    },
  }, 0);
}

function iteratorOf(iterable) {
  if (iterable === null || iterable === undefined) throw new TypeError("The value is not iterable");
  const asynchronous = iterable[Symbol.asyncIterator];
  const method = asynchronous ?? iterable[Symbol.iterator];
  if (typeof method !== "function") throw new TypeError("The value is not iterable");
  const iterator = method.call(iterable);
  if (!isObject(iterator)) throw new TypeError("The iterator is not an object");
  return { iterator, asynchronous: method === asynchronous };
}
