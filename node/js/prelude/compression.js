// CompressionStream and DecompressionStream (Compression standard).
//
// **Owns** the interfaces. **Must not know** the formats: the host's codecs do the work. **Enter at** the classes.

import { OP, op } from "./host.js";
import { openZlib, zlib } from "./codec.js";
import { requireArguments, toBytes, toEnum, webClass } from "./errors.js";
import { shellOf } from "./streams/readable-stream.js";
import { createTransform } from "./streams/transform.js";
import { shellOfWritable } from "./streams/writable-stream.js";

const FORMATS = ["deflate", "deflate-raw", "gzip"];
const EMPTY = new Uint8Array(0);

const abandoned = new FinalizationRegistry((resource) => op(OP.DROP, resource));

/** A transformer around one codec of the host, which frees it after the last write and after an error. */
class Codec {
  constructor(format, compress) {
    this.resource = openZlib(format, compress);
    abandoned.register(this, this.resource, this);
  }

  run(bytes, last, controller) {
    let output;
    try {
      output = zlib(this.resource, bytes, last);
    } catch (error) {
      this.freed();
      throw error;
    }
    if (last) this.freed();
    if (output.byteLength > 0) controller.enqueue(output);
  }

  freed() {
    abandoned.unregister(this);
    this.resource = undefined;
  }

  transform(chunk, controller) {
    let bytes;
    try {
      bytes = toBytes(chunk, "The chunk");
    } catch (error) {
      this.cancel();
      throw error;
    }
    if (bytes.byteLength > 0) this.run(bytes, false, controller);
  }

  flush(controller) {
    this.run(EMPTY, true, controller);
  }

  cancel() {
    if (this.resource === undefined) return;
    op(OP.DROP, this.resource);
    this.freed();
  }
}

function codecTransform(format, compress) {
  const codec = new Codec(toEnum(format, FORMATS, "CompressionFormat"), compress);
  return createTransform({
    transform: (chunk, controller) => codec.transform(chunk, controller),
    flush: (controller) => codec.flush(controller),
    cancel: () => codec.cancel(),
  });
}

export class CompressionStream {
  #transform;

  constructor(format) {
    requireArguments(arguments.length, 1, "CompressionStream");
    this.#transform = codecTransform(format, true);
  }

  get readable() { return shellOf(this.#transform.readable); }
  get writable() { return shellOfWritable(this.#transform.writable); }
}
webClass(CompressionStream);

export class DecompressionStream {
  #transform;

  constructor(format) {
    requireArguments(arguments.length, 1, "DecompressionStream");
    this.#transform = codecTransform(format, false);
  }

  get readable() { return shellOf(this.#transform.readable); }
  get writable() { return shellOfWritable(this.#transform.writable); }
}
webClass(DecompressionStream);
