// The `Headers` class over a flat list `[name, value, name, value, ...]` with lower-case names, in order of arrival.
//
// A block, `name\nvalue\nname\nvalue`, is how headers come from the host (OPS.md): one string, cut up when somebody looks.
//
// **Owns** lists and blocks of headers. **Must not know** requests or responses. **Enter at** `Headers`, and `headersFrom` for a list that is
// known to be valid.

import { webClass } from "./errors.js";
import { headerName, headerValue } from "./header-text.js";

let listOf;
let changesOf;
let adopt;
let isHeaders;

const IMMUTABLE = "Can't modify immutable headers.";

export class Headers {
  #list = [];
  #immutable = false;
  // How often the list was changed: iterators read it anew then.
  #changes = 0;

  static {
    listOf = (headers) => headers.#list;
    changesOf = (headers) => headers.#changes;
    isHeaders = (value) => typeof value === "object" && value !== null && #list in value;
    adopt = (list, immutable) => {
      const headers = new Headers();
      headers.#list = list;
      headers.#immutable = immutable;
      return headers;
    };
  }

  constructor(init = undefined) {
    if (init !== undefined) this.#list = listFrom(init);
  }

  append(name, value) {
    if (arguments.length < 2) throw tooFew("append", 2, arguments.length);
    const list = this.#list;
    const lower = headerName(name);
    const text = headerValue(value);
    if (this.#immutable) throw new TypeError(IMMUTABLE);
    list.push(lower, text);
    this.#changes += 1;
  }

  delete(name) {
    if (arguments.length < 1) throw tooFew("delete", 1, 0);
    const list = this.#list;
    const lower = headerName(name);
    if (this.#immutable) throw new TypeError(IMMUTABLE);
    removeFrom(list, lower, 0);
    this.#changes += 1;
  }

  get(name) {
    if (arguments.length < 1) throw tooFew("get", 1, 0);
    return listGet(this.#list, headerName(name));
  }

  // Cloudflare's older way to read several Set-Cookie headers.
  getAll(name) {
    if (arguments.length < 1) throw tooFew("getAll", 1, 0);
    if (headerName(name) !== "set-cookie") {
      throw new TypeError('getAll() can only be used with the header name "Set-Cookie".');
    }
    return this.getSetCookie();
  }

  getSetCookie() {
    const list = this.#list;
    const values = [];
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === "set-cookie") values.push(list[i + 1]);
    }
    return values;
  }

  has(name) {
    if (arguments.length < 1) throw tooFew("has", 1, 0);
    return listGet(this.#list, headerName(name)) !== null;
  }

  set(name, value) {
    if (arguments.length < 2) throw tooFew("set", 2, arguments.length);
    const list = this.#list;
    const lower = headerName(name);
    const text = headerValue(value);
    if (this.#immutable) throw new TypeError(IMMUTABLE);
    listSet(list, lower, text);
    this.#changes += 1;
  }

  forEach(callback, thisArg = undefined) {
    if (typeof callback !== "function") {
      throw new TypeError("Failed to execute 'forEach' on 'Headers': parameter 1 is not of type 'function'.");
    }
    for (const [name, value] of makeIterator(this, 2)) callback.call(thisArg, value, name, this);
  }

  keys() {
    return makeIterator(this, 0);
  }

  values() {
    return makeIterator(this, 1);
  }

  entries() {
    return makeIterator(this, 2);
  }
}

webClass(Headers);
Object.defineProperty(Headers.prototype, Symbol.iterator, {
  value: Headers.prototype.entries,
  writable: true,
  configurable: true,
});

function tooFew(method, need, got) {
  return new TypeError(
    `Failed to execute '${method}' on 'Headers': ${need} argument${need === 1 ? "" : "s"} required, but only ${got} present.`,
  );
}

// A list sorted by name with equal names joined, Set-Cookie apart (fetch standard, "sort and combine").
function sorted(list) {
  const joined = new Map();
  const pairs = [];
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i];
    if (name === "set-cookie") {
      pairs.push([name, list[i + 1]]);
      continue;
    }
    const pair = joined.get(name);
    if (pair !== undefined) {
      pair[1] = `${pair[1]}, ${list[i + 1]}`;
      continue;
    }
    const fresh = [name, list[i + 1]];
    joined.set(name, fresh);
    pairs.push(fresh);
  }
  return pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
}

const iteratorBase = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
let makeIterator;

// Walks the headers as they are at each step, as the standard asks. `kind`: 0 names, 1 values, 2 pairs.
class HeadersIterator {
  #headers;
  #kind;
  #index = 0;
  // The changes that there had been when `#pairs` was made.
  #changes;
  #pairs;

  static {
    makeIterator = (headers, kind) => {
      const iterator = new HeadersIterator();
      iterator.#changes = changesOf(headers);
      iterator.#pairs = sorted(listOf(headers));
      iterator.#headers = headers;
      iterator.#kind = kind;
      return iterator;
    };
  }

  next() {
    const changes = changesOf(this.#headers);
    if (changes !== this.#changes) {
      this.#pairs = sorted(listOf(this.#headers));
      this.#changes = changes;
    }
    const pair = this.#pairs[this.#index];
    if (pair === undefined) return { value: undefined, done: true };
    this.#index += 1;
    return { value: this.#kind === 2 ? [pair[0], pair[1]] : pair[this.#kind], done: false };
  }
}
Object.setPrototypeOf(HeadersIterator.prototype, iteratorBase);
delete HeadersIterator.prototype.constructor;
Object.defineProperty(HeadersIterator.prototype, "next", { enumerable: true });
Object.defineProperty(HeadersIterator.prototype, Symbol.toStringTag, {
  value: "Headers Iterator",
  configurable: true,
});

// The flat list in a block.
export function cutBlock(block) {
  return block === "" ? [] : block.split("\n");
}

// Whether a block or list may have a header of this lower-case name. A block with such a line as a value may say yes, too.
export function mayHave(head, lower) {
  if (typeof head !== "string") return head.includes(lower);
  // Few have it at all: one search tells.
  return head.includes(lower) && (head.startsWith(`${lower}\n`) || head.includes(`\n${lower}\n`));
}

// A new flat list from what `new Headers(init)` takes.
export function listFrom(init) {
  if (init === null || (typeof init !== "object" && typeof init !== "function")) {
    throw new TypeError(
      "Failed to construct 'Headers': The provided value is not of type '(record<ByteString, ByteString> or sequence<sequence<ByteString>>)'.",
    );
  }
  const iterate = init[Symbol.iterator];
  if (iterate === undefined || iterate === null) return listFromRecord(init);
  if (iterate === Headers.prototype.entries && isHeaders(init)) return listOf(init).slice();
  const list = [];
  for (const pair of { [Symbol.iterator]: () => iterate.call(init) }) {
    if (pair === null || typeof pair !== "object" || typeof pair[Symbol.iterator] !== "function") {
      throw new TypeError("Failed to construct 'Headers': The provided value cannot be converted to a sequence.");
    }
    const [name, value, ...rest] = pair;
    if (rest.length > 0 || (value === undefined && [...pair].length !== 2)) {
      throw new TypeError("To initialize a Headers object from a sequence, each inner sequence must have exactly two elements.");
    }
    list.push(headerName(name), headerValue(value));
  }
  return list;
}

function listFromRecord(record) {
  const list = [];
  const names = Object.keys(record);
  for (let i = 0; i < names.length; i += 1) {
    const name = names[i];
    // Two spellings of one name are two headers, joined when they are read.
    list.push(headerName(name), headerValue(record[name]));
  }
  return list;
}

// The value under a lower-case name, joined by ", " when there are several; null when there is none.
export function listGet(list, lower) {
  let found = null;
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] === lower) found = found === null ? list[i + 1] : `${found}, ${list[i + 1]}`;
  }
  return found;
}

// Replaces every value under a lower-case name by one, in the place of the first.
export function listSet(list, lower, value) {
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] !== lower) continue;
    list[i + 1] = value;
    removeFrom(list, lower, i + 2);
    return;
  }
  list.push(lower, value);
}

// Removes every header under a lower-case name.
export function listDelete(list, lower) {
  removeFrom(list, lower, 0);
}

function removeFrom(list, lower, from) {
  let keep = from;
  for (let i = from; i < list.length; i += 2) {
    if (list[i] === lower) continue;
    list[keep] = list[i];
    list[keep + 1] = list[i + 1];
    keep += 2;
  }
  list.length = keep;
}

// The flat list inside a `Headers`; changes to it are changes of the object, of which its iterators do not hear.
export { listOf as listOfHeaders, isHeaders };

// A `Headers` that takes over a valid list.
export { adopt as headersFrom };
