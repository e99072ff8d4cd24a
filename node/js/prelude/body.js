// The body that `Request` and `Response` share.
//
// **Owns** where a body's content lies and whether it was used. **Must not know** heads, handlers or the network. **Enter at**
// `Body`; `sendable` hands a body to the host.
//
// ```text
// none
// inline (string | bytes)      --.body--> stream over it       } text(), json(), .. of these two never build a stream
// host body id [+ coding]      --.body--> stream over it       }
// stream                       (given by the worker, or made by .body)
// any --consumed or sent--> used
// ```

import { OP, currentRequestId, host, op } from "./host.js";
import { copyOf, isBufferSource, utf8, utf8Decode, utf8Length } from "./bytes.js";
import { blobBytes, blobFrom, isBlob } from "./blob.js";
import { encodeFormData, isFormData } from "./form-data.js";
import { createDecodedReadable, decodeWhole, decoderOf, encodeStream, encodeWhole, takeCoded } from "./content-coding.js";
import { extractMimeType, serializeMimeType } from "./mime-type.js";
import { parseFormData } from "./multipart.js";
import { webClass } from "./errors.js";
import { URLSearchParams } from "./url.js";
import { ReadableStream } from "./streams/index.js";
import {
  constantOf,
  createBytesReadable,
  createHostReadable,
  createTextReadable,
  discard,
  isDisturbed,
  isLocked,
  knownLength,
  readAllBytes,
  readAllOfHostBody,
  takeConstant,
  takeHostBody,
} from "./streams/host-body.js";
import { pumpConstant, pumpToHost } from "./streams/pump.js";

const USED =
  "Body has already been used. It can only be used once. Use tee() first if you need to read it twice.";
const LOCKED = "This ReadableStream is currently locked to a reader.";

// A body that the host holds, not yet read.
class HostBody {
  constructor(id, format) {
    this.id = id;
    // How it is compressed, or undefined.
    this.format = format;
  }
}

const HOST_BODY = new HostBody(0, undefined);

// A body that was consumed or sent. `stream` is what `.body` shows of it.
class Used {
  constructor(stream) {
    this.stream = stream;
  }
}

// Most used bodies are never looked at again, so they share this one.
const UNSEEN = Object.freeze(new Used(undefined));

let sourceOf;
let setSource;
let takeSource;
let cloneSource;
let isUsable;

export class Body {
  // undefined (none), string, Uint8Array, HostBody, ReadableStream, or Used. One field, because every request and
  // response pays for each.
  #source;

  static {
    sourceOf = (body) => body.#source;
    setSource = (body, source) => {
      body.#source = source;
    };
    isUsable = (body) => {
      const source = body.#source;
      if (typeof source !== "object") return true;
      if (source instanceof ReadableStream) return !isDisturbed(source);
      return !(source instanceof Used);
    };
    takeSource = (body) => {
      const source = body.#source;
      if (source === undefined) return undefined;
      if (typeof source === "string") {
        body.#source = UNSEEN;
        return source;
      }
      if (!isUsable(body)) throw new TypeError(USED);
      if (source instanceof ReadableStream) {
        if (isLocked(source)) throw new TypeError(LOCKED);
        body.#source = new Used(source);
      } else {
        body.#source = UNSEEN;
      }
      return source;
    };
    cloneSource = (body) => {
      const source = body.#source;
      if (source === undefined || typeof source === "string") return source;
      if (!isUsable(body)) throw new TypeError(USED);
      if (source instanceof Uint8Array) return source;
      const stream = body.body;
      const constant = constantOf(stream);
      if (constant !== undefined) return constant;
      if (isLocked(stream)) throw new TypeError(LOCKED);
      const [mine, theirs] = stream.tee();
      body.#source = mine;
      return theirs;
    };
  }

  constructor(source) {
    this.#source = source;
  }

  get body() {
    const source = this.#source;
    if (source === undefined) return null;
    if (source instanceof ReadableStream) return source;
    if (source === UNSEEN) this.#source = new Used(spentStream());
    if (this.#source instanceof Used) return this.#source.stream;
    this.#source = streamOf(source);
    return this.#source;
  }

  get bodyUsed() {
    return !isUsable(this);
  }

  async arrayBuffer() {
    const bytes = await takeBytes(this);
    if (bytes.byteLength === bytes.buffer.byteLength) return bytes.buffer;
    return bytes.slice().buffer;
  }

  async bytes() {
    return takeBytes(this);
  }

  async blob() {
    const type = mimeTypeOf(this);
    return blobFrom(await takeBytes(this), type === undefined ? "" : serializeMimeType(type));
  }

  async formData() {
    const parse = parseFormData(mimeTypeOf(this));
    return parse(await takeBytes(this));
  }

  async json() {
    const source = takeSource(this);
    return JSON.parse(typeof source === "string" ? stripMark(source) : await readText(source));
  }

  async text() {
    const source = takeSource(this);
    return typeof source === "string" ? stripMark(source) : readText(source);
  }
}

webClass(Body);

function mimeTypeOf(body) {
  return extractMimeType(body.headers.get("content-type") ?? "");
}

function stripMark(text) {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.charCodeAt(0) === 0xfeff ? whole.slice(1) : whole;
}

function streamOf(source) {
  if (typeof source === "string") return createTextReadable(source);
  if (source instanceof Uint8Array) return createBytesReadable(source);
  if (source.format !== undefined) return createDecodedReadable(source.id, source.format);
  return createHostReadable(source.id);
}

function spentStream() {
  const stream = createTextReadable("");
  discard(stream, undefined).catch(() => {});
  return stream;
}

async function readText(source) {
  return utf8Decode(await readSource(source));
}

async function takeBytes(body) {
  const source = takeSource(body);
  // Inline bytes are ours alone unless a clone shares them, so the reader gets a copy.
  return source instanceof Uint8Array ? source.slice() : readSource(source);
}

async function readSource(source) {
  if (source === undefined) return new Uint8Array(0);
  if (typeof source === "string") return utf8(source);
  if (source instanceof Uint8Array) return source;
  if (source instanceof HostBody) {
    const { id, format } = source;
    return readAllOfHostBody(id, format === undefined ? undefined : decoderOf(format));
  }
  return readAllBytes(source);
}

// The content type that a body brings along, set by `initBody`; null when it brings none.
// (One variable instead of a pair per call: this runs for every response.)
export let defaultType = null;

// Turns what `new Response(input)` takes into a body's content, and sets `defaultType`.
export function initBody(body, input) {
  defaultType = null;
  if (input === undefined || input === null) return;
  if (typeof input === "string") {
    defaultType = "text/plain;charset=UTF-8";
    setSource(body, input);
    return;
  }
  setSource(body, extract(input));
}

function extract(input) {
  if (input instanceof ReadableStream) {
    if (isDisturbed(input)) {
      throw new TypeError("This ReadableStream is disturbed (has already been read from), and cannot be used as a body.");
    }
    if (isLocked(input)) throw new TypeError(LOCKED);
    return input;
  }
  if (isBufferSource(input)) return copyOf(input);
  if (isBlob(input)) {
    if (input.type !== "") defaultType = input.type;
    return blobBytes(input);
  }
  if (isFormData(input)) {
    const { type, bytes } = encodeFormData(input);
    defaultType = type;
    return bytes;
  }
  if (input instanceof URLSearchParams) {
    defaultType = "application/x-www-form-urlencoded;charset=UTF-8";
    return input.toString();
  }
  if (typeof input === "object" && typeof input[Symbol.asyncIterator] === "function" && ReadableStream.from !== undefined) {
    return ReadableStream.from(input);
  }
  defaultType = "text/plain;charset=UTF-8";
  return `${input}`;
}

// The source of a body that arrived from the host: undefined, bytes (whole), or the id of a body to read.
export function hostSource(content, format) {
  if (content === undefined) return undefined;
  if (typeof content === "number") return host.stamp(HOST_BODY, content, format);
  return format === undefined ? new Uint8Array(content) : decodeWhole(content, format);
}

// Whether a source is known to hold nothing: of a stream nobody knows.
export function isEmpty(source) {
  if (typeof source === "object") return source instanceof Uint8Array && source.byteLength === 0;
  return source === undefined || source === "";
}

// What `sendable` found out besides its result: a promise for the end of a pump, or undefined.
export let pump;

// Hands a body to the host: undefined, a string, bytes, or the id of a body that flows meanwhile (then `pump` is the
// promise of its end, which rejects when the stream fails). `format` is the compression that the head announces, or undefined.
export function sendable(body, format) {
  pump = undefined;
  let source = takeSource(body);
  if (source === undefined || (typeof source === "string" && (format === undefined || source === ""))) return source;
  if (source instanceof HostBody) {
    if (source.format === format) return source.id;
    source = streamOf(source);
  }
  if (source instanceof ReadableStream) {
    const constant = takeConstant(source);
    if (constant === undefined) return sendStream(source, format);
    source = constant;
  }
  // Nothing stays nothing: compressed, it would be a few bytes.
  return format === undefined || isEmpty(source) ? source : encodeWhole(source, format);
}

function sendStream(stream, format) {
  if (format !== undefined) {
    const untouched = takeCoded(stream, format);
    if (untouched !== undefined) return untouched;
    return startPump(encodeStream(stream, format));
  }
  const untouched = takeHostBody(stream);
  return untouched === undefined ? startPump(stream) : untouched;
}

function startPump(stream) {
  const id = op(OP.BODY_NEW, currentRequestId(), knownLength(stream));
  pump = pumpToHost(stream, id);
  return id;
}

// The length of what `sendable` returned, in UTF-16 units or bytes; 0 for what is not here.
export function lengthOf(content) {
  if (typeof content === "string") return content.length;
  return typeof content === "object" ? content.byteLength : 0;
}

// Lets a string or bytes flow as the body whose id is returned, piece by piece; `pump` is the promise of its end.
export function flow(content) {
  const length = typeof content === "string" ? utf8Length(content) : content.byteLength;
  const id = op(OP.BODY_NEW, currentRequestId(), length);
  pump = pumpConstant(content, id);
  return id;
}

export { cloneSource, isUsable, setSource, sourceOf, takeSource };
