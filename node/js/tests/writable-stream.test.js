import { deepEqual, equal, isPending, ok, rejects, settle, test, throws } from "./harness.js";

/** A sink that records its calls, and whose writes end when the test says so. */
function recording({ highWaterMark, held = false } = {}) {
  const calls = [];
  const waiting = [];
  const stream = new WritableStream({
    write(chunk) {
      calls.push(`write ${chunk}`);
      if (held) return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    close: () => void calls.push("close"),
    abort: (reason) => void calls.push(`abort ${reason}`),
  }, highWaterMark === undefined ? undefined : { highWaterMark });
  return { stream, calls, waiting };
}

test("the constructor refuses what is not a sink", () => {
  throws(() => new WritableStream(null), TypeError);
  throws(() => new WritableStream({ write: 1 }), TypeError);
  throws(() => new WritableStream({ type: "bytes" }), RangeError);
  throws(() => new WritableStream({ type: null }), RangeError);
  throws(() => new WritableStream({}, { highWaterMark: -1 }), RangeError);
  throws(() => WritableStream(), TypeError);
  throws(() => new WritableStreamDefaultController(), TypeError, "Illegal constructor");
  throws(() => new WritableStreamDefaultWriter(), TypeError);
  throws(() => new WritableStreamDefaultWriter({}), TypeError);
  equal(WritableStream.length, 0);
  equal(String(new WritableStream()), "[object WritableStream]");
});

test("writes reach the sink one after the other, then close", async () => {
  const { stream, calls } = recording();
  const writer = stream.getWriter();
  writer.write("a");
  writer.write("b");
  await writer.close();
  deepEqual(calls, ["write a", "write b", "close"]);
  equal(await writer.closed, undefined);
});

test("the next write waits for the sink to be done with this one", async () => {
  const { stream, calls, waiting } = recording({ held: true });
  const writer = stream.getWriter();
  const first = writer.write("a");
  writer.write("b");
  await settle();
  deepEqual(calls, ["write a"]);
  ok(await isPending(first));
  waiting[0].resolve();
  equal(await first, undefined);
  await settle();
  deepEqual(calls, ["write a", "write b"]);
});

test("nothing is written before start is done", async () => {
  const calls = [];
  const { promise, resolve } = Promise.withResolvers();
  const stream = new WritableStream({ start: () => promise, write: (chunk) => void calls.push(chunk) });
  stream.getWriter().write("a");
  await settle();
  deepEqual(calls, []);
  resolve();
  await settle();
  deepEqual(calls, ["a"]);
});

test("what start throws leaves the constructor; what it rejects errors the stream", async () => {
  const reason = new Error("start");
  throws(() => new WritableStream({ start() { throw reason; } }), reason);
  const writer = new WritableStream({ start: () => Promise.reject(reason) }).getWriter();
  await rejects(writer.closed, reason);
  await rejects(writer.write("a"), reason);
});

test("ready and desiredSize show back-pressure", async () => {
  const { stream, waiting } = recording({ held: true, highWaterMark: 1 });
  const writer = stream.getWriter();
  equal(writer.desiredSize, 1);
  equal(await writer.ready, undefined);
  const before = writer.ready;
  writer.write("a");
  equal(writer.desiredSize, 0);
  ok(writer.ready !== before);
  ok(await isPending(writer.ready));
  waiting[0].resolve();
  await writer.ready;
  equal(writer.desiredSize, 1);
});

test("a mark of zero is always back-pressure, yet a write goes through", async () => {
  const { stream, calls } = recording({ highWaterMark: 0 });
  const writer = stream.getWriter();
  equal(writer.desiredSize, 0);
  ok(await isPending(writer.ready));
  await writer.write("a");
  deepEqual(calls, ["write a"]);
});

test("a sink that throws on write errors the stream", async () => {
  const reason = new Error("write");
  const writer = new WritableStream({ write() { throw reason; } }).getWriter();
  const next = writer.write("a");
  const later = writer.write("b");
  await rejects(next, reason);
  await rejects(later, reason);
  await rejects(writer.closed, reason);
  await rejects(writer.ready, reason);
  equal(writer.desiredSize, null);
});

test("a sink that rejects close errors the stream", async () => {
  const reason = new Error("close");
  const writer = new WritableStream({ close: () => Promise.reject(reason) }).getWriter();
  await rejects(writer.close(), reason);
  await rejects(writer.closed, reason);
});

test("after close nothing more is taken", async () => {
  const writer = recording().stream.getWriter();
  const closing = writer.close();
  await rejects(writer.write("late"), TypeError);
  await rejects(writer.close(), TypeError);
  await closing;
  await rejects(writer.write("later"), TypeError);
  await rejects(writer.close(), TypeError);
  equal(writer.desiredSize, 0);
});

test("abort drops what waits and tells the sink", async () => {
  const { stream, calls, waiting } = recording({ held: true });
  const writer = stream.getWriter();
  const inFlight = writer.write("a");
  const queued = writer.write("b");
  await settle();
  const aborted = writer.abort("why");
  waiting[0].resolve();
  equal(await inFlight, undefined);
  await aborted;
  deepEqual(calls, ["write a", "abort why"]);
  await rejects(writer.closed, "why");
  await rejects(queued, "why");
});

test("abort waits for the write in flight", async () => {
  const { stream, calls, waiting } = recording({ held: true });
  const writer = stream.getWriter();
  writer.write("a").catch(() => {});
  await settle();
  const aborted = writer.abort("why");
  ok(await isPending(aborted));
  deepEqual(calls, ["write a"]);
  waiting[0].reject("write failed");
  await aborted;
  deepEqual(calls, ["write a", "abort why"]);
});

test("abort of a closed or errored stream does nothing", async () => {
  const closed = recording().stream;
  await closed.close();
  equal(await closed.abort(), undefined);
  const errored = new WritableStream({ start(c) { c.error("e"); } });
  await settle();
  equal(await errored.abort(), undefined);
});

test("a second abort shares the first one's outcome", async () => {
  const reason = new Error("abort");
  const stream = new WritableStream({ abort: () => Promise.reject(reason) });
  const [first, second] = [stream.abort(1), stream.abort(2)];
  await rejects(first, reason);
  await rejects(second, reason);
});

test("the controller's signal aborts with the stream's reason", async () => {
  let controller;
  const stream = new WritableStream({ start(c) { controller = c; } });
  const { signal } = controller;
  ok(signal instanceof AbortSignal);
  equal(signal.aborted, false);
  let event;
  signal.addEventListener("abort", (e) => { event = e.type; });
  stream.abort("why");
  equal(signal.aborted, true);
  equal(signal.reason, "why");
  equal(event, "abort");
});

test("the controller's error rejects what waits", async () => {
  let controller;
  const stream = new WritableStream({ start(c) { controller = c; } });
  const writer = stream.getWriter();
  controller.error("e");
  controller.error("ignored");
  await rejects(writer.write("a"), "e");
  await rejects(writer.closed, "e");
  await rejects(writer.close(), TypeError).catch(() => {});
});

test("a size function that throws errors the stream", async () => {
  const reason = new Error("size");
  const writer = new WritableStream({}, { size() { throw reason; } }).getWriter();
  await rejects(writer.write("a"), reason);
  await rejects(writer.closed, reason);
});

test("a lock lets only its writer write", async () => {
  const { stream } = recording();
  const writer = stream.getWriter();
  equal(stream.locked, true);
  throws(() => stream.getWriter(), TypeError);
  await rejects(stream.abort(), TypeError);
  await rejects(stream.close(), TypeError);
  writer.releaseLock();
  writer.releaseLock();
  equal(stream.locked, false);
  await rejects(writer.write("a"), TypeError);
  await rejects(writer.close(), TypeError);
  await rejects(writer.abort(), TypeError);
  await rejects(writer.closed, TypeError);
  await rejects(writer.ready, TypeError);
  throws(() => writer.desiredSize, TypeError);
});

test("writes go on after their writer was released", async () => {
  const { stream, calls } = recording();
  const writer = stream.getWriter();
  const write = writer.write("a");
  writer.releaseLock();
  await write;
  await stream.close();
  deepEqual(calls, ["write a", "close"]);
});

test("abort while closing: the close in flight decides", async () => {
  const { promise, resolve } = Promise.withResolvers();
  const stream = new WritableStream({ close: () => promise });
  const closing = stream.close();
  await settle();
  const aborted = stream.abort("why");
  resolve();
  equal(await closing, undefined);
  equal(await aborted, undefined);
  equal(await stream.getWriter().closed, undefined);
});

test("methods check what they are called on", async () => {
  throws(() => WritableStream.prototype.getWriter.call({}), TypeError);
  throws(() => Reflect.get(WritableStream.prototype, "locked", {}), TypeError);
  await rejects(WritableStream.prototype.abort.call({}), TypeError);
  await rejects(WritableStream.prototype.close.call({}), TypeError);
  await rejects(WritableStreamDefaultWriter.prototype.write.call({}), TypeError);
  await rejects(Reflect.get(WritableStreamDefaultWriter.prototype, "closed", {}), TypeError);
  throws(() => WritableStreamDefaultController.prototype.error.call({}), TypeError);
});
