// HMAC keys and signatures (WebCrypto §31).
//
// **Owns** the import, export and generation of HMAC keys. **Must not know** how a hash is computed. **Enter at** `hmac`.

import { OP, op } from "../host.js";
import { hmacSign, hmacVerify } from "../codec.js";
import { domException, toBytesCopy, toDictionary, toEnforcedRange } from "../errors.js";
import { HASHES, toHash } from "./algorithm.js";
import { createKey } from "./key.js";

const USAGES = ["sign", "verify"];
const JWK_NAMES = new Map([["SHA-1", "HS1"], ["SHA-256", "HS256"], ["SHA-384", "HS384"], ["SHA-512", "HS512"]]);

export const hmac = {
  generate(object, extractable, usages) {
    const hash = requireHash(object);
    const bits = lengthOf(object, HASHES.get(hash) * 8);
    if (bits === 0) throw domException("The length of an HMAC key must not be 0.", "OperationError");
    checkUsages(usages);
    const material = new Uint8Array(op(OP.RANDOM, Math.ceil(bits / 8)));
    return keyFrom(trimmed(material, bits), bits, hash, extractable, usages);
  },

  import(format, data, object, extractable, usages) {
    const hash = requireHash(object);
    checkUsages(usages);
    const material = format === "raw" ? toBytesCopy(data, "The key") : fromJwk(data, hash, extractable, usages);
    const has = material.byteLength * 8;
    if (has === 0) throw domException("The key is empty.", "DataError");
    const bits = lengthOf(object, has);
    if (bits > has || bits <= has - 8) throw domException("The key has another length.", "DataError");
    return keyFrom(trimmed(material, bits), bits, hash, extractable, usages);
  },

  export(format, key) {
    if (format === "raw") return key.material.slice().buffer;
    return {
      kty: "oct",
      k: key.material.toBase64({ alphabet: "base64url", omitPadding: true }),
      alg: JWK_NAMES.get(key.algorithm.hash.name),
      key_ops: [...key.usages],
      ext: key.extractable,
    };
  },

  sign(key, data) {
    return hmacSign(key.algorithm.hash.name, key.material, data);
  },

  verify(key, signature, data) {
    return hmacVerify(key.algorithm.hash.name, key.material, signature, data);
  },
};

function requireHash(object) {
  if (object.hash === undefined) throw new TypeError("HMAC needs a hash");
  return toHash(object.hash);
}

function lengthOf(object, otherwise) {
  return object.length === undefined ? otherwise : toEnforcedRange(object.length, 0xffffffff, "length");
}

function checkUsages(usages) {
  const bad = usages.find((usage) => !USAGES.includes(usage));
  if (bad !== undefined) throw domException(`An HMAC key can not be used to ${bad}.`, "SyntaxError");
  if (usages.length === 0) throw domException("A secret key needs a usage.", "SyntaxError");
}

/** Bits past the length are zero. */
function trimmed(material, bits) {
  const odd = bits % 8;
  if (odd > 0) material[material.length - 1] &= 0xff << (8 - odd);
  return material;
}

function keyFrom(material, length, hash, extractable, usages) {
  const algorithm = { name: "HMAC", hash: { name: hash }, length };
  return createKey({ type: "secret", extractable, algorithm, usages, material });
}

function fromJwk(data, hash, extractable, usages) {
  const jwk = toDictionary(data, "The key");
  const wrong = (what) => domException(`The JWK's "${what}" does not fit.`, "DataError");
  if (jwk.kty !== "oct") throw wrong("kty");
  if (typeof jwk.k !== "string") throw wrong("k");
  if (jwk.alg !== undefined && jwk.alg !== JWK_NAMES.get(hash)) throw wrong("alg");
  if (jwk.use !== undefined && jwk.use !== "sig") throw wrong("use");
  if (jwk.key_ops !== undefined) {
    const allowed = [...jwk.key_ops];
    if (new Set(allowed).size !== allowed.length) throw wrong("key_ops");
    if (!usages.every((usage) => allowed.includes(usage))) throw wrong("key_ops");
  }
  if (jwk.ext === false && extractable) throw wrong("ext");
  try {
    return Uint8Array.fromBase64(jwk.k, { alphabet: "base64url" });
  } catch {
    throw wrong("k");
  }
}
