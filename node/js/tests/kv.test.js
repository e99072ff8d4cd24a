// The KV binding's own checks; storage is tested with a real one (tests/web_api.rs).

import { equal, ok, rejects, test } from "./harness.js";
import { makeKvNamespace } from "skerry:internal/kv.js";

const kv = makeKvNamespace("KV");
const long = "é".repeat(257);

test("key names are checked", async () => {
  for (const call of [(k) => kv.get(k), (k) => kv.put(k, "x"), (k) => kv.delete(k), (k) => kv.getWithMetadata(k)]) {
    await rejects(call(""), TypeError, "Key name cannot be empty.");
    await rejects(call("."), TypeError, '"." is not allowed as a key name.');
    await rejects(call(".."), TypeError, '".." is not allowed as a key name.');
  }
  await rejects(kv.get(long), Error, "KV GET failed: 414 UTF-8 encoded length of 514 exceeds key length limit of 512.");
  await rejects(kv.put(long, "x"), Error, "KV PUT failed: 414 UTF-8 encoded length of 514 exceeds key length limit of 512.");
  await rejects(kv.delete(long), Error, "KV DELETE failed: 414 UTF-8 encoded length of 514 exceeds key length limit of 512.");
});

test("get refuses unknown types and short cache times", async () => {
  await rejects(kv.get("a", "xml"), TypeError, 'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".');
  await rejects(kv.get("a", { type: "xml" }), TypeError, "Unknown response type");
  await rejects(kv.get("a", { cacheTtl: 29 }), Error, "KV GET failed: 400 Invalid cache_ttl of 29. Cache TTL must be at least 30.");
});

test("numbers are those of workerd", async () => {
  const range = "Value out of range. Must be between -2147483648 and 2147483647 (inclusive).";
  for (const number of [Date.now() + 3_600_000, 2 ** 31, -(2 ** 31) - 1, "4294967296"]) {
    await rejects(kv.put("a", "x", { expiration: number }), TypeError, range);
    await rejects(kv.put("a", "x", { expirationTtl: number }), TypeError, range);
    await rejects(kv.put("a", "x", { expirationTtl: 60, expiration: number }), TypeError, range);
    await rejects(kv.get("a", { cacheTtl: number }), TypeError, range);
    await rejects(kv.get(["a"], { cacheTtl: number }), TypeError, range);
    await rejects(kv.list({ limit: number }), TypeError, range);
  }
  await rejects(kv.get("a", { cacheTtl: "29.9" }), Error, "KV GET failed: 400 Invalid cache_ttl of 29. Cache TTL must be at least 30.");
  await rejects(kv.get("a", { cacheTtl: NaN }), Error, "KV GET failed: 400 Invalid cache_ttl of 0. Cache TTL must be at least 30.");
  await rejects(kv.get(["a"], { cacheTtl: 1 }), Error, "KV GET_BULK failed: 400 Invalid cache_ttl of 1. Cache TTL must be at least 30.");
});

test("bulk get is 1 to 100 keys of text or json", async () => {
  const keys = Array.from({ length: 101 }, (_, i) => `k${i}`);
  await rejects(kv.get(keys), Error, "KV GET_BULK failed: 400 You can request a maximum of 100 keys");
  await rejects(kv.get([]), Error, "KV GET_BULK failed: 400 You must request a minimum of 1 key");
  await rejects(kv.get(["a"], "stream"), Error, 'KV GET_BULK failed: 400 "stream" is not a valid type. Use "json" or "text"');
});

test("put refuses values that it can not store", async () => {
  for (const value of [{}, [], () => {}, new String("x"), new Date()]) {
    await rejects(kv.put("a", value), TypeError, "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.");
  }
  await rejects(kv.put("a", Symbol("x")), TypeError);
  await rejects(kv.put("a", "x".repeat(25 * 1024 * 1024 + 1)), Error, "KV PUT failed: 413 Value length of 26214401 exceeds limit of 26214400.");
});

test("put reads no more of a stream than it could store", async () => {
  let [chunks, why] = [0, undefined];
  const stream = new ReadableStream({
    pull(c) {
      if (chunks++ < 70) c.enqueue(new Uint8Array(1 << 20));
      else c.close();
    },
    cancel: (reason) => void (why = reason),
  });
  const error = await rejects(kv.put("a", stream), Error, "KV PUT failed: 413 Value length of 27262976 exceeds limit of 26214400.");
  equal(why, error);
  ok(chunks < 30, `${chunks} were made`);
  const { readable, writable } = new FixedLengthStream(70 << 20);
  const closed = writable.getWriter().closed;
  await rejects(kv.put("a", readable), Error, "KV PUT failed: 413 Value length of 73400320 exceeds limit of 26214400.");
  await rejects(closed, Error, "KV PUT failed: 413");
});

test("put checks times to live", async () => {
  const ttl = (expirationTtl) => kv.put("a", "x", { expirationTtl });
  await rejects(ttl(30), Error, "KV PUT failed: 400 Invalid expiration_ttl of 30. Expiration TTL must be at least 60.");
  await rejects(ttl(0), Error, "KV PUT failed: 400 Invalid expiration_ttl of 0. Please specify integer greater than 0.");
  await rejects(ttl("59.9"), Error, "KV PUT failed: 400 Invalid expiration_ttl of 59. Expiration TTL must be at least 60.");
  await rejects(ttl("nan"), Error, "KV PUT failed: 400 Invalid expiration_ttl of 0. Please specify integer greater than 0.");
  const at = (expiration) => kv.put("a", "x", { expiration });
  const now = Math.floor(Date.now() / 1000);
  await rejects(at(now + 30), Error, `KV PUT failed: 400 Invalid expiration of ${now + 30}. Expiration times must be at least 60 seconds in the future.`);
  await rejects(at(1), Error, "KV PUT failed: 400 Invalid expiration of 1. Please specify integer greater than the current number of seconds since the UNIX epoch.");
  await rejects(at("nan"), Error, "KV PUT failed: 400 Invalid expiration of 0.");
});

test("put checks metadata", async () => {
  await rejects(kv.put("a", "x", { metadata: "y".repeat(1023) }), Error, "KV PUT failed: 413 Metadata length of 1025 exceeds limit of 1024.");
  await rejects(kv.put("a", "x", { metadata: () => {} }), TypeError);
});

test("list checks limit and prefix", async () => {
  await rejects(kv.list({ limit: 1001 }), Error, "KV GET failed: 400 Invalid key_count_limit of 1001. Please specify an integer less than 1000.");
  await rejects(kv.list({ prefix: long }), Error, "KV GET failed: 414 UTF-8 encoded length of 514 exceeds key length limit of 512.");
});
