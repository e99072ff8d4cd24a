// TextEncoder, TextDecoder and their streams (Encoding standard).
//
// **Owns** the interfaces, and streaming UTF-8. **Must not know** the tables of other encodings: those are the host's.
// **Enter at** the classes.

import { host, OP, op } from "./host.js";
import { decode, openDecoder } from "./codec.js";
import { toBytes, toDictionary, toDOMString, webClass } from "./errors.js";
import { shellOf } from "./streams/readable-stream.js";
import { createTransform } from "./streams/transform.js";
import { shellOfWritable } from "./streams/writable-stream.js";
import { Utf8Decoder } from "./utf8.js";

export class TextEncoder {
  // The brand that methods check.
  #encoding = "utf-8";

  get encoding() { return this.#encoding; }

  encode(input = undefined) {
    this.#encoding;
    return new Uint8Array(host.utf8Encode(input === undefined ? "" : toDOMString(input)));
  }

  encodeInto(source, destination) {
    this.#encoding;
    const text = toDOMString(source);
    if (!(destination instanceof Uint8Array)) throw new TypeError("The destination is not a Uint8Array");
    const { buffer, byteOffset, byteLength } = destination;
    const [read, written] = host.utf8EncodeInto(text, buffer, byteOffset, byteLength);
    return { read, written };
  }
}
webClass(TextEncoder);

/** Decodes one of the host's encodings. A stream that is given up half-way is freed with this object. */
class HostDecoder {
  constructor(encoding, fatal, ignoreBOM) {
    this.encoding = encoding;
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
    this.resource = undefined;
  }

  decode(bytes, more) {
    if (this.resource === undefined) {
      this.resource = openDecoder(this.encoding, this.fatal, this.ignoreBOM);
      if (more) abandoned.register(this, this.resource, this);
    }
    const resource = this.resource;
    let alive = false;
    try {
      const text = decode(resource, bytes, !more);
      alive = more;
      return text;
    } finally {
      // The host frees it after the last write and after an error.
      if (!alive) {
        abandoned.unregister(this);
        this.resource = undefined;
      }
    }
  }
}

const abandoned = new FinalizationRegistry((resource) => op(OP.DROP, resource));

/** The canonical name of a label, in lower case; a RangeError for labels that have none. */
function encodingFor(label) {
  // What nearly everybody asks for needs no trip to the host.
  if (label === "utf-8" || label === "utf8" || label === "UTF-8") return "utf-8";
  const encoding = op(OP.ENCODING_FOR_LABEL, label);
  if (encoding === undefined || encoding === "replacement") {
    throw new RangeError(`The encoding label provided ('${label}') is invalid.`);
  }
  return encoding;
}

export class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBOM;
  #decoder;

  constructor(label = "utf-8", options = undefined) {
    const text = toDOMString(label);
    const { fatal, ignoreBOM } = toDictionary(options, "TextDecoderOptions");
    this.#encoding = encodingFor(text);
    this.#fatal = !!fatal;
    this.#ignoreBOM = !!ignoreBOM;
    this.#decoder = newDecoder(this.#encoding, this.#fatal, this.#ignoreBOM);
  }

  get encoding() { return this.#encoding; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreBOM; }

  decode(input = undefined, options = undefined) {
    const decoder = this.#decoder;
    const bytes = input === undefined ? EMPTY : toBytes(input, "The input");
    const more = options !== undefined && !!toDictionary(options, "TextDecodeOptions").stream;
    return decoder.decode(bytes, more);
  }
}
webClass(TextDecoder);

const EMPTY = new Uint8Array(0);

function newDecoder(encoding, fatal, ignoreBOM) {
  return encoding === "utf-8" ? new Utf8Decoder(fatal, ignoreBOM) : new HostDecoder(encoding, fatal, ignoreBOM);
}

/** Encodes chunks; a pair of surrogates may be split between two. */
class EncodeChunks {
  constructor() {
    this.high = "";
  }

  transform(chunk, controller) {
    let text = this.high + toDOMString(chunk);
    const last = text.charCodeAt(text.length - 1);
    this.high = "";
    if (last >= 0xd800 && last <= 0xdbff) {
      this.high = text.slice(-1);
      text = text.slice(0, -1);
    }
    if (text !== "") controller.enqueue(new Uint8Array(host.utf8Encode(text)));
  }

  flush(controller) {
    if (this.high !== "") controller.enqueue(new Uint8Array([0xef, 0xbf, 0xbd]));
  }

  cancel() {}
}

export class TextEncoderStream {
  #transform = createTransform(new EncodeChunks());

  get encoding() { this.#transform; return "utf-8"; }
  get readable() { return shellOf(this.#transform.readable); }
  get writable() { return shellOfWritable(this.#transform.writable); }
}
webClass(TextEncoderStream);

class DecodeChunks {
  constructor(decoder) {
    this.decoder = decoder;
  }

  transform(chunk, controller) {
    const text = this.decoder.decode(toBytes(chunk, "The chunk"), true);
    if (text !== "") controller.enqueue(text);
  }

  flush(controller) {
    const text = this.decoder.decode(EMPTY, false);
    if (text !== "") controller.enqueue(text);
  }

  cancel() {}
}

export class TextDecoderStream {
  #encoding;
  #fatal;
  #ignoreBOM;
  #transform;

  constructor(label = "utf-8", options = undefined) {
    const text = toDOMString(label);
    const { fatal, ignoreBOM } = toDictionary(options, "TextDecoderOptions");
    this.#encoding = encodingFor(text);
    this.#fatal = !!fatal;
    this.#ignoreBOM = !!ignoreBOM;
    const decoder = newDecoder(this.#encoding, this.#fatal, this.#ignoreBOM);
    this.#transform = createTransform(new DecodeChunks(decoder));
  }

  get encoding() { return this.#encoding; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreBOM; }
  get readable() { return shellOf(this.#transform.readable); }
  get writable() { return shellOfWritable(this.#transform.writable); }
}
webClass(TextDecoderStream);

export { atob, btoa } from "./base64.js";
