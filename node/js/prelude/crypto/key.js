// CryptoKey.
//
// **Owns** what a worker may see and do with a key. **Must not know** algorithms. **Enter at** `createKey` and `openKey`.

import { domException, INTERNAL, requireInternal, webClass } from "../errors.js";

let stateOf;

export class CryptoKey {
  #key;
  // Copies, made when they are first looked at: a worker may change them, but not what the key may be used for.
  #algorithm;
  #usages;

  static {
    stateOf = (key) => key.#key;
  }

  constructor(token = undefined, key = undefined) {
    requireInternal(token);
    this.#key = key;
  }

  get type() { return this.#key.type; }
  get extractable() { return this.#key.extractable; }
  get algorithm() { return (this.#algorithm ??= copyOfAlgorithm(this.#key.algorithm)); }
  get usages() { return (this.#usages ??= [...this.#key.usages]); }
}
webClass(CryptoKey);

function copyOfAlgorithm({ hash, ...rest }) {
  return hash === undefined ? rest : { ...rest, hash: { ...hash } };
}

/** `key`: `{type, extractable, algorithm, usages, material}`. */
export function createKey(key) {
  return new CryptoKey(INTERNAL, key);
}

/** The key behind the object; a TypeError for anything else. */
export function keyOf(value) {
  if (!(value instanceof CryptoKey)) throw new TypeError("The value is not a CryptoKey");
  return stateOf(value);
}

/** The key, if it is of the algorithm and may be used so; InvalidAccessError otherwise. */
export function openKey(value, algorithm, usage) {
  const key = keyOf(value);
  if (key.algorithm.name !== algorithm) {
    throw domException(`The key is for ${key.algorithm.name}, not ${algorithm}.`, "InvalidAccessError");
  }
  if (!key.usages.includes(usage)) throw domException(`The key may not be used to ${usage}.`, "InvalidAccessError");
  return key;
}
