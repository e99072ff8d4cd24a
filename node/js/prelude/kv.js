// KV namespaces.
//
// **Owns** the KV API and its checks (SEMANTICS 1.4). **Must not know** where values lie. **Enter at** `makeKvNamespace`. The host
// checks again; what is checked here fails with Cloudflare's own words before anything is sent.

import { OP, now, start } from "./host.js";
import { copyOf, isBufferSource, utf8, utf8Decode, utf8Length } from "./bytes.js";
import { webClass } from "./errors.js";
import { ReadableStream } from "./streams/index.js";
import { createBytesReadable, readAllBytes } from "./streams/host-body.js";

const KEY_BYTES_MAX = 512;
const VALUE_BYTES_MAX = 25 * 1024 * 1024;
const METADATA_BYTES_MAX = 1024;
const BULK_KEYS_MAX = 100;
const LIST_KEYS_MAX = 1000;
const CACHE_TTL_MIN_S = 30;
const EXPIRATION_MIN_S = 60;
const INT_MIN = -2147483648;
const INT_MAX = 2147483647;

const VALUE_LIMIT = Object.freeze({ bytes: VALUE_BYTES_MAX, error: valueTooLong });

let makeKvNamespace;

export class KVNamespace {
  #binding;

  static {
    makeKvNamespace = (binding) => {
      const namespace = new KVNamespace();
      namespace.#binding = binding;
      return namespace;
    };
  }

  async get(key, options = undefined) {
    if (Array.isArray(key)) return getBulk(this.#binding, key, options, false);
    const { value } = await getOne(this.#binding, key, options);
    return value;
  }

  async getWithMetadata(key, options = undefined) {
    if (Array.isArray(key)) return getBulk(this.#binding, key, options, true);
    return getOne(this.#binding, key, options);
  }

  async put(key, value, options = undefined) {
    const name = checkKey("PUT", key);
    const { metadata, expiration, expirationTtl } = checkPutOptions(options);
    const content = await putValue(value);
    checkValueLength(content);
    await start(OP.KV_PUT, this.#binding, name, content, metadata, expiration, expirationTtl);
  }

  async delete(key) {
    await start(OP.KV_DELETE, this.#binding, checkKey("DELETE", key));
  }

  async list(options = undefined) {
    const { prefix, limit, cursor } = checkListOptions(options);
    const [entries, next] = await start(OP.KV_LIST, this.#binding, prefix, limit, cursor);
    const keys = entries.map(([name, expiration, metadata]) => {
      const key = { name };
      if (expiration !== null && expiration !== undefined) key.expiration = expiration;
      if (metadata !== null && metadata !== undefined) key.metadata = JSON.parse(metadata);
      return key;
    });
    if (next === null || next === undefined) return { keys, list_complete: true, cacheStatus: null };
    return { keys, list_complete: false, cursor: next, cacheStatus: null };
  }
}

webClass(KVNamespace, "KvNamespace");

function failure(method, status, text) {
  return new Error(`KV ${method} failed: ${status} ${text}`);
}

function checkKey(method, key) {
  const name = `${key}`.toWellFormed();
  if (name === "") throw new TypeError("Key name cannot be empty.");
  if (name === "." || name === "..") throw new TypeError(`"${name}" is not allowed as a key name.`);
  checkLength(method, name);
  return name;
}

function checkLength(method, name) {
  // A character takes three bytes at most, so most keys need no encoding to be found short enough.
  if (name.length * 3 <= KEY_BYTES_MAX) return;
  const length = utf8(name).byteLength;
  if (length > KEY_BYTES_MAX) {
    throw failure(method, 414, `UTF-8 encoded length of ${length} exceeds key length limit of ${KEY_BYTES_MAX}.`);
  }
}

// A number as workerd takes it for an `int`; undefined where there is none.
function toInt(value) {
  if (value === undefined || value === null) return undefined;
  const number = Number(value);
  if (!Number.isFinite(number)) return 0;
  if (number < INT_MIN || number > INT_MAX) {
    throw new TypeError(`Value out of range. Must be between ${INT_MIN} and ${INT_MAX} (inclusive).`);
  }
  return Math.trunc(number);
}

function readOptions(method, options) {
  if (options === undefined || options === null) return { type: "text", cacheTtl: undefined };
  if (typeof options === "string") return { type: options, cacheTtl: undefined };
  const type = options.type ?? "text";
  const cacheTtl = toInt(options.cacheTtl);
  if (cacheTtl < CACHE_TTL_MIN_S) {
    throw failure(method, 400, `Invalid cache_ttl of ${cacheTtl}. Cache TTL must be at least ${CACHE_TTL_MIN_S}.`);
  }
  return { type: `${type}`, cacheTtl };
}

function decode(bytes, type) {
  switch (type) {
    case "text":
      return utf8Decode(bytes);
    case "json":
      return JSON.parse(utf8Decode(bytes));
    case "arrayBuffer":
      return bytes.buffer;
    default:
      return createBytesReadable(bytes);
  }
}

async function getOne(binding, key, options) {
  const name = checkKey("GET", key);
  const { type, cacheTtl } = readOptions("GET", options);
  if (type !== "text" && type !== "json" && type !== "arrayBuffer" && type !== "stream") {
    throw new TypeError('Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".');
  }
  const [entry] = await start(OP.KV_GET, binding, [name], cacheTtl);
  if (entry === null || entry === undefined) return { value: null, metadata: null, cacheStatus: null };
  return {
    value: decode(new Uint8Array(entry[0]), type),
    metadata: entry[1] === null || entry[1] === undefined ? null : JSON.parse(entry[1]),
    cacheStatus: null,
  };
}

function decodeOneOfMany(bytes, type) {
  const text = utf8Decode(bytes);
  if (type === "text") return text;
  try {
    return JSON.parse(text);
  } catch {
    throw failure("GET_BULK", 400, "At least one of the requested keys corresponds to a non-json value");
  }
}

async function getBulk(binding, keys, options, withMetadata) {
  const { type, cacheTtl } = readOptions("GET_BULK", options);
  if (keys.length > BULK_KEYS_MAX) {
    throw failure("GET_BULK", 400, `You can request a maximum of ${BULK_KEYS_MAX} keys`);
  }
  if (keys.length < 1) throw failure("GET_BULK", 400, "You must request a minimum of 1 key");
  if (type !== "text" && type !== "json") {
    throw failure("GET_BULK", 400, `"${type}" is not a valid type. Use "json" or "text"`);
  }
  const names = keys.map((key) => checkKey("GET_BULK", key));
  const entries = await start(OP.KV_GET, binding, names, cacheTtl);
  const found = new Map();
  names.forEach((name, index) => {
    const entry = entries[index];
    if (entry === null || entry === undefined) {
      found.set(name, null);
      return;
    }
    const value = decodeOneOfMany(new Uint8Array(entry[0]), type);
    if (!withMetadata) found.set(name, value);
    else found.set(name, { value, metadata: entry[1] === null || entry[1] === undefined ? null : JSON.parse(entry[1]) });
  });
  return found;
}

function valueTooLong(length) {
  return failure("PUT", 413, `Value length of ${length} exceeds limit of ${VALUE_BYTES_MAX}.`);
}

function checkValueLength(content) {
  // A character takes three bytes at most, so most values need no counting.
  if (typeof content === "string" && content.length * 3 <= VALUE_BYTES_MAX) return;
  const length = typeof content === "string" ? utf8Length(content) : content.byteLength;
  if (length > VALUE_BYTES_MAX) throw valueTooLong(length);
}

// Only objects are looked at; whatever else there is has a text. A string is not copied: it may have megabytes.
async function putValue(value) {
  if (typeof value === "string") return value;
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return `${value}`;
  if (isBufferSource(value)) return copyOf(value);
  if (value instanceof ReadableStream) return readAllBytes(value, VALUE_LIMIT);
  throw new TypeError("KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.");
}

function checkPutOptions(options) {
  if (options === undefined || options === null) return {};
  const { metadata } = options;
  const expiration = toInt(options.expiration);
  const expirationTtl = toInt(options.expirationTtl);
  const checked = {};
  if (expirationTtl !== undefined) checked.expirationTtl = checkTtl(expirationTtl);
  else if (expiration !== undefined) checked.expiration = checkExpiration(expiration);
  if (metadata !== undefined && metadata !== null) checked.metadata = checkMetadata(metadata);
  return checked;
}

function checkTtl(seconds) {
  if (seconds <= 0) {
    throw failure("PUT", 400, `Invalid expiration_ttl of ${seconds}. Please specify integer greater than 0.`);
  }
  if (seconds < EXPIRATION_MIN_S) {
    throw failure("PUT", 400, `Invalid expiration_ttl of ${seconds}. Expiration TTL must be at least ${EXPIRATION_MIN_S}.`);
  }
  return seconds;
}

function checkExpiration(seconds) {
  const present = Math.floor(now() / 1000);
  if (seconds <= present) {
    throw failure(
      "PUT",
      400,
      `Invalid expiration of ${seconds}. Please specify integer greater than the current number of seconds since the UNIX epoch.`,
    );
  }
  if (seconds < present + EXPIRATION_MIN_S) {
    throw failure(
      "PUT",
      400,
      `Invalid expiration of ${seconds}. Expiration times must be at least ${EXPIRATION_MIN_S} seconds in the future.`,
    );
  }
  return seconds;
}

function checkMetadata(metadata) {
  const text = JSON.stringify(metadata);
  if (text === undefined) throw new TypeError("The metadata is not JSON serializable.");
  const length = utf8(text).byteLength;
  if (length > METADATA_BYTES_MAX) {
    throw failure("PUT", 413, `Metadata length of ${length} exceeds limit of ${METADATA_BYTES_MAX}.`);
  }
  return text;
}

// Cloudflare's messages call a listing GET.
function checkListOptions(options) {
  if (options === undefined || options === null) return {};
  const checked = {};
  const { prefix, cursor } = options;
  const limit = toInt(options.limit);
  if (limit > LIST_KEYS_MAX) {
    throw failure("GET", 400, `Invalid key_count_limit of ${limit}. Please specify an integer less than ${LIST_KEYS_MAX}.`);
  }
  // Below, it counts as absent.
  if (limit > 0) checked.limit = limit;
  if (prefix !== undefined && prefix !== null) {
    checked.prefix = `${prefix}`.toWellFormed();
    checkLength("GET", checked.prefix);
  }
  if (cursor !== undefined && cursor !== null) checked.cursor = `${cursor}`;
  return checked;
}

export { makeKvNamespace };
