// Streaming UTF-8: what the engine's one-shot decoder needs to take a text in pieces.
//
// **Owns** the bytes of a character that is split between chunks, and the byte order mark. **Must not know** TextDecoder.
// **Enter at** `Utf8Decoder`.

import { host } from "./host.js";

export class Utf8Decoder {
  constructor(fatal, ignoreBOM) {
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
    this.held = undefined;
    // Whether the beginning, where a byte order mark may be, has passed.
    this.begun = false;
  }

  decode(bytes, more) {
    if (!more && this.held === undefined && !this.begun) return this.toText(bytes, this.ignoreBOM);
    const ignoreBOM = this.ignoreBOM || this.begun;
    const all = this.held === undefined ? bytes : joined(this.held, bytes);
    this.held = undefined;
    const whole = more ? all.byteLength - unfinished(all) : all.byteLength;
    // `slice`: the caller may change its bytes before the rest of the character comes.
    if (whole < all.byteLength) this.held = all.slice(whole);
    this.begun = more && (this.begun || whole > 0);
    return whole === 0 ? "" : this.toText(whole < all.byteLength ? all.subarray(0, whole) : all, ignoreBOM);
  }

  toText(bytes, ignoreBOM) {
    const text = host.utf8Decode(bytes.buffer, bytes.byteOffset, bytes.byteLength, this.fatal, ignoreBOM);
    if (text !== undefined) return text;
    this.held = undefined;
    this.begun = false;
    throw new TypeError("The encoded data was not valid for encoding utf-8");
  }
}

function joined(a, b) {
  const all = new Uint8Array(a.byteLength + b.byteLength);
  all.set(a);
  all.set(b, a.byteLength);
  return all;
}

/**
 * How many bytes at the end are the beginning of a character that more bytes could complete. Bytes that can not become
 * one are not held: they are errors already (Encoding standard §8.1.1, the lower and upper boundary).
 */
function unfinished(bytes) {
  const end = bytes.byteLength;
  for (let back = 1; back <= 3 && back <= end; back++) {
    const byte = bytes[end - back];
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const need = byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;
    if (need <= back) return 0;
    return back === 1 || secondFits(byte, bytes[end - back + 1]) ? back : 0;
  }
  return 0;
}

function secondFits(lead, second) {
  switch (lead) {
    case 0xe0: return second >= 0xa0;
    case 0xed: return second <= 0x9f;
    case 0xf0: return second >= 0x90;
    case 0xf4: return second <= 0x8f;
    default: return true;
  }
}
