import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";
import { OP, op } from "skerry:internal/host.js";

const encode = (text) => new TextEncoder().encode(text);
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const { subtle } = crypto;

test("getRandomValues fills integer views and returns them", () => {
  const view = new Uint8Array(64);
  equal(crypto.getRandomValues(view), view);
  ok(view.some((byte) => byte !== 0));
  const part = new Uint8Array(96);
  crypto.getRandomValues(part.subarray(16, 80));
  ok(part.subarray(0, 16).every((byte) => byte === 0) && part.subarray(80).every((byte) => byte === 0));
  crypto.getRandomValues(new BigInt64Array(2));
  crypto.getRandomValues(new Uint8Array(65536));
  crypto.getRandomValues(new Int32Array(0));
});

test("getRandomValues refuses other views and too much", () => {
  throws(() => crypto.getRandomValues(new Float64Array(1)), "TypeMismatchError");
  throws(() => crypto.getRandomValues(new DataView(new ArrayBuffer(1))), "TypeMismatchError");
  throws(() => crypto.getRandomValues([1]), TypeError);
  throws(() => crypto.getRandomValues(), TypeError);
  equal(throws(() => crypto.getRandomValues(new Uint8Array(65537)), "QuotaExceededError").code, 22);
  throws(() => Crypto.prototype.getRandomValues.call({}, new Uint8Array(1)), TypeError);
});

test("randomUUID is version 4 and not twice the same", () => {
  const first = crypto.randomUUID();
  ok(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(first), first);
  ok(first !== crypto.randomUUID());
});

test("the interfaces can not be constructed", () => {
  throws(() => new Crypto(), TypeError, "Illegal constructor");
  throws(() => new SubtleCrypto(), TypeError, "Illegal constructor");
  throws(() => new CryptoKey(), TypeError, "Illegal constructor");
  equal(String(crypto), "[object Crypto]");
  equal(String(subtle), "[object SubtleCrypto]");
  equal(crypto.subtle, subtle);
});

test("digests are the known ones", async () => {
  const expected = {
    "SHA-1": "a9993e364706816aba3e25717850c26c9cd0d89d",
    "SHA-256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "SHA-384": "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    "SHA-512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    MD5: "900150983cd24fb0d6963f7d28e17f72",
  };
  for (const [name, digest] of Object.entries(expected)) {
    const result = await subtle.digest(name, encode("abc"));
    ok(result instanceof ArrayBuffer);
    equal(hex(result), digest, name);
  }
  equal(hex(await subtle.digest({ name: "sha-256" }, new ArrayBuffer(0))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  equal(hex(await subtle.digest("sha-1", encode("xabcx").subarray(1, 4))), expected["SHA-1"]);
});

test("large input is taken in steps, with the same result", async () => {
  const zeros = new Uint8Array(1 << 20);
  const digest = "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58";
  equal(hex(await subtle.digest("SHA-256", zeros)), digest);
  const stream = new crypto.DigestStream("SHA-256");
  const writer = stream.getWriter();
  await writer.write(zeros);
  await writer.close();
  equal(hex(await stream.digest), digest);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await subtle.importKey("raw", new Uint8Array(300 * 1024).fill(0x6b), algorithm, false, ["sign", "verify"]);
  const signature = await subtle.sign("HMAC", key, zeros);
  equal(hex(signature), "8c501186b86cfad336a65e5202b02d05d1deafe04f15271049aae2f6f6dfd6b7");
  equal(await subtle.verify("HMAC", key, signature, zeros), true);
  equal(await subtle.verify("HMAC", key, signature, zeros.subarray(1)), false);
  equal(await subtle.verify("HMAC", key, signature.slice(1), zeros), false);
  const other = zeros.slice();
  equal(subtle.timingSafeEqual(zeros, other), true);
  other[other.length - 1] = 1;
  equal(subtle.timingSafeEqual(zeros, other), false);
});

test("one call of the host takes no more than it can do at once", () => {
  const long = new Uint8Array(256 * 1024 + 1);
  throws(() => op(OP.DIGEST, "SHA-256", long), RangeError);
  throws(() => op(OP.HMAC_SIGN, "SHA-256", long, long), RangeError);
  throws(() => op(OP.TIMING_SAFE_EQUAL, long, long), RangeError);
  throws(() => op(OP.DIGEST_WRITE, op(OP.DIGEST_NEW, -1, "MD5"), long), RangeError);
  throws(() => op(OP.ZLIB_WRITE, op(OP.ZLIB_NEW, -1, "gzip", true), long, true), RangeError);
  throws(() => op(OP.DECODER_WRITE, op(OP.DECODER_NEW, -1, "shift_jis", false, false), long, true), RangeError);
  throws(() => new URL(`http://example.com/${"x".repeat(256 * 1024)}`), TypeError);
  const url = new URL("http://example.com/");
  url.hash = "x".repeat(256 * 1024 + 1);
  equal(url.href, "http://example.com/");
});

test("what a worker does to a key's properties does not change what it may be used for", async () => {
  const key = await subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  equal(key.usages, key.usages);
  equal(key.algorithm, key.algorithm);
  key.usages.push("sign");
  key.algorithm.hash.name = "MD5";
  key.algorithm.name = "HMAC2";
  await rejects(subtle.sign("HMAC", key, encode("x")), "InvalidAccessError");
  equal(await subtle.verify("HMAC", key, new Uint8Array(32), encode("x")), false);
});

test("digest refuses other algorithms and data", async () => {
  await rejects(subtle.digest("SHA-0", encode("")), "NotSupportedError");
  await rejects(subtle.digest("HMAC", encode("")), "NotSupportedError");
  await rejects(subtle.digest({}, encode("")), TypeError);
  await rejects(subtle.digest("SHA-1", "text"), TypeError);
  await rejects(subtle.digest("SHA-1"), TypeError);
  await rejects(SubtleCrypto.prototype.digest.call({}, "SHA-1", encode("")), TypeError);
});

const RAW = encode("key");
const importHmac = (hash = "SHA-256", usages = ["sign", "verify"], extractable = true) =>
  subtle.importKey("raw", RAW, { name: "HMAC", hash }, extractable, usages);

test("HMAC signs and verifies as RFC 2104 says", async () => {
  const key = await importHmac();
  const data = encode("The quick brown fox jumps over the lazy dog");
  const signature = await subtle.sign("HMAC", key, data);
  equal(hex(signature), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
  equal(await subtle.verify("hmac", key, signature, data), true);
  const changed = new Uint8Array(signature);
  changed[0] ^= 1;
  equal(await subtle.verify("HMAC", key, changed, data), false);
  equal(await subtle.verify("HMAC", key, changed.subarray(1), data), false);
  equal(hex(await subtle.sign({ name: "HMAC" }, await importHmac("SHA-1"), data)), "de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9");
});

test("an HMAC key says what it is", async () => {
  const key = await importHmac("sha-512", ["verify", "sign", "sign"]);
  ok(key instanceof CryptoKey);
  deepEqual([key.type, key.extractable, key.usages], ["secret", true, ["sign", "verify"]]);
  deepEqual(key.algorithm, { name: "HMAC", hash: { name: "SHA-512" }, length: 24 });
});

test("keys are exported as they were imported", async () => {
  const key = await importHmac();
  deepEqual(new Uint8Array(await subtle.exportKey("raw", key)), RAW);
  const jwk = await subtle.exportKey("jwk", key);
  deepEqual(jwk, { kty: "oct", k: "a2V5", alg: "HS256", key_ops: ["sign", "verify"], ext: true });
  const again = await subtle.importKey("jwk", jwk, { name: "HMAC", hash: { name: "SHA-256" } }, true, ["sign"]);
  deepEqual(new Uint8Array(await subtle.exportKey("raw", again)), RAW);
  await rejects(subtle.exportKey("raw", await importHmac("SHA-1", ["sign"], false)), "InvalidAccessError");
  await rejects(subtle.exportKey("pkcs8", key), "NotSupportedError");
  await rejects(subtle.exportKey("nope", key), TypeError);
  await rejects(subtle.exportKey("raw", {}), TypeError);
});

test("keys are generated in the block size of their hash, or as asked", async () => {
  const length = async (hash, bits) => {
    const key = await subtle.generateKey({ name: "HMAC", hash, length: bits }, true, ["sign"]);
    return [key.algorithm.length, (await subtle.exportKey("raw", key)).byteLength];
  };
  deepEqual(await length("SHA-256"), [512, 64]);
  deepEqual(await length("SHA-512"), [1024, 128]);
  deepEqual(await length("SHA-256", 65), [65, 9]);
  await rejects(length("SHA-256", 0), "OperationError");
});

test("imports that do not fit are refused with the right error", async () => {
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const jwk = (changes) => subtle.importKey("jwk", { kty: "oct", k: "a2V5", ...changes }, hmac, true, ["sign"]);
  await rejects(jwk({ kty: "RSA" }), "DataError");
  await rejects(jwk({ k: undefined }), "DataError");
  await rejects(jwk({ k: "!!" }), "DataError");
  await rejects(jwk({ alg: "HS512" }), "DataError");
  await rejects(jwk({ use: "enc" }), "DataError");
  await rejects(jwk({ key_ops: ["verify"] }), "DataError");
  await rejects(jwk({ ext: false }), "DataError");
  await rejects(subtle.importKey("raw", RAW, hmac, true, []), "SyntaxError");
  await rejects(subtle.importKey("raw", RAW, hmac, true, ["encrypt"]), "SyntaxError");
  await rejects(subtle.importKey("raw", RAW, hmac, true, ["nope"]), TypeError);
  await rejects(subtle.importKey("raw", RAW, hmac, true, "sign"), TypeError);
  await rejects(subtle.importKey("raw", new Uint8Array(0), hmac, true, ["sign"]), "DataError");
  await rejects(subtle.importKey("raw", RAW, { name: "HMAC" }, true, ["sign"]), TypeError);
  await rejects(subtle.importKey("raw", RAW, { ...hmac, length: 32 }, true, ["sign"]), "DataError");
  await rejects(subtle.importKey("raw", "key", hmac, true, ["sign"]), TypeError);
  await rejects(subtle.importKey("raw", RAW, "SHA-256", true, ["sign"]), "NotSupportedError");
  await rejects(subtle.importKey("spki", RAW, hmac, true, ["sign"]), "NotSupportedError");
});

test("a key does only what it is for", async () => {
  const signer = await importHmac("SHA-256", ["sign"]);
  await rejects(subtle.verify("HMAC", signer, new Uint8Array(32), RAW), "InvalidAccessError");
  await rejects(subtle.sign("HMAC", {}, RAW), TypeError);
  await rejects(subtle.sign("ECDSA", signer, RAW), "NotSupportedError");
  await rejects(subtle.encrypt("AES-GCM", signer, RAW), "NotSupportedError");
});

test("an imported key does not change with its source", async () => {
  const source = encode("key");
  const key = await subtle.importKey("raw", source, { name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
  source.fill(0);
  deepEqual(new Uint8Array(await subtle.exportKey("raw", key)), RAW);
});

test("timingSafeEqual compares equal lengths", () => {
  equal(subtle.timingSafeEqual(encode("abc"), encode("abc").buffer), true);
  equal(subtle.timingSafeEqual(encode("abc"), encode("abd")), false);
  throws(() => subtle.timingSafeEqual(encode("a"), encode("ab")), TypeError, "same byte length");
  throws(() => subtle.timingSafeEqual("a", "a"), TypeError);
});

test("DigestStream hashes what is written to it", async () => {
  const stream = new crypto.DigestStream("SHA-256");
  ok(stream instanceof WritableStream);
  const writer = stream.getWriter();
  writer.write(encode("a"));
  writer.write(encode("bc").buffer);
  await writer.close();
  equal(hex(await stream.digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  equal(stream.bytesWritten, 3n);
  const piped = new DigestStream("MD5");
  await new Blob(["abc"]).stream().pipeTo(piped);
  equal(hex(await piped.digest), "900150983cd24fb0d6963f7d28e17f72");
});

test("a DigestStream that fails has no digest", async () => {
  const aborted = new DigestStream("SHA-1");
  await aborted.abort("why");
  await rejects(aborted.digest, "why");
  const bad = new DigestStream("SHA-1");
  await rejects(bad.getWriter().write(5), TypeError);
  await rejects(bad.digest, TypeError);
  throws(() => new DigestStream("nope"), "NotSupportedError");
  throws(() => new DigestStream(), TypeError);
});
