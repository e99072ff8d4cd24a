// structuredClone (HTML §2.7).
//
// **Owns** which values can be cloned and transferred, and how. **Must not know** platform classes: those that are
// serializable register themselves (`registerCloneable`). **Enter at** `structuredClone`.

import { domException, isArrayBuffer, isObject, platformPrototypes, requireArguments, toDictionary, toSequence } from "./errors.js";
import { viewConstructor } from "./streams/byte-controller.js";

// Prototype of a serializable platform interface -> function that copies an instance.
const cloneables = new Map();

/** Makes instances of `Class` serializable. `clone(value, cloneInner)` copies one. */
export function registerCloneable(Class, clone) {
  cloneables.set(Class.prototype, clone);
}

export function structuredClone(value, options = undefined) {
  requireArguments(arguments.length, 1, "structuredClone");
  const { transfer } = toDictionary(options, "The options");
  // Primitives and nothing to transfer: what most calls in a loop are.
  if (transfer === undefined && !isObject(value) && typeof value !== "symbol") return value;
  const transferred = transfer === undefined ? [] : toSequence(transfer, (item) => item, "transfer");
  const copy = new Cloner();
  copy.reserve(transferred);
  const result = copy.clone(value);
  return copy.transfer(result);
}

function refuse(what) {
  return domException(`${what} could not be cloned.`, "DataCloneError");
}

/** Whether an intrinsic method accepts `value` as its `this`: the brand that a prototype or tag can not forge. */
function accepts(method, value, ...args) {
  try {
    method.call(value, ...args);
    return true;
  } catch {
    return false;
  }
}

function getter(Class, name) {
  return Object.getOwnPropertyDescriptor(Class.prototype, name).get;
}

const mapSize = getter(Map, "size");
const setSize = getter(Set, "size");
const mapEach = Map.prototype.forEach;
const setEach = Set.prototype.forEach;
const dateValue = Date.prototype.getTime;
const regExpSource = getter(RegExp, "source");
const regExpFlags = getter(RegExp, "flags");
const tagOf = Object.prototype.toString;
const PRIMITIVES = [Boolean, Number, String, BigInt];
const ERRORS = new Map([EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((E) => [E.name, E]));
const REFUSED = new Set(["Promise", "WeakMap", "WeakSet", "WeakRef", "Generator", "AsyncGenerator", "Symbol", "FinalizationRegistry"]
  .map((name) => `[object ${name}]`));

class Cloner {
  constructor() {
    // Original -> copy, so that cycles and shared references keep their shape.
    this.copies = new Map();
    this.reserved = new Set();
    this.waiting = [];
  }

  /** Checks the transfer list. The buffers move only when everything was cloned. */
  reserve(list) {
    for (const item of list) {
      if (!isArrayBuffer(item)) throw refuse("A value in the transfer list");
      if (this.reserved.has(item)) throw domException("The transfer list has a value twice.", "DataCloneError");
      if (item.detached) throw domException("A buffer in the transfer list is detached.", "DataCloneError");
      this.reserved.add(item);
    }
  }

  /** Views on transferred buffers are made last, over the buffers' new owners. */
  transfer(result) {
    const moved = new Map();
    for (const buffer of this.reserved) moved.set(buffer, buffer.transfer());
    for (const place of this.waiting) place(moved);
    return result instanceof Later ? result.get(moved) : result;
  }

  clone(value) {
    if (typeof value === "symbol") throw refuse("A symbol");
    if (!isObject(value)) return value;
    const seen = this.copies.get(value);
    if (seen !== undefined) return seen;
    if (typeof value === "function") throw refuse("A function");
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return this.cloneProperties(value, this.keep(value, {}));
    if (Array.isArray(value)) return this.cloneProperties(value, this.keep(value, new Array(value.length)));
    return this.cloneExotic(value);
  }

  keep(value, copy) {
    this.copies.set(value, copy);
    return copy;
  }

  cloneProperties(value, copy) {
    for (const key of Object.keys(value)) {
      // A getter of an earlier key may have removed this one.
      if (Object.hasOwn(value, key)) put(copy, key, this.clone(value[key]));
    }
    return copy;
  }

  cloneExotic(value) {
    if (isArrayBuffer(value)) return this.keep(value, this.cloneBuffer(value));
    if (ArrayBuffer.isView(value)) return this.cloneView(value);
    if (accepts(mapSize, value)) return this.cloneMap(value);
    if (accepts(setSize, value)) return this.cloneSet(value);
    if (accepts(dateValue, value)) return this.keep(value, new Date(dateValue.call(value)));
    if (accepts(regExpSource, value)) {
      return this.keep(value, new RegExp(regExpSource.call(value), regExpFlags.call(value)));
    }
    for (const Class of PRIMITIVES) {
      if (accepts(Class.prototype.valueOf, value)) return this.keep(value, Object(Class.prototype.valueOf.call(value)));
    }
    if (value instanceof DOMException) return this.keep(value, cloneDomException(value));
    if (value instanceof Error) return this.cloneError(value);
    return this.clonePlatform(value);
  }

  /** What is left: platform objects, and objects of workers' classes, which become plain. */
  clonePlatform(value) {
    for (let p = Object.getPrototypeOf(value); p !== null; p = Object.getPrototypeOf(p)) {
      const clone = cloneables.get(p);
      if (clone !== undefined) return this.keep(value, clone(value, (inner) => this.clone(inner)));
      if (platformPrototypes.has(p)) throw refuse(`${tagOf.call(value)}`);
    }
    if (REFUSED.has(tagOf.call(value))) throw refuse(`${tagOf.call(value)}`);
    return this.cloneProperties(value, this.keep(value, {}));
  }

  cloneBuffer(buffer) {
    if (this.reserved.has(buffer)) return this.placeholder(buffer);
    if (buffer.detached) throw refuse("A detached ArrayBuffer");
    if (!buffer.resizable) return buffer.slice(0);
    const copy = new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength });
    new Uint8Array(copy).set(new Uint8Array(buffer));
    return copy;
  }

  /** Stands for a buffer that will be transferred; `put` replaces it. */
  placeholder(buffer) {
    return new Later(this, (moved) => moved.get(buffer));
  }

  cloneView(view) {
    const View = viewConstructor(view);
    const { byteOffset } = view;
    const length = View === DataView ? view.byteLength : view.length;
    const buffer = this.clone(view.buffer);
    if (buffer instanceof Later) {
      return this.keep(view, new Later(this, (moved) => new View(moved.get(view.buffer), byteOffset, length)));
    }
    return this.keep(view, new View(buffer, byteOffset, length));
  }

  cloneMap(map) {
    const pairs = [];
    mapEach.call(map, (value, key) => pairs.push(key, value));
    const copy = this.keep(map, new Map());
    this.fill(pairs, (items) => {
      for (let at = 0; at < items.length; at += 2) copy.set(items[at], items[at + 1]);
    });
    return copy;
  }

  cloneSet(set) {
    const items = [];
    setEach.call(set, (item) => items.push(item));
    const copy = this.keep(set, new Set());
    this.fill(items, (copies) => copies.forEach((item) => copy.add(item)));
    return copy;
  }

  /** Clones a collection's items; when some are still to be transferred, the collection is filled after that. */
  fill(items, add) {
    const copies = items.map((item) => this.clone(item));
    if (!copies.some((copy) => copy instanceof Later)) {
      add(copies);
      return;
    }
    this.waiting.push((moved) => add(copies.map((copy) => (copy instanceof Later ? copy.get(moved) : copy))));
  }

  cloneError(error) {
    const name = ERRORS.get(`${error.name}`);
    const message = Object.getOwnPropertyDescriptor(error, "message");
    const copy = this.keep(error, new (name ?? Error)());
    define(copy, "message", message !== undefined && "value" in message ? `${message.value}` : undefined);
    // An accessor in this engine, so it can not be read from a descriptor.
    if (typeof error.stack === "string") define(copy, "stack", error.stack);
    const cause = Object.getOwnPropertyDescriptor(error, "cause");
    if (cause !== undefined && "value" in cause) define(copy, "cause", this.clone(cause.value));
    return copy;
  }
}

function define(object, key, value) {
  if (value !== undefined) Object.defineProperty(object, key, { value, writable: true, configurable: true, enumerable: false });
}

function cloneDomException(error) {
  const copy = new DOMException(error.message, error.name);
  if (typeof error.stack === "string") define(copy, "stack", error.stack);
  return copy;
}

/** A value that exists once the buffers have moved. */
class Later {
  constructor(cloner, make) {
    this.cloner = cloner;
    this.make = make;
    this.made = undefined;
  }

  get(moved) {
    return (this.made ??= this.make(moved));
  }
}

/** Creates a property, even one named `__proto__`. */
function put(copy, key, value) {
  if (value instanceof Later) value.cloner.waiting.push((moved) => put(copy, key, value.get(moved)));
  else Object.defineProperty(copy, key, { value, writable: true, enumerable: true, configurable: true });
}
