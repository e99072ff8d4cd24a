import { deepEqual, equal, isPending, ok, rejects, settle, test, throws } from "./harness.js";

test("without a transformer chunks pass as they are", async () => {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  const chunk = {};
  const write = writer.write(chunk);
  equal((await readable.getReader().read()).value, chunk);
  await write;
});

test("the sides are always the same objects", () => {
  const stream = new TransformStream();
  equal(stream.readable, stream.readable);
  equal(stream.writable, stream.writable);
  ok(stream.readable instanceof ReadableStream);
  ok(stream.writable instanceof WritableStream);
  throws(() => Reflect.get(TransformStream.prototype, "readable", {}), TypeError);
  throws(() => new TransformStreamDefaultController(), TypeError, "Illegal constructor");
});

test("the constructor checks its arguments", () => {
  throws(() => new TransformStream(null), TypeError);
  throws(() => new TransformStream({ transform: 1 }), TypeError);
  throws(() => new TransformStream({ readableType: "bytes" }), RangeError);
  throws(() => new TransformStream({ writableType: "" }), RangeError);
  throws(() => new TransformStream({}, { highWaterMark: -1 }), RangeError);
  throws(() => new TransformStream({}, {}, { highWaterMark: NaN }), RangeError);
  const reason = new Error("start");
  throws(() => new TransformStream({ start() { throw reason; } }), reason);
});

test("transform may produce none, one or many", async () => {
  const stream = new TransformStream({
    transform(chunk, controller) {
      for (let times = 0; times < chunk; times++) controller.enqueue(chunk);
    },
    flush: (controller) => controller.enqueue("end"),
  });
  const writer = stream.writable.getWriter();
  for (const chunk of [0, 1, 2]) writer.write(chunk);
  writer.close();
  const got = [];
  for await (const chunk of stream.readable) got.push(chunk);
  deepEqual(got, [1, 2, 2, "end"]);
});

test("a write waits until the readable side wants more", async () => {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  equal(writer.desiredSize, 1);
  const write = writer.write("a");
  ok(await isPending(write));
  equal(writer.desiredSize, 0);
  const reader = readable.getReader();
  await reader.read();
  await write;
  equal(writer.desiredSize, 1);
});

test("a mark on the readable side takes chunks ahead of reads", async () => {
  const { writable } = new TransformStream({}, undefined, { highWaterMark: 2 });
  const writer = writable.getWriter();
  await writer.write("a");
  await writer.write("b");
  ok(await isPending(writer.write("c")));
});

test("what transform throws errors both sides", async () => {
  const reason = new Error("transform");
  const { readable, writable } = new TransformStream({ transform() { throw reason; } });
  const writer = writable.getWriter();
  const read = readable.getReader().read();
  await rejects(writer.write("a"), reason);
  await rejects(read, reason);
  await rejects(writer.closed, reason);
});

test("what flush rejects errors both sides", async () => {
  const reason = new Error("flush");
  const { readable, writable } = new TransformStream({ flush: () => Promise.reject(reason) });
  const closing = writable.close();
  await rejects(readable.getReader().read(), reason);
  await rejects(closing, reason);
});

test("controller.error errors both sides", async () => {
  let controller;
  const { readable, writable } = new TransformStream({ start(c) { controller = c; } });
  controller.error("e");
  await rejects(readable.getReader().read(), "e");
  await rejects(writable.getWriter().closed, "e");
});

test("terminate closes the readable side and errors the writable one", async () => {
  let controller;
  const { readable, writable } = new TransformStream({ start(c) { controller = c; } });
  const writer = writable.getWriter();
  controller.terminate();
  deepEqual(await readable.getReader().read(), { value: undefined, done: true });
  await rejects(writer.write("a"), TypeError);
  await rejects(writer.closed, TypeError);
  throws(() => controller.enqueue("late"), TypeError);
});

test("abort of the writable side errors the readable one and calls cancel", async () => {
  let told;
  const { readable, writable } = new TransformStream({ cancel: (reason) => void (told = reason) });
  await writable.abort("why");
  equal(told, "why");
  await rejects(readable.getReader().read(), "why");
});

test("cancel of the readable side errors the writable one and calls cancel", async () => {
  let told;
  const { readable, writable } = new TransformStream({ cancel: (reason) => void (told = reason) });
  const writer = writable.getWriter();
  await readable.cancel("why");
  equal(told, "why");
  await rejects(writer.closed, "why");
});

test("what the transformer's cancel throws is the outcome", async () => {
  const reason = new Error("cancel");
  const { readable, writable } = new TransformStream({ cancel() { throw reason; } });
  const writer = writable.getWriter();
  await rejects(readable.cancel("why"), reason);
  await rejects(writer.closed, reason);
});

test("cancel and close at once share one last call", async () => {
  const calls = [];
  const { readable, writable } = new TransformStream({
    flush: () => void calls.push("flush"),
    cancel: () => void calls.push("cancel"),
  });
  const closing = writable.close();
  const canceling = readable.cancel("x");
  await Promise.allSettled([closing, canceling]);
  equal(calls.length, 1);
});

test("start sees the controller and may enqueue", async () => {
  const stream = new TransformStream({
    start(controller) {
      ok(controller instanceof TransformStreamDefaultController);
      equal(controller.desiredSize, 0);
      controller.enqueue("early");
    },
  });
  equal((await stream.readable.getReader().read()).value, "early");
});

test("flush is not called before the last chunk was transformed", async () => {
  const log = [];
  const release = Promise.withResolvers();
  const { readable, writable } = new TransformStream({
    async transform(chunk) {
      await release.promise;
      log.push(chunk);
    },
    flush: () => void log.push("flush"),
  });
  const writer = writable.getWriter();
  writer.write("a");
  writer.close();
  readable.getReader().read();
  await settle();
  deepEqual(log, []);
  release.resolve();
  await settle();
  deepEqual(log, ["a", "flush"]);
});

test("an IdentityTransformStream passes bytes to default and BYOB readers", async () => {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const write = writer.write(new Uint8Array([1, 2, 3]));
  ok(await isPending(write));
  const reader = readable.getReader({ mode: "byob" });
  deepEqual([...(await reader.read(new Uint8Array(2))).value], [1, 2]);
  deepEqual([...(await reader.read(new Uint8Array(2))).value], [3]);
  await write;
  const end = reader.read(new Uint8Array(2));
  await writer.close();
  equal((await end).done, true);
});

test("an IdentityTransformStream does not keep the writer's memory", async () => {
  const { readable, writable } = new IdentityTransformStream();
  const chunk = new Uint8Array([1]);
  writable.getWriter().write(chunk);
  const { value } = await readable.getReader().read();
  value[0] = 9;
  equal(chunk[0], 1);
});

test("an IdentityTransformStream refuses what is not bytes", async () => {
  const { readable, writable } = new IdentityTransformStream();
  const read = readable.getReader().read();
  await rejects(writable.getWriter().write({}), TypeError);
  await rejects(read, TypeError);
});

test("an IdentityTransformStream carries cancel and abort across", async () => {
  const canceled = new IdentityTransformStream();
  const writer = canceled.writable.getWriter();
  const write = writer.write(new Uint8Array(1));
  await canceled.readable.cancel("why");
  await rejects(writer.closed, "why");
  await write.catch(() => {});
  const aborted = new IdentityTransformStream();
  const read = aborted.readable.getReader().read();
  await aborted.writable.abort("why");
  await rejects(read, "why");
});

test("a FixedLengthStream insists on its length", async () => {
  const exact = new FixedLengthStream(3);
  const writer = exact.writable.getWriter();
  writer.write(new Uint8Array(3));
  const closing = writer.close();
  equal((await new Response(exact.readable).arrayBuffer()).byteLength, 3);
  await closing;

  const long = new FixedLengthStream(1n);
  const read = long.readable.getReader().read();
  await rejects(long.writable.getWriter().write(new Uint8Array(2)), TypeError, "too many bytes");
  await rejects(read, TypeError);

  const short = new FixedLengthStream(5);
  const pending = short.readable.getReader().read();
  await rejects(short.writable.close(), TypeError, "did not see all expected bytes");
  await rejects(pending, TypeError);
  throws(() => new FixedLengthStream(-1), TypeError);
  throws(() => new FixedLengthStream(), TypeError);
});
