import { deepEqual, equal, isPending, ok, rejects, settle, test } from "./harness.js";

function source(chunks, { close = true } = {}) {
  const log = [];
  let controller;
  const stream = new ReadableStream({
    start(c) {
      controller = c;
      for (const chunk of chunks) c.enqueue(chunk);
      if (close) c.close();
    },
    cancel: (reason) => void log.push(reason),
  });
  return { stream, log, error: (reason) => controller.error(reason), close: () => controller.close(), enqueue: (c) => controller.enqueue(c) };
}

function sink({ highWaterMark = 1, write } = {}) {
  const log = [];
  let controller;
  const stream = new WritableStream({
    start: (c) => void (controller = c),
    write(chunk) {
      log.push(chunk);
      return write?.(chunk);
    },
    close: () => void log.push("close"),
    abort: (reason) => void log.push(`abort ${reason}`),
  }, { highWaterMark });
  return { stream, log, error: (reason) => controller.error(reason) };
}

test("a pipe moves every chunk in order, closes, and unlocks both", async () => {
  const from = source(["a", "b", "c"]);
  const to = sink();
  equal(await from.stream.pipeTo(to.stream), undefined);
  deepEqual(to.log, ["a", "b", "c", "close"]);
  equal(from.stream.locked, false);
  equal(to.stream.locked, false);
});

test("preventClose leaves the destination open", async () => {
  const to = sink();
  await source(["a"]).stream.pipeTo(to.stream, { preventClose: true });
  await source(["b"]).stream.pipeTo(to.stream);
  deepEqual(to.log, ["a", "b", "close"]);
});

test("an error of the source aborts the destination", async () => {
  const from = source(["a"], { close: false });
  const to = sink();
  const piped = from.stream.pipeTo(to.stream);
  await settle();
  from.error("broken");
  await rejects(piped, "broken");
  deepEqual(to.log, ["a", "abort broken"]);
});

test("preventAbort keeps an error of the source from the destination", async () => {
  const from = source([], { close: false });
  const to = sink();
  from.error("broken");
  await rejects(from.stream.pipeTo(to.stream, { preventAbort: true }), "broken");
  deepEqual(to.log, []);
  await to.stream.close();
});

test("an error of the destination cancels the source", async () => {
  const from = source(["a"], { close: false });
  const to = sink();
  const piped = from.stream.pipeTo(to.stream);
  await settle();
  to.error("full");
  await rejects(piped, "full");
  deepEqual(from.log, ["full"]);
});

test("preventCancel keeps an error of the destination from the source", async () => {
  const from = source(["a", "b"], { close: false });
  const to = sink();
  to.error("full");
  await rejects(from.stream.pipeTo(to.stream, { preventCancel: true }), "full");
  deepEqual(from.log, []);
  deepEqual(await from.stream.getReader().read(), { value: "a", done: false });
});

test("a write that fails ends the pipe with its reason", async () => {
  const reason = new Error("write");
  const from = source(["a", "b"], { close: false });
  const to = sink({ write() { throw reason; } });
  await rejects(from.stream.pipeTo(to.stream), reason);
  deepEqual(from.log, [reason]);
});

test("a destination that is closed already cancels the source", async () => {
  const to = sink();
  await to.stream.close();
  const from = source(["a"], { close: false });
  await rejects(from.stream.pipeTo(to.stream), TypeError);
  ok(from.log[0] instanceof TypeError);
});

test("a source that is closed already closes the destination", async () => {
  const to = sink();
  await source([]).stream.pipeTo(to.stream);
  deepEqual(to.log, ["close"]);
});

test("what abort or cancel throws replaces the pipe's reason", async () => {
  const reason = new Error("from abort");
  const from = source([], { close: false });
  const to = new WritableStream({ abort() { throw reason; } });
  const piped = from.stream.pipeTo(to);
  from.error("first");
  await rejects(piped, reason);
});

test("a pipe reads only what the destination wants", async () => {
  let pulled = 0;
  const from = new ReadableStream({ pull(c) { c.enqueue(pulled++); } }, { highWaterMark: 0 });
  const release = Promise.withResolvers();
  const to = sink({ highWaterMark: 2, write: () => release.promise });
  from.pipeTo(to.stream).catch(() => {});
  await settle(50);
  equal(pulled, 2);
  release.resolve();
  await settle(10);
  ok(pulled > 2);
});

test("a destination without room reads nothing", async () => {
  let pulled = 0;
  const from = new ReadableStream({ pull(c) { c.enqueue(pulled++); } }, { highWaterMark: 0 });
  from.pipeTo(new WritableStream({}, { highWaterMark: 0 })).catch(() => {});
  await settle();
  equal(pulled, 0);
});

test("chunks that were read are written before the pipe ends", async () => {
  const from = source(["a"], { close: false });
  const release = Promise.withResolvers();
  const to = sink({ write: () => release.promise });
  const piped = from.stream.pipeTo(to.stream);
  await settle();
  from.error("broken");
  ok(await isPending(piped));
  release.resolve();
  await rejects(piped, "broken");
  deepEqual(to.log, ["a", "abort broken"]);
});

test("a signal stops the pipe: destination aborted, source canceled, its reason rejected", async () => {
  const controller = new AbortController();
  const from = source(["a"], { close: false });
  const to = sink();
  const piped = from.stream.pipeTo(to.stream, { signal: controller.signal });
  await settle();
  controller.abort("stop");
  await rejects(piped, "stop");
  deepEqual(to.log, ["a", "abort stop"]);
  deepEqual(from.log, ["stop"]);
});

test("a signal that has aborted lets nothing through", async () => {
  const from = source(["a"]);
  const to = sink();
  await rejects(from.stream.pipeTo(to.stream, { signal: AbortSignal.abort() }), "AbortError");
  ok(to.log[0].startsWith("abort AbortError"));
});

test("a signal respects preventAbort and preventCancel", async () => {
  const from = source(["a"], { close: false });
  const to = sink();
  const options = { signal: AbortSignal.abort("stop"), preventAbort: true, preventCancel: true };
  await rejects(from.stream.pipeTo(to.stream, options), "stop");
  deepEqual([to.log, from.log], [[], []]);
});

test("pipeTo checks its arguments", async () => {
  const { stream } = source(["a"]);
  await rejects(stream.pipeTo(), TypeError);
  await rejects(stream.pipeTo({}), TypeError);
  await rejects(stream.pipeTo(new WritableStream(), { signal: {} }), TypeError);
  await rejects(stream.pipeTo(new WritableStream(), { signal: null }), TypeError);
  const locked = new WritableStream();
  locked.getWriter();
  await rejects(stream.pipeTo(locked), TypeError);
  equal(stream.locked, false);
});

test("pipeThrough returns the readable side and does not report the pipe's failure", async () => {
  const from = source(["a"], { close: false });
  const transform = new TransformStream();
  const out = from.stream.pipeThrough(transform);
  equal(out, transform.readable);
  from.error("broken");
  await rejects(out.getReader().read().then((r) => (r.done ? r : out.getReader().read())), "broken").catch(() => {});
});

test("a byte source pipes its chunks", async () => {
  const from = new ReadableStream({
    type: "bytes",
    start(c) {
      c.enqueue(new Uint8Array([1, 2]));
      c.close();
    },
  });
  const got = [];
  await from.pipeTo(new WritableStream({ write: (chunk) => void got.push([...chunk]) }));
  deepEqual(got, [[1, 2]]);
});

test("a long chain of pipes keeps order and ends", async () => {
  const numbers = Array.from({ length: 300 }, (_unused, at) => at);
  let stream = source(numbers).stream;
  for (let links = 0; links < 5; links++) stream = stream.pipeThrough(new TransformStream());
  const got = [];
  for await (const number of stream) got.push(number);
  deepEqual(got, numbers);
});
