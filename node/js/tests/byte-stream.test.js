import { deepEqual, equal, isPending, ok, rejects, settle, test, throws } from "./harness.js";

const bytes = (...values) => new Uint8Array(values);

function byteStream(source, strategy) {
  let controller;
  const stream = new ReadableStream({
    type: "bytes",
    start(c) {
      controller = c;
      return source?.start?.(c);
    },
    pull: source?.pull,
    cancel: source?.cancel,
    autoAllocateChunkSize: source?.autoAllocateChunkSize,
  }, strategy);
  return { stream, controller };
}

test("a byte stream's controller is a byte controller", () => {
  const { controller, stream } = byteStream();
  ok(controller instanceof ReadableByteStreamController);
  equal(controller.byobRequest, null);
  equal(controller.desiredSize, 0);
  ok(stream.getReader({ mode: "byob" }) instanceof ReadableStreamBYOBReader);
});

test("enqueue takes views only, and not empty ones", () => {
  const { controller } = byteStream();
  throws(() => controller.enqueue("a"), TypeError);
  throws(() => controller.enqueue(new ArrayBuffer(1)), TypeError);
  throws(() => controller.enqueue(bytes()), TypeError);
  throws(() => controller.enqueue(), TypeError);
});

test("enqueue takes the buffer away from its sender", async () => {
  const { controller, stream } = byteStream();
  const chunk = bytes(1, 2, 3).subarray(1);
  controller.enqueue(chunk);
  equal(chunk.byteLength, 0);
  ok(chunk.buffer.detached);
  const { value } = await stream.getReader().read();
  deepEqual(value, bytes(2, 3));
});

test("chunks of any view come out as Uint8Array", async () => {
  const { controller, stream } = byteStream();
  controller.enqueue(new Uint16Array([0x0201]));
  controller.enqueue(new DataView(new ArrayBuffer(2)));
  const reader = stream.getReader();
  deepEqual((await reader.read()).value, bytes(1, 2));
  deepEqual((await reader.read()).value, bytes(0, 0));
});

test("desiredSize counts bytes", () => {
  const { controller } = byteStream(undefined, { highWaterMark: 10 });
  controller.enqueue(bytes(1, 2, 3));
  equal(controller.desiredSize, 7);
});

test("a BYOB read fills the reader's own memory and detaches its view", async () => {
  const { controller, stream } = byteStream();
  controller.enqueue(bytes(1, 2, 3));
  const view = new Uint8Array(8);
  const { value, done } = await stream.getReader({ mode: "byob" }).read(view);
  equal(done, false);
  deepEqual(value, bytes(1, 2, 3));
  equal(value.buffer.byteLength, 8);
  equal(view.byteLength, 0);
});

test("a BYOB read smaller than the chunk leaves the rest", async () => {
  const { controller, stream } = byteStream();
  controller.enqueue(bytes(1, 2, 3, 4, 5));
  const reader = stream.getReader({ mode: "byob" });
  deepEqual((await reader.read(new Uint8Array(2))).value, bytes(1, 2));
  deepEqual((await reader.read(new Uint8Array(2))).value, bytes(3, 4));
  reader.releaseLock();
  deepEqual((await stream.getReader().read()).value, bytes(5));
});

test("a BYOB read gathers several chunks", async () => {
  const { controller, stream } = byteStream();
  controller.enqueue(bytes(1));
  controller.enqueue(bytes(2, 3));
  controller.enqueue(bytes(4));
  deepEqual((await stream.getReader({ mode: "byob" }).read(new Uint8Array(3))).value, bytes(1, 2, 3));
});

test("a BYOB read keeps the kind and offset of its view", async () => {
  const { controller, stream } = byteStream();
  controller.enqueue(bytes(1, 0, 2, 0, 9));
  const reader = stream.getReader({ mode: "byob" });
  const { value } = await reader.read(new Uint16Array(new ArrayBuffer(8), 2, 2));
  ok(value instanceof Uint16Array);
  deepEqual([...value], [1, 2]);
  equal(value.byteOffset, 2);
  const rest = await reader.read(new DataView(new ArrayBuffer(4)));
  ok(rest.value instanceof DataView);
  equal(rest.value.getUint8(0), 9);
});

test("BYOB reads refuse bad views", async () => {
  const { stream } = byteStream();
  const reader = stream.getReader({ mode: "byob" });
  await rejects(reader.read(), TypeError);
  await rejects(reader.read(new ArrayBuffer(1)), TypeError);
  await rejects(reader.read(bytes()), TypeError);
  const gone = bytes(1);
  gone.buffer.transfer();
  await rejects(reader.read(gone), TypeError);
  await rejects(reader.read(bytes(1), { min: 0 }), TypeError);
  await rejects(reader.read(bytes(1), { min: 2 }), RangeError);
  await rejects(reader.read(new Uint16Array(1), { min: 2 }), RangeError);
  await rejects(reader.read(bytes(1), { min: -1 }), TypeError);
});

test("min holds a read back until enough is there", async () => {
  const { controller, stream } = byteStream();
  const reader = stream.getReader({ mode: "byob" });
  const read = reader.read(new Uint8Array(5), { min: 3 });
  controller.enqueue(bytes(1));
  ok(await isPending(read));
  controller.enqueue(bytes(2));
  ok(await isPending(read));
  controller.enqueue(bytes(3, 4));
  deepEqual((await read).value, bytes(1, 2, 3, 4));
});

test("min at the end of the stream brings what there is, then done", async () => {
  const { controller, stream } = byteStream();
  const reader = stream.getReader({ mode: "byob" });
  const read = reader.read(new Uint8Array(5), { min: 3 });
  controller.enqueue(bytes(1));
  controller.close();
  controller.byobRequest.respond(0);
  const { value, done } = await read;
  equal(done, true);
  deepEqual(value, bytes(1));
});

test("a source may write into the lent buffer through byobRequest", async () => {
  const requests = [];
  const { stream } = byteStream({
    pull(controller) {
      const { byobRequest } = controller;
      requests.push(byobRequest.view.byteLength);
      byobRequest.view[0] = 42;
      byobRequest.respond(1);
      equal(byobRequest.view, null);
    },
  });
  const { value } = await stream.getReader({ mode: "byob" }).read(new Uint8Array(16));
  deepEqual(value, bytes(42));
  deepEqual(requests, [16]);
});

test("byobRequest is one object until it is answered, then another", async () => {
  const { controller, stream } = byteStream();
  const reader = stream.getReader({ mode: "byob" });
  const read = reader.read(new Uint8Array(2), { min: 2 });
  await settle();
  const first = controller.byobRequest;
  equal(first, controller.byobRequest);
  first.view[0] = 1;
  first.respond(1);
  const second = controller.byobRequest;
  ok(second !== first);
  equal(second.view.byteOffset, 1);
  throws(() => first.respond(1), TypeError);
  second.view[0] = 2;
  second.respond(1);
  deepEqual((await read).value, bytes(1, 2));
  equal(controller.byobRequest, null);
});

test("respond checks what it is told", async () => {
  const { controller, stream } = byteStream();
  stream.getReader({ mode: "byob" }).read(new Uint8Array(2)).catch(() => {});
  await settle();
  const { byobRequest } = controller;
  throws(() => byobRequest.respond(), TypeError);
  throws(() => byobRequest.respond(0), TypeError);
  throws(() => byobRequest.respond(3), RangeError);
  throws(() => byobRequest.respond(-1), TypeError);
  throws(() => byobRequest.respond(NaN + ""), TypeError);
  throws(() => byobRequest.respondWithNewView(), TypeError);
});

test("respondWithNewView takes the same memory in another buffer", async () => {
  const { controller, stream } = byteStream();
  const read = stream.getReader({ mode: "byob" }).read(new Uint8Array(4));
  await settle();
  const moved = new Uint8Array(controller.byobRequest.view.buffer.transfer(), 0, 2);
  moved.set([8, 9]);
  controller.byobRequest.respondWithNewView(moved);
  deepEqual((await read).value, bytes(8, 9));
});

test("respondWithNewView refuses another place, size or buffer length", async () => {
  const { controller, stream } = byteStream();
  stream.getReader({ mode: "byob" }).read(new Uint8Array(new ArrayBuffer(10), 2, 4)).catch(() => {});
  await settle();
  const { byobRequest } = controller;
  throws(() => byobRequest.respondWithNewView(new Uint8Array(new ArrayBuffer(10), 3, 1)), RangeError);
  throws(() => byobRequest.respondWithNewView(new Uint8Array(new ArrayBuffer(11), 2, 1)), RangeError);
  throws(() => byobRequest.respondWithNewView(new Uint8Array(new ArrayBuffer(10), 2, 5)), RangeError);
  throws(() => byobRequest.respondWithNewView(new Uint8Array(new ArrayBuffer(10), 2, 0)), TypeError);
});

test("bytes that do not fill an element wait for the next read", async () => {
  const { controller, stream } = byteStream();
  const reader = stream.getReader({ mode: "byob" });
  const read = reader.read(new Uint16Array(4));
  controller.enqueue(bytes(1));
  ok(await isPending(read));
  controller.enqueue(bytes(0, 2));
  deepEqual([...(await read).value], [1]);
  deepEqual((await reader.read(new Uint8Array(1))).value, bytes(2));
});

test("closing inside an element is an error for both sides", async () => {
  const { controller, stream } = byteStream();
  const read = stream.getReader({ mode: "byob" }).read(new Uint16Array(1));
  controller.enqueue(bytes(1));
  throws(() => controller.close(), TypeError);
  await rejects(read, TypeError);
});

test("autoAllocateChunkSize lends buffers for default reads", async () => {
  const { stream } = byteStream({
    autoAllocateChunkSize: 4,
    pull(controller) {
      equal(controller.byobRequest.view.byteLength, 4);
      controller.byobRequest.view.set([7, 7]);
      controller.byobRequest.respond(2);
    },
  });
  deepEqual((await stream.getReader().read()).value, bytes(7, 7));
});

test("enqueue answers a read even though a buffer was lent", async () => {
  const { controller, stream } = byteStream({ autoAllocateChunkSize: 4 });
  const read = stream.getReader().read();
  await settle();
  const { byobRequest } = controller;
  controller.enqueue(bytes(5));
  deepEqual((await read).value, bytes(5));
  equal(byobRequest.view, null);
  equal(controller.byobRequest, null);
});

test("close with a waiting BYOB read needs respond(0)", async () => {
  const { controller, stream } = byteStream();
  const read = stream.getReader({ mode: "byob" }).read(new Uint8Array(3));
  controller.close();
  ok(await isPending(read));
  throws(() => controller.byobRequest.respond(1), TypeError);
  controller.byobRequest.respond(0);
  const { value, done } = await read;
  equal(done, true);
  equal(value.byteLength, 0);
  equal(value.buffer.byteLength, 3);
});

test("a BYOB read of a closed stream gives the memory back", async () => {
  const { controller, stream } = byteStream();
  controller.close();
  const { value, done } = await stream.getReader({ mode: "byob" }).read(new Uint8Array(3));
  equal(done, true);
  equal(value.byteLength, 0);
  equal(value.buffer.byteLength, 3);
});

test("cancel with a waiting BYOB read ends it without a view", async () => {
  let why;
  const { stream } = byteStream({ cancel(reason) { why = reason; } });
  const reader = stream.getReader({ mode: "byob" });
  const read = reader.read(new Uint8Array(3));
  await reader.cancel("why");
  deepEqual(await read, { value: undefined, done: true });
  equal(why, "why");
});

test("an error rejects waiting BYOB reads and later ones", async () => {
  const { controller, stream } = byteStream();
  const reader = stream.getReader({ mode: "byob" });
  const read = reader.read(new Uint8Array(3));
  controller.error("e");
  await rejects(read, "e");
  await rejects(reader.read(new Uint8Array(3)), "e");
});

test("a buffer whose reader left still fills the next reader's read", async () => {
  const { controller, stream } = byteStream();
  const first = stream.getReader({ mode: "byob" });
  const lost = first.read(new Uint8Array(3));
  await settle();
  const { byobRequest } = controller;
  first.releaseLock();
  await rejects(lost, TypeError);
  const read = stream.getReader({ mode: "byob" }).read(new Uint8Array(2));
  byobRequest.view.set([1, 2, 3]);
  byobRequest.respond(3);
  deepEqual((await read).value, bytes(1, 2));
});

test("several BYOB reads are answered in order by one chunk", async () => {
  const { controller, stream } = byteStream();
  const reader = stream.getReader({ mode: "byob" });
  const reads = [reader.read(new Uint8Array(1)), reader.read(new Uint8Array(2)), reader.read(new Uint8Array(9))];
  controller.enqueue(bytes(1, 2, 3, 4));
  deepEqual((await Promise.all(reads)).map((r) => [...r.value]), [[1], [2, 3], [4]]);
});

test("a byte stream is pulled for each read until its mark is met", async () => {
  let pulled = 0;
  const { stream } = byteStream({ pull(c) { c.enqueue(bytes(pulled++)); } });
  await settle();
  equal(pulled, 0);
  const reader = stream.getReader();
  await reader.read();
  await reader.read();
  equal(pulled, 2);
});

test("both branches of a byte tee can be read with BYOB readers", async () => {
  const { controller, stream } = byteStream();
  const [a, b] = stream.tee();
  const fromA = a.getReader({ mode: "byob" }).read(new Uint8Array(4));
  const fromB = b.getReader({ mode: "byob" }).read(new Uint8Array(4));
  await settle();
  controller.enqueue(bytes(1, 2));
  const [first, second] = await Promise.all([fromA, fromB]);
  deepEqual(first.value, bytes(1, 2));
  deepEqual(second.value, bytes(1, 2));
  ok(first.value.buffer !== second.value.buffer);
});

test("a byte tee's branches own their chunks", async () => {
  const { controller, stream } = byteStream();
  const [a, b] = stream.tee();
  controller.enqueue(bytes(1));
  controller.close();
  const first = (await a.getReader().read()).value;
  first[0] = 99;
  deepEqual((await b.getReader().read()).value, bytes(1));
});

test("a byte tee mixes default and BYOB readers", async () => {
  const { controller, stream } = byteStream();
  const [a, b] = stream.tee();
  const fromA = a.getReader().read();
  await settle();
  controller.enqueue(bytes(1, 2, 3));
  deepEqual((await fromA).value, bytes(1, 2, 3));
  const reader = b.getReader({ mode: "byob" });
  deepEqual((await reader.read(new Uint8Array(2))).value, bytes(1, 2));
  deepEqual((await reader.read(new Uint8Array(2))).value, bytes(3));
});

test("a byte tee ends, errors and cancels both branches", async () => {
  const ended = byteStream();
  const [a, b] = ended.stream.tee();
  const reads = [a.getReader({ mode: "byob" }).read(new Uint8Array(1)), b.getReader().read()];
  await settle();
  ended.controller.close();
  ended.controller.byobRequest?.respond(0);
  deepEqual((await Promise.all(reads)).map((r) => r.done), [true, true]);

  const broken = byteStream();
  const [c, d] = broken.stream.tee();
  broken.controller.error("e");
  await rejects(c.getReader().read(), "e");
  await rejects(d.getReader().read(), "e");

  let reasons;
  const [e, f] = byteStream({ cancel(r) { reasons = r; } }).stream.tee();
  await Promise.all([e.cancel(1), f.cancel(2)]);
  deepEqual(reasons, [1, 2]);
});

/** A stream of which a reader was released while its buffer had three of four bytes; the next reader, and who writes. */
async function leftByReleasedReader() {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const first = readable.getReader({ mode: "byob" });
  const reading = first.readAtLeast(4, new Uint8Array(4));
  await writer.write(bytes(1, 2, 3));
  first.releaseLock();
  await rejects(reading, TypeError);
  return { writer, second: readable.getReader() };
}

test("bytes that a released reader had not been given go to the next one", async () => {
  const { writer, second } = await leftByReleasedReader();
  const next = second.read();
  writer.write(bytes(4));
  deepEqual([...(await next).value], [1, 2, 3]);
  deepEqual([...(await second.read()).value], [4]);
});

test("bytes that a released reader had not been given are there before the end", async () => {
  const { writer, second } = await leftByReleasedReader();
  const next = second.read();
  await writer.close();
  deepEqual([...(await next).value], [1, 2, 3]);
  equal((await second.read()).done, true);
});
