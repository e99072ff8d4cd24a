// `crypto`: random values, and the doors to the rest of Web Crypto.
//
// **Owns** the interface. **Must not know** where randomness comes from: the host. **Enter at** `crypto`.

import { OP, op } from "./host.js";
import { domException, INTERNAL, requireArguments, requireInternal, webClass } from "./errors.js";
import { DigestStream } from "./crypto/digest-stream.js";
import { CryptoKey } from "./crypto/key.js";
import { subtle, SubtleCrypto } from "./crypto/subtle.js";
import { viewConstructor } from "./streams/byte-controller.js";

const INTEGER_VIEWS = new Set([
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array, BigUint64Array,
]);

// BOUND: 65536, Web Crypto §10.1.1.
const MOST_RANDOM_BYTES = 65536;

export class Crypto {
  #brand = true;

  constructor(token = undefined) {
    requireInternal(token);
  }

  get subtle() { this.#brand; return subtle; }

  /** Workers' addition. */
  get DigestStream() { this.#brand; return DigestStream; }

  getRandomValues(array) {
    this.#brand;
    requireArguments(arguments.length, 1, "getRandomValues");
    if (!ArrayBuffer.isView(array)) throw new TypeError("The argument is not a view on an ArrayBuffer");
    if (!INTEGER_VIEWS.has(viewConstructor(array))) {
      throw domException("The argument is not an array of integers.", "TypeMismatchError");
    }
    const { byteLength } = array;
    if (byteLength > MOST_RANDOM_BYTES) {
      throw domException(`${byteLength} bytes exceed the ${MOST_RANDOM_BYTES} of one call.`, "QuotaExceededError");
    }
    if (byteLength > 0) {
      new Uint8Array(array.buffer, array.byteOffset, byteLength).set(new Uint8Array(op(OP.RANDOM, byteLength)));
    }
    return array;
  }

  randomUUID() {
    this.#brand;
    const bytes = new Uint8Array(op(OP.RANDOM, 16));
    // RFC 9562: version 4, variant 10.
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = bytes.toHex();
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}
webClass(Crypto);

export const crypto = new Crypto(INTERNAL);
export { CryptoKey, DigestStream, SubtleCrypto };
