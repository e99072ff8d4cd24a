// Error types and argument conversions of the web platform (WebIDL), shared by every API file.
//
// **Owns** how a JavaScript value becomes an API's argument and which error says it can not. **Must not know** any API.
// **Enter at** `webClass` (what makes a class look like a platform interface) and the `to…` conversions.

/** The token that lets the prelude call constructors that are illegal for a worker. It never leaves the prelude. */
export const INTERNAL = Symbol("internal");

/** Prototypes of every platform interface: structuredClone refuses their instances unless they are serializable. */
export const platformPrototypes = new Set();

/** Makes `Class` a platform interface: `Symbol.toStringTag` and enumerable members, as WebIDL defines them. */
export function webClass(Class, name = Class.name) {
  enumerate(Class.prototype, ["constructor"]);
  enumerate(Class, ["prototype", "name", "length"]);
  Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: name, configurable: true });
  platformPrototypes.add(Class.prototype);
  return Class;
}

function enumerate(object, except) {
  for (const key of Object.getOwnPropertyNames(object)) {
    if (except.includes(key)) continue;
    const descriptor = Object.getOwnPropertyDescriptor(object, key);
    if (descriptor.configurable) Object.defineProperty(object, key, { ...descriptor, enumerable: true });
  }
}

/** Adds read-only enumerable constants to an interface and its prototype. */
export function webConstants(Class, constants) {
  for (const [key, value] of Object.entries(constants)) {
    const descriptor = { value, enumerable: true };
    Object.defineProperty(Class, key, descriptor);
    Object.defineProperty(Class.prototype, key, descriptor);
  }
}

export function domException(message, name) {
  return new DOMException(message, name);
}

export function illegalConstructor() {
  return new TypeError("Illegal constructor");
}

/** Throws unless the caller is the prelude: the first line of a constructor that workers may not call. */
export function requireInternal(token) {
  if (token !== INTERNAL) throw illegalConstructor();
}

/** WebIDL's arity check. `present` is `arguments.length`. */
export function requireArguments(present, required, what) {
  if (present < required) {
    const noun = required === 1 ? "argument" : "arguments";
    throw new TypeError(`Failed to execute '${what}': ${required} ${noun} required, but only ${present} present.`);
  }
}

export function isObject(value) {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** DOMString. A template literal, because `String(symbol)` would not throw. */
export function toDOMString(value) {
  return typeof value === "string" ? value : `${value}`;
}

/** USVString: lone surrogates become U+FFFD. */
export function toUSVString(value) {
  return (typeof value === "string" ? value : `${value}`).toWellFormed();
}

/** `[EnforceRange]` integer in `0..=max`. */
export function toEnforcedRange(value, max, what) {
  const number = Math.trunc(+value);
  // `+ 0` turns -0 into 0; NaN and infinities fail the comparison.
  if (!(number >= 0 && number <= max)) throw new TypeError(`${what} is not a number in the range 0 to ${max}`);
  return number + 0;
}

/** `unrestricted double`. */
export function toDouble(value) {
  return +value;
}

/** A dictionary argument: undefined and null read as `{}`, any other non-object is a TypeError. */
export function toDictionary(value, what) {
  if (value === undefined || value === null) return EMPTY;
  if (!isObject(value)) throw new TypeError(`${what} is not an object`);
  return value;
}

const EMPTY = Object.freeze(Object.create(null));

/** A dictionary's callback member: undefined when absent, a TypeError when present and not callable. */
export function toCallback(dictionary, member, what) {
  const value = dictionary[member];
  if (value !== undefined && typeof value !== "function") throw new TypeError(`${what}.${member} is not a function`);
  return value;
}

/** A dictionary's or argument's enumeration value. */
export function toEnum(value, allowed, what) {
  const text = toDOMString(value);
  if (!allowed.includes(text)) throw new TypeError(`'${text}' is not a valid value for ${what}`);
  return text;
}

/** `sequence<T>`: any iterable object, each element converted by `convert`. */
export function toSequence(value, convert, what) {
  if (!isObject(value) || typeof value[Symbol.iterator] !== "function") throw new TypeError(`${what} is not iterable`);
  const list = [];
  for (const element of value) list.push(convert(element));
  return list;
}

/** `record<K, V>`: own enumerable properties in order, as a list of pairs; a later equal key replaces the earlier. */
export function toRecord(object, convertKey, convertValue) {
  const record = new Map();
  for (const key of Reflect.ownKeys(object)) {
    const descriptor = Reflect.getOwnPropertyDescriptor(object, key);
    if (descriptor === undefined || !descriptor.enumerable) continue;
    record.set(convertKey(key), convertValue(object[key]));
  }
  return [...record];
}

/** Whether `value` is an ArrayBuffer (of any realm), without trusting what the worker can overwrite. */
export function isArrayBuffer(value) {
  if (typeof value !== "object" || value === null) return false;
  try {
    arrayBufferByteLength.call(value);
    return true;
  } catch {
    return false;
  }
}

const arrayBufferByteLength = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, "byteLength").get;

/** BufferSource as a Uint8Array over the same memory; a TypeError for anything else. */
export function toBytes(value, what) {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (isArrayBuffer(value) || (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer)) {
    return new Uint8Array(value);
  }
  throw new TypeError(`${what} is not an ArrayBuffer or a view on one`);
}

/** BufferSource as a copy that nobody else can change. */
export function toBytesCopy(value, what) {
  return toBytes(value, what).slice();
}
