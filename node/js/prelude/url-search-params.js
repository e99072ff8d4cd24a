// URLSearchParams (URL standard §6.2) and application/x-www-form-urlencoded (§5).
//
// **Owns** the list of pairs and its text form. **Must not know** URL: it is told of changes through a function.
// **Enter at** `URLSearchParams`.

import { host } from "./host.js";
import { percentDecode, utf8 } from "./bytes.js";
import { isObject, requireArguments, toRecord, toSequence, toUSVString, webClass } from "./errors.js";

/** The pairs of a form-encoded text, in order. */
export function parseForm(text) {
  const pairs = [];
  for (const part of text.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    if (equals < 0) pairs.push([decodePart(part), ""]);
    else pairs.push([decodePart(part.slice(0, equals)), decodePart(part.slice(equals + 1))]);
  }
  return pairs;
}

function decodePart(part) {
  if (part.includes("+")) part = part.replaceAll("+", " ");
  if (!part.includes("%")) return part;
  try {
    return decodeURIComponent(part);
  } catch {
    // A lone `%`, or bytes that are not UTF-8: the standard keeps the one and replaces the other.
    return decodeLoosely(part);
  }
}

function decodeLoosely(part) {
  const bytes = percentDecode(utf8(part));
  return host.utf8Decode(bytes.buffer, 0, bytes.byteLength, false, true);
}

/** The form-encoded text of pairs of well-formed strings. */
function serializeForm(pairs) {
  return pairs.map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`).join("&");
}

const PLAIN = /^[A-Za-z0-9*\-._]*$/;
const REST = { "!": "%21", "'": "%27", "(": "%28", ")": "%29", "~": "%7E", "%20": "+" };

function encodePart(text) {
  if (PLAIN.test(text)) return text;
  return encodeURIComponent(text).replace(/[!'()~]|%20/g, (match) => REST[match]);
}

let linked;
let reset;

export class URLSearchParams {
  #pairs;
  #changed = undefined;

  static {
    linked = (query, changed) => {
      const params = new URLSearchParams(query);
      params.#changed = changed;
      return params;
    };
    reset = (params, query) => {
      params.#pairs = fromText(query);
    };
  }

  constructor(init = undefined) {
    this.#pairs = init === undefined ? [] : toPairs(init);
  }

  get size() { return this.#pairs.length; }

  append(name, value) {
    requireArguments(arguments.length, 2, "append");
    this.#pairs.push([toUSVString(name), toUSVString(value)]);
    this.#update();
  }

  delete(name, value = undefined) {
    requireArguments(arguments.length, 1, "delete");
    name = toUSVString(name);
    if (value !== undefined) value = toUSVString(value);
    this.#pairs = this.#pairs.filter((pair) => pair[0] !== name || (value !== undefined && pair[1] !== value));
    this.#update();
  }

  get(name) {
    requireArguments(arguments.length, 1, "get");
    name = toUSVString(name);
    return this.#pairs.find((pair) => pair[0] === name)?.[1] ?? null;
  }

  getAll(name) {
    requireArguments(arguments.length, 1, "getAll");
    name = toUSVString(name);
    return this.#pairs.filter((pair) => pair[0] === name).map((pair) => pair[1]);
  }

  has(name, value = undefined) {
    requireArguments(arguments.length, 1, "has");
    name = toUSVString(name);
    if (value !== undefined) value = toUSVString(value);
    return this.#pairs.some((pair) => pair[0] === name && (value === undefined || pair[1] === value));
  }

  set(name, value) {
    requireArguments(arguments.length, 2, "set");
    name = toUSVString(name);
    value = toUSVString(value);
    const first = this.#pairs.find((pair) => pair[0] === name);
    if (first === undefined) {
      this.#pairs.push([name, value]);
    } else {
      first[1] = value;
      this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== name);
    }
    this.#update();
  }

  /** By name, in code units; equal names keep their order. */
  sort() {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#update();
  }

  forEach(callback, thisArg = undefined) {
    requireArguments(arguments.length, 1, "forEach");
    if (typeof callback !== "function") throw new TypeError("The callback is not a function");
    for (let at = 0; at < this.#pairs.length; at++) {
      const [name, value] = this.#pairs[at];
      callback.call(thisArg, value, name, this);
    }
  }

  keys() { return this.#iterate((pair) => pair[0]); }
  values() { return this.#iterate((pair) => pair[1]); }
  entries() { return this.#iterate((pair) => [pair[0], pair[1]]); }

  toString() { return serializeForm(this.#pairs); }

  #iterate(pick) {
    // Read now, so that a wrong `this` throws here and not at the first `next()`.
    this.#pairs;
    return new PairIterator(() => this.#pairs, pick);
  }

  #update() {
    if (this.#changed !== undefined) this.#changed(serializeForm(this.#pairs));
  }
}
webClass(URLSearchParams);
Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
  value: URLSearchParams.prototype.entries,
  writable: true,
  configurable: true,
});

/** Sees changes made while it runs: it keeps a place, not a copy. */
class PairIterator {
  #list;
  #pick;
  #at = 0;

  constructor(list, pick) {
    this.#list = list;
    this.#pick = pick;
  }

  next() {
    const list = this.#list();
    if (this.#at >= list.length) return { value: undefined, done: true };
    return { value: this.#pick(list[this.#at++]), done: false };
  }
}
Object.setPrototypeOf(PairIterator.prototype, Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())));
delete PairIterator.prototype.constructor;
webClass(PairIterator, "URLSearchParams Iterator");

function toPairs(init) {
  if (!isObject(init)) return fromText(toUSVString(init));
  const iterator = init[Symbol.iterator];
  if (iterator === undefined || iterator === null) return toRecord(init, toUSVString, toUSVString);
  return toSequence(init, toPair, "The list of pairs");
}

function toPair(element) {
  const pair = toSequence(element, toUSVString, "A pair");
  if (pair.length !== 2) throw new TypeError("A pair must have a name and a value");
  return pair;
}

function fromText(text) {
  return parseForm(text.startsWith("?") ? text.slice(1) : text);
}

/** The parameters of a URL's query; `changed(query)` is called after each change. */
export function linkedParams(query, changed) {
  return linked(query, changed);
}

/** The URL's query was replaced. */
export function resetParams(params, query) {
  reset(params, query);
}
