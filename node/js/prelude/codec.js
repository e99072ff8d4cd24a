// The host's decoders, compressors and digests, fed in steps.
//
// **Owns** how much one call of the host is given: it can not be interrupted, so none may take long, and the host refuses more
// than it can do at once. **Must not know** streams or what is coded. **Enter at** `openZlib`, `openDecoder`, `digest`.
//
// A resource belongs to the event that opened it and is gone after its last step, after an error, and with the event.

import { OP, currentRequestId, op } from "./host.js";
import { concat } from "./bytes.js";

// BOUND: bytes of one step, about a tenth of a millisecond of work.
const STEP = 64 * 1024;
// BOUND: bytes of one step of a compressor or decompressor, whose output may be a thousand times as long.
const ZLIB_STEP = 16 * 1024;

export function openZlib(format, compress) {
  return op(OP.ZLIB_NEW, currentRequestId(), format, compress);
}

// What comes out of a compressor or decompressor for `bytes` (a Uint8Array or ArrayBuffer).
export function zlib(resource, bytes, last) {
  const out = [];
  eachStep(bytes, ZLIB_STEP, (step, isLast) => zlibStep(resource, step, last && isLast, out));
  return concat(out);
}

// One step; the host hands over what is long in pieces, each with how much of `step` it has taken.
function zlibStep(resource, step, last, out) {
  for (;;) {
    const reply = op(OP.ZLIB_WRITE, resource, step, last);
    if (!Array.isArray(reply)) {
      out.push(new Uint8Array(reply));
      return;
    }
    out.push(new Uint8Array(reply[0]));
    step = step.subarray(reply[1]);
  }
}

export function openDecoder(encoding, fatal, ignoreBOM) {
  return op(OP.DECODER_NEW, currentRequestId(), encoding, fatal, ignoreBOM);
}

export function decode(resource, bytes, last) {
  if (bytes.byteLength <= STEP) return op(OP.DECODER_WRITE, resource, bytes, last);
  let text = "";
  eachStep(bytes, STEP, (step, isLast) => {
    text += op(OP.DECODER_WRITE, resource, step, last && isLast);
  });
  return text;
}

export function openDigest(algorithm) {
  return op(OP.DIGEST_NEW, currentRequestId(), algorithm);
}

export function writeDigest(resource, bytes) {
  eachStep(bytes, STEP, (step) => op(OP.DIGEST_WRITE, resource, step));
}

// The digest of `bytes`, as an ArrayBuffer.
export function digest(algorithm, bytes) {
  if (bytes.byteLength <= STEP) return op(OP.DIGEST, algorithm, bytes);
  return endOf(openDigest(algorithm), bytes);
}

export function hmacSign(hash, key, bytes) {
  if (key.byteLength <= STEP && bytes.byteLength <= STEP) return op(OP.HMAC_SIGN, hash, key, bytes);
  return endOf(op(OP.HMAC_NEW, currentRequestId(), hash, shortKey(hash, key)), bytes);
}

export function hmacVerify(hash, key, signature, bytes) {
  if (key.byteLength <= STEP && bytes.byteLength <= STEP) return op(OP.HMAC_VERIFY, hash, key, signature, bytes);
  const expected = hmacSign(hash, key, bytes);
  return expected.byteLength === signature.byteLength && op(OP.TIMING_SAFE_EQUAL, expected, signature);
}

// Compares arrays of one length, all of them whatever it finds.
export function timingSafeEqual(a, b) {
  let differences = 0;
  eachStep(a, STEP, (step, _isLast, at) => {
    differences += op(OP.TIMING_SAFE_EQUAL, step, b.subarray(at, at + step.byteLength)) ? 0 : 1;
  });
  return differences === 0;
}

function endOf(resource, bytes) {
  writeDigest(resource, bytes);
  return op(OP.DIGEST_END, resource);
}

// A key that is longer than a block counts as its digest (RFC 2104 §3).
function shortKey(hash, key) {
  return key.byteLength <= STEP ? key : new Uint8Array(digest(hash, key));
}

// Calls `take(step, whether it is the last, where it begins)`, at least once.
function eachStep(bytes, size, take) {
  const all = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  let at = 0;
  do {
    const end = at + size;
    take(all.subarray(at, end), end >= all.byteLength, at);
    at = end;
  } while (at < all.byteLength);
}
