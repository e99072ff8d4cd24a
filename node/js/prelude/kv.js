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

function readOptions(method, options) {
  if (options === undefined || options === null) return { type: "text", cacheTtl: undefined };
  if (typeof options === "string") return { type: options, cacheTtl: undefined };
  const { type, cacheTtl } = options;
  if (cacheTtl !== undefined && cacheTtl !== null) {
    const seconds = Number(cacheTtl);
    if (Number.isNaN(seconds) || seconds < CACHE_TTL_MIN_S) {
      throw failure(method, 400, `Invalid cache_ttl of ${cacheTtl}. Cache TTL must be at least ${CACHE_TTL_MIN_S}.`);
    }
    return { type: type === undefined ? "text" : `${type}`, cacheTtl: Math.trunc(seconds) };
  }
  return { type: type === undefined || type === null ? "text" : `${type}`, cacheTtl: undefined };
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
    const value = decode(new Uint8Array(entry[0]), type);
    if (!withMetadata) found.set(name, value);
    else found.set(name, { value, metadata: entry[1] === null || entry[1] === undefined ? null : JSON.parse(entry[1]) });
  });
  return found;
}

function checkValueLength(content) {
  // A character takes three bytes at most, so most values need no counting.
  if (typeof content === "string" && content.length * 3 <= VALUE_BYTES_MAX) return;
  const length = typeof content === "string" ? utf8Length(content) : content.byteLength;
  if (length > VALUE_BYTES_MAX) {
    throw failure("PUT", 413, `Value length of ${length} exceeds limit of ${VALUE_BYTES_MAX}.`);
  }
}

async function putValue(value) {
  if (typeof value === "string") return value;
  if (isBufferSource(value)) return copyOf(value);
  if (value instanceof ReadableStream) return readAllBytes(value);
  throw new TypeError("KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.");
}

function checkPutOptions(options) {
  if (options === undefined || options === null) return {};
  const { expiration, expirationTtl, metadata } = options;
  const checked = {};
  if (expirationTtl !== undefined && expirationTtl !== null) checked.expirationTtl = checkTtl(expirationTtl);
  else if (expiration !== undefined && expiration !== null) checked.expiration = checkExpiration(expiration);
  if (metadata !== undefined && metadata !== null) checked.metadata = checkMetadata(metadata);
  return checked;
}

function checkTtl(value) {
  const seconds = Number.parseInt(value, 10);
  if (Number.isNaN(seconds) || seconds <= 0) {
    throw failure("PUT", 400, `Invalid expiration_ttl of ${value}. Please specify integer greater than 0.`);
  }
  if (seconds < EXPIRATION_MIN_S) {
    throw failure("PUT", 400, `Invalid expiration_ttl of ${value}. Expiration TTL must be at least ${EXPIRATION_MIN_S}.`);
  }
  return seconds;
}

function checkExpiration(value) {
  const seconds = Number.parseInt(value, 10);
  const present = Math.floor(now() / 1000);
  if (Number.isNaN(seconds) || seconds <= present) {
    throw failure(
      "PUT",
      400,
      `Invalid expiration of ${value}. Please specify integer greater than the current number of seconds since the UNIX epoch.`,
    );
  }
  if (seconds < present + EXPIRATION_MIN_S) {
    throw failure(
      "PUT",
      400,
      `Invalid expiration of ${value}. Expiration times must be at least ${EXPIRATION_MIN_S} seconds in the future.`,
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

function checkListOptions(options) {
  if (options === undefined || options === null) return {};
  const checked = {};
  const { prefix, limit, cursor } = options;
  if (limit !== undefined && limit !== null) checked.limit = checkLimit(limit);
  if (prefix !== undefined && prefix !== null) {
    checked.prefix = `${prefix}`.toWellFormed();
    checkLength("LIST", checked.prefix);
  }
  if (cursor !== undefined && cursor !== null) checked.cursor = `${cursor}`;
  return checked;
}

function checkLimit(limit) {
  const number = Number(limit);
  if (Number.isNaN(number) || number < 1) {
    throw failure("LIST", 400, `Invalid key_count_limit of ${limit}. Please specify an integer greater than 0.`);
  }
  if (number > LIST_KEYS_MAX) {
    throw failure("LIST", 400, `Invalid key_count_limit of ${limit}. Please specify an integer less than ${LIST_KEYS_MAX}.`);
  }
  return Math.trunc(number);
}

export { makeKvNamespace };
