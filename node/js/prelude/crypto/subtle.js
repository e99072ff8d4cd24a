// SubtleCrypto: the interface, of which digests and HMAC exist.
//
// **Owns** the checks every algorithm shares. **Must not know** any algorithm: `ALGORITHMS` names their files. **Enter at**
// `subtle`.

import { digest, timingSafeEqual } from "../codec.js";
import {
  domException, INTERNAL, requireArguments, requireInternal, toBytes, toEnum, toSequence, webClass,
} from "../errors.js";
import { toAlgorithm, toHash } from "./algorithm.js";
import { hmac } from "./hmac.js";
import { keyOf, openKey } from "./key.js";

const ALGORITHMS = new Map([["HMAC", hmac]]);
const FORMATS = ["jwk", "pkcs8", "raw", "spki"];
const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];

function unsupported(what) {
  return domException(`${what} is not implemented.`, "NotSupportedError");
}

/** The algorithm named, its parameters, and the file that implements it. */
function keyAlgorithm(value) {
  const { object, name } = toAlgorithm(value, "The algorithm");
  const implementation = ALGORITHMS.get(name);
  if (implementation === undefined) throw unsupported(`This operation of ${name}`);
  return { object, name, implementation };
}

/** In canonical order, each once. */
function toUsages(value) {
  const given = new Set(toSequence(value, (usage) => toEnum(usage, USAGES, "KeyUsage"), "The usages"));
  return USAGES.filter((usage) => given.has(usage));
}

export class SubtleCrypto {
  // The brand that methods check; a rejected promise follows from `async`.
  #brand = true;

  constructor(token = undefined) {
    requireInternal(token);
  }

  async digest(algorithm, data) {
    this.#brand;
    requireArguments(arguments.length, 2, "digest");
    return digest(toHash(algorithm), toBytes(data, "The data"));
  }

  async generateKey(algorithm, extractable, usages) {
    this.#brand;
    requireArguments(arguments.length, 3, "generateKey");
    const { object, implementation } = keyAlgorithm(algorithm);
    return implementation.generate(object, !!extractable, toUsages(usages));
  }

  async importKey(format, keyData, algorithm, extractable, usages) {
    this.#brand;
    requireArguments(arguments.length, 5, "importKey");
    const kind = toEnum(format, FORMATS, "KeyFormat");
    const { object, implementation } = keyAlgorithm(algorithm);
    if (kind !== "raw" && kind !== "jwk") throw unsupported(`Importing as ${kind}`);
    return implementation.import(kind, keyData, object, !!extractable, toUsages(usages));
  }

  async exportKey(format, key) {
    this.#brand;
    requireArguments(arguments.length, 2, "exportKey");
    const kind = toEnum(format, FORMATS, "KeyFormat");
    const opened = keyOf(key);
    if (!opened.extractable) throw domException("The key is not extractable.", "InvalidAccessError");
    if (kind !== "raw" && kind !== "jwk") throw unsupported(`Exporting as ${kind}`);
    return ALGORITHMS.get(opened.algorithm.name).export(kind, opened);
  }

  async sign(algorithm, key, data) {
    this.#brand;
    requireArguments(arguments.length, 3, "sign");
    const bytes = toBytes(data, "The data");
    const { name, implementation } = keyAlgorithm(algorithm);
    return implementation.sign(openKey(key, name, "sign"), bytes);
  }

  async verify(algorithm, key, signature, data) {
    this.#brand;
    requireArguments(arguments.length, 4, "verify");
    const [expected, bytes] = [toBytes(signature, "The signature"), toBytes(data, "The data")];
    const { name, implementation } = keyAlgorithm(algorithm);
    return implementation.verify(openKey(key, name, "verify"), expected, bytes);
  }

  async encrypt() { return refuse(this.#brand, "encrypt"); }
  async decrypt() { return refuse(this.#brand, "decrypt"); }
  async deriveBits() { return refuse(this.#brand, "deriveBits"); }
  async deriveKey() { return refuse(this.#brand, "deriveKey"); }
  async wrapKey() { return refuse(this.#brand, "wrapKey"); }
  async unwrapKey() { return refuse(this.#brand, "unwrapKey"); }

  /** Workers' addition: compares without telling by its duration where the difference is. */
  timingSafeEqual(a, b) {
    this.#brand;
    requireArguments(arguments.length, 2, "timingSafeEqual");
    const [left, right] = [toBytes(a, "The first value"), toBytes(b, "The second value")];
    if (left.byteLength !== right.byteLength) throw new TypeError("Input buffers must have the same byte length.");
    return timingSafeEqual(left, right);
  }
}
webClass(SubtleCrypto);

function refuse(_brand, method) {
  throw unsupported(`crypto.subtle.${method}`);
}

export const subtle = new SubtleCrypto(INTERNAL);
