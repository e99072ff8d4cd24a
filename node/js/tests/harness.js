// The test harness of the prelude: what test files import, and what the runner calls.
//
// **Owns** the list of tests and their outcome. **Must not know** the runner. **Enter at** `test` and `run`.

const tests = [];

/** Registers a test. Its name states what is promised. */
export function test(name, body) {
  tests.push({ name, body });
}

/** Runs every test, one after the other: `[{name, ok, error}]`. A test that never settles fails. */
export async function run() {
  const results = [];
  for (const { name, body } of tests) results.push(await outcome(name, body));
  return results;
}

// BOUND: far longer than any test takes; only one that hangs meets it.
const DEADLINE_MS = 3000;

async function outcome(name, body) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error("the test did not finish")), DEADLINE_MS);
  });
  try {
    await Promise.race([(async () => body())(), late]);
    return { name, ok: true, error: null };
  } catch (error) {
    return { name, ok: false, error: describe(error) };
  } finally {
    clearTimeout(timer);
  }
}

function describe(error) {
  return error instanceof Error ? `${error.name}: ${error.message}\n${error.stack ?? ""}` : `thrown: ${show(error)}`;
}

function show(value) {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Error) return `${value.name}(${value.message})`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}[${value.byteLength === 0 ? "" : [...bytes(value)]}]`;
  try {
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

function bytes(value) {
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

export function fail(message) {
  throw new Error(message);
}

export function ok(value, message = "expected a true value") {
  if (!value) fail(message);
}

/** SameValue, except that 0 equals -0. */
export function equal(actual, expected, message = "") {
  if (actual === expected || Object.is(actual, expected)) return;
  fail(`${message}${message && ": "}got ${show(actual)}, expected ${show(expected)}`);
}

/** Structure, own enumerable properties, bytes of views; Map and Set by their items. */
export function deepEqual(actual, expected, message = "") {
  if (!same(actual, expected)) fail(`${message}${message && ": "}got ${show(actual)}, expected ${show(expected)}`);
}

function same(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof ArrayBuffer) return same(new Uint8Array(a), new Uint8Array(b));
  if (a instanceof Map || a instanceof Set) return same([...a], [...b]);
  if (a instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof RegExp) return String(a) === String(b);
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length || a.length !== b.length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

function matches(error, expected, text) {
  if (typeof expected === "string" && error !== expected) {
    ok(error instanceof DOMException, `got ${show(error)}, expected a DOMException ${expected}`);
    equal(error.name, expected);
  } else if (typeof expected === "function") {
    ok(error instanceof expected, `got ${show(error)}, expected ${expected.name}`);
    equal(error.constructor, expected, "constructor");
  } else {
    equal(error, expected);
  }
  if (text !== undefined) ok(error.message.includes(text), `got message ${show(error.message)}, expected ${show(text)}`);
}

/** `expected`: an error class, the name of a DOMException, or the very value that is thrown (strings too). */
export function throws(action, expected, text = undefined) {
  let result;
  try {
    result = action();
  } catch (error) {
    matches(error, expected, text);
    return error;
  }
  return fail(`nothing was thrown; the result is ${show(result)}`);
}

/** As `throws`, for a promise. */
export async function rejects(promise, expected, text = undefined) {
  let result;
  try {
    result = await promise;
  } catch (error) {
    matches(error, expected, text);
    return error;
  }
  return fail(`nothing was rejected; the result is ${show(result)}`);
}

/** Lets every microtask that is due run, and then those they make. */
export async function settle(turns = 20) {
  for (let turn = 0; turn < turns; turn++) await undefined;
}

/** Whether the promise is settled once the microtasks that are due have run. */
export async function isPending(promise) {
  let pending = true;
  const done = () => (pending = false);
  promise.then(done, done);
  await settle();
  return pending;
}
