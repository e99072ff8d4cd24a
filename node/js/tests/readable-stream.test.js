import { deepEqual, equal, isPending, ok, rejects, settle, test, throws } from "./harness.js";


function counting(chunks) {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test("the interfaces look as WebIDL says", () => {
  equal(ReadableStream.length, 0);
  equal(Object.prototype.toString.call(new ReadableStream()), "[object ReadableStream]");
  ok(Object.getOwnPropertyDescriptor(ReadableStream.prototype, "cancel").enumerable);
  ok(!Object.getOwnPropertyDescriptor(ReadableStream.prototype, Symbol.asyncIterator).enumerable);
  equal(ReadableStream.prototype[Symbol.asyncIterator], ReadableStream.prototype.values);
  throws(() => ReadableStream(), TypeError);
  throws(() => new ReadableStreamDefaultController(), TypeError, "Illegal constructor");
  throws(() => new ReadableByteStreamController(), TypeError, "Illegal constructor");
  throws(() => new ReadableStreamBYOBRequest(), TypeError, "Illegal constructor");
});

test("the constructor refuses what is not a source or a strategy", () => {
  throws(() => new ReadableStream(null), TypeError);
  throws(() => new ReadableStream(1), TypeError);
  throws(() => new ReadableStream({ pull: 1 }), TypeError);
  throws(() => new ReadableStream({ cancel: {} }), TypeError);
  throws(() => new ReadableStream({ start: null }), TypeError);
  throws(() => new ReadableStream({ type: "" }), TypeError);
  throws(() => new ReadableStream({ type: null }), TypeError);
  throws(() => new ReadableStream({ type: "bytes" }, { size() {} }), RangeError);
  throws(() => new ReadableStream({}, { highWaterMark: -1 }), RangeError);
  throws(() => new ReadableStream({}, { highWaterMark: NaN }), RangeError);
  throws(() => new ReadableStream({}, { size: "a" }), TypeError);
  throws(() => new ReadableStream({ type: "bytes", autoAllocateChunkSize: 0 }), TypeError);
  throws(() => new ReadableStream({ type: "bytes", autoAllocateChunkSize: -1 }), TypeError);
});

test("a source's members are read in the order of WebIDL", () => {
  const seen = [];
  const source = new Proxy({}, { get: (_target, key) => void seen.push(key) });
  new ReadableStream(source);
  deepEqual(seen, ["autoAllocateChunkSize", "cancel", "pull", "start", "type"]);
});

test("what start throws leaves the constructor", () => {
  const reason = new Error("boom");
  throws(() => new ReadableStream({ start() { throw reason; } }), reason);
});

test("a rejected start errors the stream", async () => {
  const reason = new Error("boom");
  const reader = new ReadableStream({ start: () => Promise.reject(reason) }).getReader();
  await rejects(reader.read(), reason);
  await rejects(reader.closed, reason);
});

test("start sees the controller and the source as this", () => {
  let seen;
  const source = { start(controller) { seen = [this, controller]; } };
  new ReadableStream(source);
  equal(seen[0], source);
  ok(seen[1] instanceof ReadableStreamDefaultController);
});

test("pull waits for start", async () => {
  let pulled = 0;
  const { promise, resolve } = Promise.withResolvers();
  new ReadableStream({ start: () => promise, pull: () => void pulled++ });
  await settle();
  equal(pulled, 0);
  resolve();
  await settle();
  equal(pulled, 1);
});

test("pull is called until the high water mark is reached, one call at a time", async () => {
  let pulled = 0;
  new ReadableStream({ pull(controller) { controller.enqueue(pulled++); } }, { highWaterMark: 4 });
  await settle();
  equal(pulled, 4);
});

test("a mark of zero pulls only for a read", async () => {
  let pulled = 0;
  const stream = new ReadableStream({ pull(controller) { controller.enqueue(pulled++); } }, { highWaterMark: 0 });
  await settle();
  equal(pulled, 0);
  deepEqual(await stream.getReader().read(), { value: 0, done: false });
  equal(pulled, 1);
});

test("a pull that is not done is not repeated", async () => {
  let pulled = 0;
  const { promise, resolve } = Promise.withResolvers();
  const stream = new ReadableStream({ pull() { pulled++; return promise; } }, { highWaterMark: 3 });
  await settle();
  const reader = stream.getReader();
  reader.read();
  reader.read();
  await settle();
  equal(pulled, 1);
  resolve();
  await settle();
  equal(pulled, 2);
});

test("a pull that throws or rejects errors the stream", async () => {
  const reason = { name: "mine" };
  await rejects(new ReadableStream({ pull() { throw reason; } }).getReader().read(), reason);
  await rejects(new ReadableStream({ pull: () => Promise.reject(reason) }).getReader().closed, reason);
});

test("desiredSize falls with the queue and is 0 or null at the end", async () => {
  let controller;
  const stream = new ReadableStream({ start(c) { controller = c; } }, { highWaterMark: 2 });
  equal(controller.desiredSize, 2);
  controller.enqueue("a");
  controller.enqueue("b");
  controller.enqueue("c");
  equal(controller.desiredSize, -1);
  const reader = stream.getReader();
  await reader.read();
  equal(controller.desiredSize, 0);
  controller.close();
  equal(controller.desiredSize, 0);
  await reader.read();
  await reader.read();
  equal(controller.desiredSize, 0);
  let other;
  new ReadableStream({ start(c) { other = c; } });
  other.error();
  equal(other.desiredSize, null);
});

test("sizes come from the strategy, which is called without this", () => {
  let controller;
  let self = "unset";
  const size = function (chunk) { self = this; return chunk; };
  new ReadableStream({ start(c) { controller = c; } }, { highWaterMark: 10, size });
  controller.enqueue(4);
  equal(controller.desiredSize, 6);
  equal(self, undefined);
});

test("a size that is not a non-negative number errors the stream", async () => {
  for (const bad of [-1, NaN, Infinity, "x"]) {
    let controller;
    const stream = new ReadableStream({ start(c) { controller = c; } }, { size: () => bad });
    const error = throws(() => controller.enqueue("a"), RangeError);
    await rejects(stream.getReader().closed, error);
  }
});

test("a size function that throws errors the stream with that", async () => {
  const reason = new Error("size");
  let controller;
  const stream = new ReadableStream({ start(c) { controller = c; } }, { size() { throw reason; } });
  throws(() => controller.enqueue("a"), reason);
  await rejects(stream.getReader().read(), reason);
});

test("a read that waits takes a chunk past the strategy", async () => {
  let controller;
  let sized = 0;
  const stream = new ReadableStream({ start(c) { controller = c; } }, { size: () => { sized++; return 1; } });
  const read = stream.getReader().read();
  controller.enqueue("direct");
  deepEqual(await read, { value: "direct", done: false });
  equal(sized, 0);
});

test("close after chunks ends the stream once they are read", async () => {
  const reader = counting(["a", "b"]).getReader();
  ok(await isPending(reader.closed));
  deepEqual(await reader.read(), { value: "a", done: false });
  deepEqual(await reader.read(), { value: "b", done: false });
  deepEqual(await reader.read(), { value: undefined, done: true });
  equal(await reader.closed, undefined);
});

test("a closed or closing stream refuses chunks and another close", () => {
  let controller;
  new ReadableStream({ start(c) { controller = c; c.enqueue(1); c.close(); } });
  throws(() => controller.enqueue(2), TypeError);
  throws(() => controller.close(), TypeError);
  controller.error("still possible while chunks wait");
  throws(() => controller.enqueue(2), TypeError);
});

test("error drops what was queued, and a second error is ignored", async () => {
  let controller;
  const stream = new ReadableStream({ start(c) { controller = c; } });
  controller.enqueue("lost");
  controller.error("first");
  controller.error("second");
  const reader = stream.getReader();
  await rejects(reader.read(), "first");
  await rejects(reader.closed, "first");
});

test("waiting reads are answered in order, and all end at close", async () => {
  let controller;
  const reader = new ReadableStream({ start(c) { controller = c; } }).getReader();
  const reads = [reader.read(), reader.read(), reader.read()];
  controller.enqueue(1);
  controller.enqueue(2);
  controller.close();
  deepEqual(await Promise.all(reads), [
    { value: 1, done: false }, { value: 2, done: false }, { value: undefined, done: true },
  ]);
});

test("a lock lets nobody else in", async () => {
  const stream = counting([1]);
  equal(stream.locked, false);
  const reader = stream.getReader();
  equal(stream.locked, true);
  throws(() => stream.getReader(), TypeError);
  throws(() => new ReadableStreamDefaultReader(stream), TypeError);
  throws(() => stream.tee(), TypeError);
  throws(() => stream.values(), TypeError);
  await rejects(stream.cancel(), TypeError);
  await rejects(stream.pipeTo(new WritableStream()), TypeError);
  throws(() => stream.pipeThrough(new TransformStream()), TypeError);
  reader.releaseLock();
  equal(stream.locked, false);
});

test("releasing rejects waiting reads and closed, and the stream lives on", async () => {
  let controller;
  const stream = new ReadableStream({ start(c) { controller = c; } });
  const first = stream.getReader();
  const read = first.read();
  const closed = first.closed;
  first.releaseLock();
  first.releaseLock();
  await rejects(read, TypeError);
  await rejects(closed, TypeError);
  await rejects(first.read(), TypeError);
  await rejects(first.cancel(), TypeError);
  const second = stream.getReader();
  controller.enqueue("kept");
  deepEqual(await second.read(), { value: "kept", done: false });
});

test("closed of a reader released after the end is a new, rejected promise", async () => {
  const reader = counting([]).getReader();
  const before = reader.closed;
  await before;
  reader.releaseLock();
  ok(reader.closed !== before);
  await rejects(reader.closed, TypeError);
});

test("getReader knows its modes", () => {
  throws(() => new ReadableStream().getReader({ mode: "byob" }), TypeError);
  throws(() => new ReadableStream().getReader({ mode: "other" }), TypeError);
  throws(() => new ReadableStream().getReader({ mode: null }), TypeError);
  throws(() => new ReadableStream().getReader("byob"), TypeError);
  ok(new ReadableStream().getReader({}) instanceof ReadableStreamDefaultReader);
});

test("methods check what they are called on", async () => {
  const { prototype } = ReadableStream;
  throws(() => prototype.getReader.call({}), TypeError);
  throws(() => Reflect.get(prototype, "locked", {}), TypeError);
  throws(() => prototype.tee.call(new WritableStream()), TypeError);
  await rejects(prototype.cancel.call({}), TypeError);
  await rejects(prototype.pipeTo.call({}, new WritableStream()), TypeError);
  await rejects(ReadableStreamDefaultReader.prototype.read.call({}), TypeError);
  await rejects(Reflect.get(ReadableStreamDefaultReader.prototype, "closed", {}), TypeError);
  throws(() => new ReadableStreamDefaultReader({}), TypeError);
});

test("cancel tells the source why and drops the queue", async () => {
  let told;
  const stream = new ReadableStream({ start(c) { c.enqueue("lost"); }, cancel(reason) { told = [this, reason]; return "x"; } });
  equal(await stream.cancel("why"), undefined);
  equal(told[1], "why");
  deepEqual(await stream.getReader().read(), { value: undefined, done: true });
});

test("cancel of a closed stream does nothing; of an errored one rejects", async () => {
  const closed = counting([]);
  equal(await closed.cancel(), undefined);
  await rejects(new ReadableStream({ start(c) { c.error("e"); } }).cancel(), "e");
});

test("what the source's cancel throws is the outcome of cancel, and the stream is closed", async () => {
  const reason = new Error("no");
  const stream = new ReadableStream({ cancel() { throw reason; } });
  await rejects(stream.cancel(), reason);
  deepEqual(await stream.getReader().read(), { value: undefined, done: true });
});

test("cancel ends waiting reads", async () => {
  const reader = new ReadableStream().getReader();
  const read = reader.read();
  reader.cancel();
  deepEqual(await read, { value: undefined, done: true });
  equal(await reader.closed, undefined);
});

test("a source is not pulled after cancel", async () => {
  let pulled = 0;
  const stream = new ReadableStream({ pull() { pulled++; } }, { highWaterMark: 0 });
  await stream.cancel();
  await settle();
  equal(pulled, 0);
});

test("for await reads all, and leaving the loop cancels", async () => {
  deepEqual(await collect(counting([1, 2, 3])), [1, 2, 3]);
  let reason = "none";
  const stream = new ReadableStream({ start(c) { c.enqueue(1); c.enqueue(2); }, cancel(r) { reason = r; } });
  for await (const chunk of stream) {
    equal(chunk, 1);
    break;
  }
  equal(reason, undefined);
  equal(stream.locked, false);
});

test("values({ preventCancel }) leaves the rest to others", async () => {
  const stream = counting([1, 2, 3]);
  for await (const chunk of stream.values({ preventCancel: true })) {
    equal(chunk, 1);
    break;
  }
  deepEqual(await collect(stream), [2, 3]);
});

test("an iterator's calls queue behind each other", async () => {
  const iterator = counting([1, 2]).values();
  const results = await Promise.all([iterator.next(), iterator.next(), iterator.next(), iterator.next()]);
  deepEqual(results.map((result) => result.value), [1, 2, undefined, undefined]);
  deepEqual(await iterator.return("r"), { value: "r", done: true });
  await rejects(Object.getPrototypeOf(iterator).next.call({}), TypeError);
});

test("an error ends the iteration with the error, once", async () => {
  const iterator = new ReadableStream({ start(c) { c.error("e"); } }).values();
  await rejects(iterator.next(), "e");
  deepEqual(await iterator.next(), { value: undefined, done: true });
});

test("from takes arrays, iterators, generators and strings", async () => {
  deepEqual(await collect(ReadableStream.from(["a", "b"])), ["a", "b"]);
  deepEqual(await collect(ReadableStream.from(new Set([1, 2]))), [1, 2]);
  deepEqual(await collect(ReadableStream.from("añ")), ["a", "ñ"]);
  deepEqual(await collect(ReadableStream.from([Promise.resolve("p")])), ["p"]);
  deepEqual(await collect(ReadableStream.from((async function* () { yield 1; yield 2; })())), [1, 2]);
  deepEqual(await collect(ReadableStream.from(counting([7]))), [7]);
});

test("from refuses what can not be iterated", () => {
  for (const bad of [null, undefined, 0, true, {}, { [Symbol.iterator]: 1 }, { [Symbol.iterator]: () => 1 }]) {
    throws(() => ReadableStream.from(bad), TypeError);
  }
});

test("from reads lazily and returns the iterator on cancel", async () => {
  let at = 0;
  let returned;
  const stream = ReadableStream.from({
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ value: at++, done: false }),
      return: async (reason) => { returned = reason; return {}; },
    }),
  });
  await settle();
  equal(at, 0);
  const reader = stream.getReader();
  await reader.read();
  equal(at, 1);
  await reader.cancel("stop");
  equal(returned, "stop");
});

test("from passes on what the iterator throws", async () => {
  const reason = new Error("iterator");
  await rejects(ReadableStream.from((function* () { throw reason; })()).getReader().read(), reason);
  const bad = { [Symbol.asyncIterator]: () => ({ next: async () => 1 }) };
  await rejects(ReadableStream.from(bad).getReader().read(), TypeError);
});

test("tee gives both branches the same chunks", async () => {
  const chunk = { same: true };
  const [a, b] = counting([chunk, 2]).tee();
  const [fromA, fromB] = [await collect(a), await collect(b)];
  equal(fromA[0], chunk);
  equal(fromB[0], chunk);
  deepEqual(fromB[1], 2);
});

test("a tee's branches are canceled separately, and the source with both reasons", async () => {
  let reasons;
  const [a, b] = new ReadableStream({ cancel(r) { reasons = r; } }).tee();
  const first = a.cancel("a");
  ok(await isPending(first));
  equal(reasons, undefined);
  await b.cancel("b");
  await first;
  deepEqual(reasons, ["a", "b"]);
});

test("an error of a teed source reaches both branches", async () => {
  let controller;
  const [a, b] = new ReadableStream({ start(c) { controller = c; } }).tee();
  const reads = [a.getReader().read(), b.getReader().read()];
  controller.error("e");
  await rejects(reads[0], "e");
  await rejects(reads[1], "e");
});

test("a tee reads no faster than the faster branch", async () => {
  let pulled = 0;
  const source = new ReadableStream({ pull(c) { c.enqueue(pulled++); } }, { highWaterMark: 0 });
  const [a, b] = source.tee();
  await settle();
  equal(pulled, 1);
  await a.getReader().read();
  await settle();
  equal(pulled, 2);
  b.cancel();
});

test("the strategies have the sizes of the standard", () => {
  const count = new CountQueuingStrategy({ highWaterMark: "5" });
  equal(count.highWaterMark, 5);
  equal(count.size(), 1);
  equal(count.size.length, 0);
  equal(count.size, new CountQueuingStrategy({ highWaterMark: 1 }).size);
  const bytes = new ByteLengthQueuingStrategy({ highWaterMark: 3 });
  equal(bytes.size({ byteLength: 9 }), 9);
  equal(bytes.size.name, "size");
  throws(() => new CountQueuingStrategy(), TypeError);
  throws(() => new CountQueuingStrategy({}), TypeError);
  throws(() => Reflect.get(CountQueuingStrategy.prototype, "size", {}), TypeError);
  ok(Number.isNaN(new CountQueuingStrategy({ highWaterMark: {} }).highWaterMark));
});

test("a long queue keeps its order", async () => {
  const numbers = Array.from({ length: 1000 }, (_unused, at) => at);
  deepEqual(await collect(counting(numbers)), numbers);
});

// As a library does that brings its own promises.
class OwnPromise {
  constructor(run) {
    this.inner = new NativePromise(run);
  }
  then(onFulfilled, onRejected) {
    return this.inner.then(onFulfilled, onRejected);
  }
  static resolve(value) {
    return new OwnPromise((resolve) => resolve(value));
  }
}
const NativePromise = Promise;

test("streams work when a worker has replaced Promise", async () => {
  globalThis.Promise = OwnPromise;
  try {
    let pulls = 0;
    const stream = new ReadableStream({
      start: () => Promise.resolve(),
      pull(controller) {
        pulls++;
        if (pulls > 3) controller.close();
        else controller.enqueue(pulls);
        return Promise.resolve();
      },
    });
    const written = [];
    const sink = new WritableStream({
      write(chunk) {
        written.push(chunk);
        return Promise.resolve();
      },
    });
    const writer = sink.getWriter();
    const reader = stream.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      await writer.write(value);
    }
    await writer.close();
    deepEqual(written, [1, 2, 3]);
  } finally {
    globalThis.Promise = NativePromise;
  }
});

test("a promise of a worker's own class is asked by its own then", async () => {
  let asked = 0;
  class Lazy extends Promise {
    then(onFulfilled, onRejected) {
      asked++;
      return super.then(onFulfilled, onRejected);
    }
  }
  let pulls = 0;
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(pulls++);
      return new Lazy((resolve) => resolve());
    },
  }, { highWaterMark: 0 });
  const reader = stream.getReader();
  deepEqual([(await reader.read()).value, (await reader.read()).value], [0, 1]);
  await settle();
  equal(asked, 2);
  const writer = new WritableStream({ write: () => new Lazy((resolve) => resolve()) }).getWriter();
  await writer.write(1);
  equal(asked, 3);
});
