import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";
import {
  constantOf, createBytesReadable, createHostReadable, createTextReadable, hostBodyId, isDisturbed, isLocked, knownLength, readAllBytes,
  takeConstant, takeHostBody,
} from "skerry:internal/streams/host-body.js";
import { createDecodedReadable } from "skerry:internal/content-coding.js";

const text = (bytes) => new TextDecoder().decode(bytes);

test("a constant stream is read like any other", async () => {
  const reader = createTextReadable("héllo").getReader();
  equal(text((await reader.read()).value), "héllo");
  equal((await reader.read()).done, true);
  const byob = createBytesReadable(new Uint8Array([1, 2, 3])).getReader({ mode: "byob" });
  deepEqual([...(await byob.read(new Uint8Array(2))).value], [1, 2]);
  deepEqual([...(await byob.read(new Uint8Array(2))).value], [3]);
  equal((await byob.read(new Uint8Array(2))).done, true);
  equal((await createTextReadable("").getReader().read()).done, true);
  equal((await createTextReadable("").getReader({ mode: "byob" }).read(new Uint8Array(1))).done, true);
});

test("a constant stream can be teed, piped, canceled and iterated", async () => {
  const [a, b] = createTextReadable("x").tee();
  equal(text(await readAllBytes(a)), "x");
  equal(text(await readAllBytes(b)), "x");
  const got = [];
  for await (const chunk of createTextReadable("y").pipeThrough(new TextDecoderStream())) got.push(chunk);
  deepEqual(got, ["y"]);
  const canceled = createTextReadable("z");
  await canceled.cancel();
  equal((await canceled.getReader().read()).done, true);
});

test("the constant is known until somebody reads or locks", async () => {
  const stream = createTextReadable("x");
  equal(constantOf(stream), "x");
  const reader = stream.getReader();
  equal(constantOf(stream), undefined);
  reader.releaseLock();
  equal(constantOf(stream), "x");
  await stream.getReader().read();
  equal(constantOf(stream), undefined);
  equal(knownLength(createBytesReadable(new Uint8Array(5))), 5);
});

test("a taken constant leaves a used stream", async () => {
  const stream = createTextReadable("x");
  equal(takeConstant(stream), "x");
  deepEqual([isDisturbed(stream), isLocked(stream), takeConstant(stream)], [true, true, undefined]);
  throws(() => stream.getReader(), TypeError);
  await rejects(stream.cancel(), TypeError);
});

test("reading bytes of a constant does not hand out its memory", async () => {
  const bytes = new Uint8Array([1]);
  const got = await readAllBytes(createBytesReadable(bytes));
  got[0] = 9;
  equal(bytes[0], 1);
});

test("a host stream that nobody touched is its id", () => {
  const stream = createHostReadable(7);
  equal(hostBodyId(stream), 7);
  equal(constantOf(stream), undefined);
  equal(stream.locked, false);
  equal(takeHostBody(stream), 7);
  equal(hostBodyId(stream), undefined);
  deepEqual([isDisturbed(stream), isLocked(stream)], [true, true]);
  equal(hostBodyId(new ReadableStream()), undefined);
  const locked = createHostReadable(8);
  locked.getReader();
  equal(takeHostBody(locked), undefined);
});

test("a host stream can be canceled with whatever a worker has for a reason", async () => {
  for (const create of [createHostReadable, (id) => createDecodedReadable(id, "gzip")]) {
    for (const reason of [undefined, "why", Object.create(null), Symbol("why")]) {
      equal(await create(0x7ffffffe).cancel(reason), undefined);
    }
  }
});

test("readAllBytes joins the chunks of any stream", async () => {
  const stream = new ReadableStream({
    start(c) {
      for (const size of [1, 2, 3]) c.enqueue(new Uint8Array(size).fill(size));
      c.close();
    },
  });
  deepEqual([...(await readAllBytes(stream))], [1, 2, 2, 3, 3, 3]);
  deepEqual([isDisturbed(stream), isLocked(stream)], [true, true]);
  await rejects(readAllBytes(stream), TypeError);
  let pulls = 0;
  const pulled = new ReadableStream({
    async pull(c) {
      if (pulls++ < 3) c.enqueue(new Uint8Array([pulls]));
      else c.close();
    },
  });
  deepEqual([...(await readAllBytes(pulled))], [1, 2, 3]);
  equal((await readAllBytes(new ReadableStream({ start: (c) => c.close() }))).length, 0);
});

test("readAllBytes refuses chunks that are not bytes and passes errors on", async () => {
  let why;
  const stream = new ReadableStream({ start: (c) => c.enqueue("text"), cancel: (reason) => void (why = reason) });
  await rejects(readAllBytes(stream), TypeError);
  ok(why instanceof TypeError);
  await rejects(readAllBytes(new ReadableStream({ start: (c) => c.error("e") })), "e");
});

test("readAllBytes reads no further than its limit", async () => {
  const limit = { bytes: 4, error: (length) => new RangeError(`${length} bytes`) };
  equal(text(await readAllBytes(createTextReadable("four"), limit)), "four");
  let why;
  const stream = new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(3)), cancel: (reason) => void (why = reason) });
  const error = await rejects(readAllBytes(stream, limit), RangeError, "6 bytes");
  equal(why, error);
  deepEqual([isDisturbed(stream), isLocked(stream)], [true, true]);
});

test("readAllBytes begins nothing that is known to pass its limit", async () => {
  const limit = { bytes: 4, error: (length) => new RangeError(`${length} bytes`) };
  for (const stream of [createTextReadable("héll"), createBytesReadable(new Uint8Array(5))]) {
    await rejects(readAllBytes(stream, limit), RangeError, "5 bytes");
    deepEqual([isDisturbed(stream), isLocked(stream)], [true, true]);
  }
  const { readable, writable } = new FixedLengthStream(5);
  const { closed } = writable.getWriter();
  await rejects(readAllBytes(readable, limit), RangeError, "5 bytes");
  await rejects(closed, RangeError, "5 bytes");
  await rejects(readAllBytes(readable, limit), TypeError);
});

test("an end inside an element of a lent view fails that read, and the other branch of a tee goes on", async () => {
  const [one, two] = createTextReadable("abc").tee();
  const reader = one.getReader({ mode: "byob" });
  const others = readAllBytes(two);
  equal((await reader.read(new Uint16Array(4))).value.length, 1);
  await rejects(reader.read(new Uint16Array(4)), TypeError);
  await rejects(reader.closed, TypeError);
  equal(text(await others), "abc");
});
