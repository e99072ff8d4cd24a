// The global object.

import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";

const CLASSES = [
  "AbortController", "AbortSignal", "Blob", "CloseEvent", "CompressionStream", "CryptoKey", "CustomEvent",
  "DecompressionStream", "DOMException", "ErrorEvent", "Event", "EventTarget", "ExecutionContext", "FetchEvent", "File",
  "FixedLengthStream", "FormData", "Headers", "IdentityTransformStream", "MessageEvent", "PromiseRejectionEvent",
  "ReadableStream", "Request", "Response", "SubtleCrypto", "TextDecoder", "TextDecoderStream", "TextEncoder",
  "TextEncoderStream", "TransformStream", "URL", "URLSearchParams", "WebSocket", "WebSocketPair", "WritableStream",
];
const FUNCTIONS = [
  "addEventListener", "atob", "btoa", "clearInterval", "clearTimeout", "dispatchEvent", "fetch", "queueMicrotask",
  "removeEventListener", "reportError", "setInterval", "setTimeout", "structuredClone",
];

test("every interface is there, writable, configurable and not enumerable", () => {
  for (const name of CLASSES) {
    const { value, writable, configurable, enumerable } = Object.getOwnPropertyDescriptor(globalThis, name);
    deepEqual([name, typeof value, writable, configurable, enumerable], [name, "function", true, true, false]);
    equal(value.name, name);
    equal(value.prototype[Symbol.toStringTag], name);
  }
});

test("every function is there and enumerable", () => {
  for (const name of FUNCTIONS) {
    const { value, enumerable } = Object.getOwnPropertyDescriptor(globalThis, name);
    deepEqual([name, typeof value, enumerable], [name, "function", true]);
  }
});

test("self is the global object", () => equal(self, globalThis));

test("a library that looks for the Cache API finds none", () => {
  equal(typeof caches, "undefined");
  equal(globalThis.caches, undefined);
  equal("caches" in globalThis, false);
});

test("nothing of the host is visible", () => {
  equal(globalThis.__host, undefined);
  for (const name of ["process", "require", "std", "os", "bjson", "print", "scriptArgs"]) equal(globalThis[name], undefined);
});

test("code from strings is an EvalError", () => {
  const message = "Code generation from strings disallowed for this context";
  const indirect = eval;
  throws(() => indirect("1"), EvalError, message);
  throws(() => new Function("return 1"), EvalError, message);
  throws(() => Function("return 1"), EvalError, message);
  throws(() => (() => {}).constructor("return 1"), EvalError, message);
  throws(() => new (async () => {}).constructor("return 1"), EvalError, message);
  throws(() => (function* () {}).constructor("return 1"), EvalError, message);
  throws(() => (async function* () {}).constructor("return 1"), EvalError, message);
});

test("Function stays the constructor of functions", () => {
  ok((() => {}) instanceof Function);
  equal((() => {}).constructor, Function);
  equal(Function.prototype.constructor, Function);
  equal(Function.name, "Function");
});

test("a global can be shadowed by assignment", () => {
  const before = globalThis.fetch;
  globalThis.fetch = 1;
  equal(fetch, 1);
  globalThis.fetch = before;
});

test("the global object is an event target", () => {
  const seen = [];
  const listener = (event) => seen.push(event.type);
  addEventListener("mine", listener);
  dispatchEvent(new Event("mine"));
  removeEventListener("mine", listener);
  dispatchEvent(new Event("mine"));
  deepEqual(seen, ["mine"]);
});

test("reportError tells error listeners", () => {
  const seen = [];
  const listener = (event) => {
    seen.push([event.error, event.message]);
    event.preventDefault();
  };
  addEventListener("error", listener);
  const error = new RangeError("mine");
  reportError(error);
  removeEventListener("error", listener);
  deepEqual(seen, [[error, "RangeError: mine"]]);
  throws(() => reportError(), TypeError);
});

test("platform constructors that are not for workers are illegal", () => {
  throws(() => new ExecutionContext(), TypeError);
  throws(() => new ScheduledController(), TypeError);
  throws(() => new AbortSignal(), TypeError);
});

test("fetch rejects what it can not send", async () => {
  await rejects(fetch(), TypeError);
  await rejects(fetch("/relative"), TypeError, "Invalid URL");
  await rejects(fetch("blob:https://a.example/x"), TypeError, "Fetch API cannot load: blob:https://a.example/x");
  await rejects(fetch("file:///etc/passwd"), TypeError, "Fetch API cannot load");
  await rejects(fetch("https://a.example/", { method: "GET", body: "x" }), TypeError, "GET or HEAD");
  await rejects(fetch("https://a.example/", { signal: AbortSignal.abort() }), "AbortError");
  const reason = new Error("mine");
  await rejects(fetch("https://a.example/", { signal: AbortSignal.abort(reason) }), Error, "mine");
});

test("fetch answers a data: URL by itself", async () => {
  const response = await fetch("data:text/html;charset=utf-8;base64,aMOpbGxv#fragment");
  equal(response.status, 200);
  equal(response.statusText, "OK");
  equal(response.url, "data:text/html;charset=utf-8;base64,aMOpbGxv");
  deepEqual([...response.headers], [["content-type", "text/html;charset=utf-8"]]);
  equal(await response.text(), "h\u00e9llo");
  equal(await (await fetch(new Request("data:,a%20b"))).text(), "a b");
  const empty = await fetch("data:,");
  ok(empty.body instanceof ReadableStream);
  equal(await empty.text(), "");
  const head = await fetch("data:a/b,x", { method: "HEAD" });
  deepEqual([head.body, head.headers.get("content-type")], [null, "a/b"]);
});

test("a data: URL that is malformed is a TypeError", async () => {
  for (const url of ["data:", "data:text/plain", "data:;base64,a", "data:;base64,%"]) {
    await rejects(fetch(url), TypeError, "Invalid data: URL.");
  }
  await rejects(fetch("data:,x", { signal: AbortSignal.abort() }), "AbortError");
});
