// Names of algorithms (WebCrypto §18.4, normalizing an algorithm).
//
// **Owns** how an algorithm argument becomes one we know. **Must not know** keys. **Enter at** `toAlgorithm`.

import { domException, isObject, toDOMString } from "../errors.js";

/** Digest -> the block size in bytes, which is the length of a generated HMAC key. MD5 is Workers' addition. */
export const HASHES = new Map([["SHA-1", 64], ["SHA-256", 64], ["SHA-384", 128], ["SHA-512", 128], ["MD5", 64]]);

const NAMES = new Map([...HASHES.keys(), "HMAC"].map((name) => [name.toUpperCase(), name]));

/** The algorithm as an object with its canonical name; NotSupportedError for others. */
export function toAlgorithm(value, what) {
  const object = isObject(value) ? value : { name: toDOMString(value) };
  if (object.name === undefined) throw new TypeError(`${what} has no name`);
  const given = toDOMString(object.name);
  const name = NAMES.get(given.toUpperCase());
  if (name === undefined) throw domException(`Unrecognized or unimplemented algorithm "${given}".`, "NotSupportedError");
  return { object, name };
}

/** The name of a digest algorithm. */
export function toHash(value) {
  const { name } = toAlgorithm(value, "The hash");
  if (!HASHES.has(name)) throw domException(`"${name}" is not a digest algorithm.`, "NotSupportedError");
  return name;
}
