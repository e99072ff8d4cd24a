// DigestStream: Workers' writable stream whose `digest` is the hash of what was written.
//
// **Owns** the interface. **Must not know** hashes: the host keeps the running one. **Enter at** `DigestStream`.

import { host, OP, op } from "../host.js";
import { openDigest, writeDigest } from "../codec.js";
import { INTERNAL, requireArguments, toBytes, webClass } from "../errors.js";
import { Deferred, handled } from "../streams/promises.js";
import { createWritable } from "../streams/writable.js";
import { WritableStream } from "../streams/writable-stream.js";
import { toHash } from "./algorithm.js";

const abandoned = new FinalizationRegistry((resource) => op(OP.DROP, resource));

class Hashing {
  constructor(algorithm) {
    this.resource = openDigest(algorithm);
    this.written = 0n;
    this.digest = new Deferred();
    handled(this.digest.promise);
    abandoned.register(this, this.resource, this);
  }

  write(chunk) {
    let bytes;
    try {
      // Strings are Workers' addition; they count as UTF-8.
      bytes = typeof chunk === "string" ? new Uint8Array(host.utf8Encode(chunk)) : toBytes(chunk, "The chunk");
    } catch (error) {
      this.abort(error);
      return Promise.reject(error);
    }
    writeDigest(this.resource, bytes);
    this.written += BigInt(bytes.byteLength);
  }

  close() {
    abandoned.unregister(this);
    this.digest.resolve(op(OP.DIGEST_END, this.resource));
  }

  abort(reason) {
    abandoned.unregister(this);
    op(OP.DROP, this.resource);
    this.digest.reject(reason);
  }
}

export class DigestStream extends WritableStream {
  #hashing;

  constructor(algorithm) {
    requireArguments(arguments.length, 1, "DigestStream");
    const hashing = new Hashing(toHash(algorithm));
    super(INTERNAL, createWritable(hashing));
    this.#hashing = hashing;
  }

  get digest() { return this.#hashing.digest.promise; }
  get bytesWritten() { return this.#hashing.written; }
}
webClass(DigestStream);
