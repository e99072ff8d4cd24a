// `Blob` and `File`, held in memory.
//
// **Owns** immutable bytes with a type. **Must not know** bodies or forms. **Enter at** `Blob`.

import { concat, copyOf, isBufferSource, utf8, utf8Decode } from "./bytes.js";
import { webClass } from "./errors.js";
import { now } from "./host.js";
import { registerCloneable } from "./structured-clone.js";
import { createBytesReadable } from "./streams/host-body.js";

let blobBytes;
let blobFrom;
let isBlob;

function normalType(type) {
  const text = `${type}`;
  return /[^\x20-\x7e]/.test(text) ? "" : text.toLowerCase();
}

function partBytes(part, endings) {
  if (isBufferSource(part)) return copyOf(part);
  if (isBlob(part)) return blobBytes(part);
  const text = `${part}`;
  return utf8(endings === "native" ? text.replace(/\r\n?|\n/g, "\n") : text);
}

function joinParts(parts, options) {
  if (parts === undefined) return new Uint8Array(0);
  if (parts === null || typeof parts !== "object" || typeof parts[Symbol.iterator] !== "function") {
    throw new TypeError("Failed to construct 'Blob': The provided value cannot be converted to a sequence.");
  }
  const endings = options?.endings === undefined ? "transparent" : `${options.endings}`;
  if (endings !== "transparent" && endings !== "native") {
    throw new TypeError(`Failed to construct 'Blob': '${endings}' is not a valid enum value of type EndingType.`);
  }
  const chunks = [];
  for (const part of parts) chunks.push(partBytes(part, endings));
  return concat(chunks.length === 0 ? [new Uint8Array(0)] : chunks);
}

function checkOptions(options) {
  if (options !== undefined && options !== null && typeof options !== "object" && typeof options !== "function") {
    throw new TypeError("Failed to construct 'Blob': parameter 2 is not an object.");
  }
}

export class Blob {
  #bytes;
  #type;

  static {
    isBlob = (value) => typeof value === "object" && value !== null && #bytes in value;
    // The bytes themselves: callers must not write to them.
    blobBytes = (blob) => blob.#bytes;
    blobFrom = (bytes, type) => {
      const blob = new Blob();
      blob.#bytes = bytes;
      blob.#type = normalType(type);
      return blob;
    };
  }

  constructor(parts = undefined, options = undefined) {
    checkOptions(options);
    this.#bytes = joinParts(parts, options);
    this.#type = options?.type === undefined ? "" : normalType(options.type);
  }

  get size() {
    return this.#bytes.byteLength;
  }

  get type() {
    return this.#type;
  }

  slice(start = 0, end = this.#bytes.byteLength, type = "") {
    return blobFrom(this.#bytes.slice(toInteger(start), toInteger(end)), type);
  }

  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }

  async bytes() {
    return this.#bytes.slice();
  }

  async text() {
    return utf8Decode(this.#bytes);
  }

  stream() {
    return createBytesReadable(this.#bytes.slice());
  }
}

function toInteger(value) {
  const number = Math.trunc(Number(value));
  return Number.isNaN(number) ? 0 : number;
}

export class File extends Blob {
  #name;
  #lastModified;

  constructor(parts, name, options = undefined) {
    if (arguments.length < 2) {
      throw new TypeError(`Failed to construct 'File': 2 arguments required, but only ${arguments.length} present.`);
    }
    super(parts, options);
    this.#name = `${name}`.toWellFormed();
    this.#lastModified = options?.lastModified === undefined ? now() : toInteger(options.lastModified);
  }

  get name() {
    return this.#name;
  }

  get lastModified() {
    return this.#lastModified;
  }
}

webClass(Blob);
webClass(File);
registerCloneable(Blob, (blob) => blobFrom(blobBytes(blob), blob.type));
registerCloneable(File, (file) => new File([blobBytes(file)], file.name, { type: file.type, lastModified: file.lastModified }));

export { blobBytes, blobFrom, isBlob };
