import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";
import { OP, op } from "skerry:internal/host.js";
import { openZlib, zlib } from "skerry:internal/codec.js";

async function through(transform, chunks) {
  const writer = transform.writable.getWriter();
  const written = (async () => {
    for (const chunk of chunks) await writer.write(chunk);
    await writer.close();
  })();
  written.catch(() => {});
  const got = [];
  for await (const chunk of transform.readable) {
    ok(chunk instanceof Uint8Array);
    got.push(...chunk);
  }
  await written;
  return new Uint8Array(got);
}

const text = new TextEncoder().encode("expected output ".repeat(100));

for (const format of ["gzip", "deflate", "deflate-raw"]) {
  test(`${format} is smaller and comes back, in one piece or many`, async () => {
    const compressed = await through(new CompressionStream(format), [text.subarray(0, 700), text.subarray(700)]);
    ok(compressed.length < 100, `${compressed.length} bytes`);
    deepEqual(await through(new DecompressionStream(format), [compressed]), text);
    const singles = Array.from(compressed, (byte) => new Uint8Array([byte]));
    deepEqual(await through(new DecompressionStream(format), singles), text);
  });

  test(`${format} takes and gives large chunks`, async () => {
    const large = new Uint8Array(300 * 1024).map((_, index) => (index * 31 + (index >> 8)) & 0xff);
    const bytes = (stream) => new Response(stream).bytes();
    const compressed = await bytes(new Response(large).body.pipeThrough(new CompressionStream(format)));
    const restored = await bytes(new Response(compressed).body.pipeThrough(new DecompressionStream(format)));
    equal(restored.byteLength, large.byteLength);
    ok(restored.every((byte, index) => byte === large[index]));
  });

  test(`${format} of nothing is a valid stream of nothing`, async () => {
    const compressed = await through(new CompressionStream(format), []);
    ok(compressed.length > 0);
    deepEqual(await through(new DecompressionStream(format), [compressed]), new Uint8Array(0));
  });

  test(`${format} that is cut short is a TypeError`, async () => {
    const compressed = await through(new CompressionStream(format), [text]);
    await rejects(through(new DecompressionStream(format), [compressed.subarray(0, -1)]), TypeError);
    await rejects(through(new DecompressionStream(format), []), TypeError);
  });

  test(`bytes after the end of ${format} are a TypeError`, async () => {
    const compressed = await through(new CompressionStream(format), [text]);
    await rejects(through(new DecompressionStream(format), [compressed, new Uint8Array([0])]), TypeError);
    await rejects(through(new DecompressionStream(format), [new Uint8Array([...compressed, 0])]), TypeError);
  });
}

test("garbage and wrong checksums are TypeErrors", async () => {
  await rejects(through(new DecompressionStream("gzip"), [text]), TypeError);
  const gzip = await through(new CompressionStream("gzip"), [text]);
  gzip[gzip.length - 6] ^= 1;
  await rejects(through(new DecompressionStream("gzip"), [gzip]), TypeError);
  const deflate = await through(new CompressionStream("deflate"), [text]);
  deflate[deflate.length - 1] ^= 1;
  await rejects(through(new DecompressionStream("deflate"), [deflate]), TypeError);
});

test("chunks may be buffers or any view, and nothing else", async () => {
  const plain = new Uint8Array([1, 0, 2, 0]);
  const expected = await through(new CompressionStream("deflate-raw"), [plain]);
  deepEqual(await through(new CompressionStream("deflate-raw"), [plain.buffer]), expected);
  deepEqual(await through(new CompressionStream("deflate-raw"), [new Uint16Array([1, 2])]), expected);
  for (const bad of [undefined, null, 3, "text", {}, [1]]) {
    await rejects(through(new CompressionStream("gzip"), [bad]), TypeError);
    await rejects(through(new DecompressionStream("gzip"), [bad]), TypeError);
  }
});

test("the constructors know their formats", () => {
  throws(() => new CompressionStream(), TypeError);
  throws(() => new CompressionStream("GZIP"), TypeError);
  throws(() => new CompressionStream("br"), TypeError);
  throws(() => new DecompressionStream("a"), TypeError);
  throws(() => CompressionStream("gzip"), TypeError);
  equal(String(new CompressionStream("gzip")), "[object CompressionStream]");
});

test("a stream that is given up errors its other side", async () => {
  const stream = new CompressionStream("gzip");
  const reader = stream.readable.getReader();
  await stream.writable.abort("why");
  await rejects(reader.read(), "why");
  const other = new DecompressionStream("gzip");
  const writer = other.writable.getWriter();
  await other.readable.cancel("why");
  await rejects(writer.closed, "why");
});

for (const format of ["gzip", "deflate", "deflate-raw", "brotli"]) {
  test(`a little ${format} may hold a lot, which comes a mebibyte at a time`, () => {
    const whole = new Uint8Array(3 * 1024 * 1024 + 7).fill(65);
    whole.set(text, 2 * 1024 * 1024 - 100);
    const packed = zlib(openZlib(format, true), whole, true);
    ok(packed.byteLength < 64 * 1024, `${packed.byteLength} bytes`);
    const decoder = openZlib(format, false);
    const [first, taken] = op(OP.ZLIB_WRITE, decoder, packed, true);
    ok(first.byteLength < 1.2 * 1024 * 1024, `${first.byteLength} bytes`);
    ok(taken > 0 && taken <= packed.byteLength);
    op(OP.DROP, decoder);
    const unpacked = zlib(openZlib(format, false), packed, true);
    equal(unpacked.byteLength, whole.byteLength);
    ok(crypto.subtle.timingSafeEqual(unpacked, whole));
  });
}

test("a decompression stream gives all of what a small chunk holds", async () => {
  const whole = new Uint8Array(3 * 1024 * 1024).fill(65);
  const packed = await new Response(new Response(whole).body.pipeThrough(new CompressionStream("gzip"))).bytes();
  const unpacked = await new Response(new Response(packed).body.pipeThrough(new DecompressionStream("gzip"))).bytes();
  equal(unpacked.byteLength, whole.byteLength);
  ok(crypto.subtle.timingSafeEqual(unpacked, whole));
});

test("compressors are refused when they would take too much memory together", () => {
  const open = [];
  throws(() => {
    for (let i = 0; i < 100; i++) open.push(openZlib("brotli", true));
  }, RangeError);
  ok(open.length > 10, `${open.length} compressors`);
  for (const resource of open) op(OP.DROP, resource);
  op(OP.DROP, openZlib("brotli", true));
});
