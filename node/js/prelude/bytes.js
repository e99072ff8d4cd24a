// Pure. Small conversions between strings and bytes.
//
// **Owns** nothing. **Must not know** bodies or streams. **Enter at** `utf8`, `utf8Decode`, `percentDecode`, `concat`.

import { host } from "./host.js";

// The UTF-8 bytes of a string; a lone surrogate becomes U+FFFD.
export function utf8(text) {
  return new Uint8Array(host.utf8Encode(text));
}

// Characters that are encoded at once to be counted: enough to be fast, little enough to fit beside a large string.
const COUNTED_AT_ONCE = 1 << 20;

// How many bytes a string has in UTF-8, without holding them all.
export function utf8Length(text) {
  let length = 0;
  for (let at = 0; at < text.length; ) {
    const end = pieceEnd(text, at + COUNTED_AT_ONCE);
    length += host.utf8Encode(text.slice(at, end)).byteLength;
    at = end;
  }
  return length;
}

// Where a piece of a string that should end at `end` does: a pair of surrogates is one character together, and two that are
// replaced apart.
export function pieceEnd(text, end) {
  const last = text.charCodeAt(end - 1);
  return last >= 0xd800 && last <= 0xdbff ? end - 1 : end;
}

// The text of UTF-8 bytes, without a byte order mark, malformed parts as U+FFFD.
export function utf8Decode(bytes) {
  return host.utf8Decode(bytes.buffer, bytes.byteOffset, bytes.byteLength, false, false);
}

const PERCENT = 0x25;

// What `bytes`, which are overwritten, are with each `%XX` as one byte (URL standard, "percent-decode").
export function percentDecode(bytes) {
  let to = bytes.indexOf(PERCENT);
  if (to === -1) return bytes;
  for (let from = to; from < bytes.length; from++, to++) {
    const high = bytes[from] === PERCENT ? hexValue(bytes[from + 1]) : -1;
    const low = high < 0 ? -1 : hexValue(bytes[from + 2]);
    if (low < 0) {
      bytes[to] = bytes[from];
    } else {
      bytes[to] = high * 16 + low;
      from += 2;
    }
  }
  return bytes.subarray(0, to);
}

function hexValue(byte) {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

// One array of several.
export function concat(chunks) {
  if (chunks.length === 1) return chunks[0];
  let length = 0;
  for (const chunk of chunks) length += chunk.byteLength;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

// A copy of what an ArrayBuffer or a view on one holds now.
export function copyOf(source) {
  if (ArrayBuffer.isView(source)) {
    return new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice();
  }
  return new Uint8Array(source).slice();
}

// Whether a value is an ArrayBuffer or a view on one.
export function isBufferSource(value) {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer;
}
