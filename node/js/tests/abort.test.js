import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";

test("a controller's signal is one object and starts unaborted", () => {
  const controller = new AbortController();
  const { signal } = controller;
  equal(signal, controller.signal);
  deepEqual([signal.aborted, signal.reason, signal.onabort], [false, undefined, null]);
  signal.throwIfAborted();
  throws(() => new AbortSignal(), TypeError, "Illegal constructor");
  throws(() => Reflect.get(AbortSignal.prototype, "aborted", {}), TypeError);
  equal(String(signal), "[object AbortSignal]");
  equal(String(controller), "[object AbortController]");
});

test("abort fires once, with the first reason", () => {
  const controller = new AbortController();
  const events = [];
  controller.signal.addEventListener("abort", (event) => events.push([event.type, event.isTrusted, event.target === controller.signal]));
  controller.abort("first");
  controller.abort("second");
  deepEqual(events, [["abort", true, true]]);
  equal(controller.signal.reason, "first");
  throws(() => controller.signal.throwIfAborted(), "first");
});

test("the default reason is an AbortError", () => {
  const controller = new AbortController();
  controller.abort();
  const { reason } = controller.signal;
  ok(reason instanceof DOMException);
  equal(reason.name, "AbortError");
  equal(reason.code, 20);
  controller.abort(null);
  equal(controller.signal.reason, reason);
});

test("null is a reason", () => {
  const controller = new AbortController();
  controller.abort(null);
  equal(controller.signal.reason, null);
});

test("onabort runs in its place among the listeners and can be replaced", () => {
  const controller = new AbortController();
  const { signal } = controller;
  const log = [];
  signal.addEventListener("abort", () => log.push(1));
  signal.onabort = () => log.push("replaced");
  signal.addEventListener("abort", () => log.push(3));
  signal.onabort = () => log.push(2);
  equal(typeof signal.onabort, "function");
  controller.abort();
  deepEqual(log, [1, 2, 3]);
  signal.onabort = "not a function";
  equal(signal.onabort, null);
});

test("AbortSignal.abort is aborted from the start and fires nothing", () => {
  const signal = AbortSignal.abort();
  equal(signal.aborted, true);
  equal(signal.reason.name, "AbortError");
  equal(AbortSignal.abort(5).reason, 5);
});

test("AbortSignal.timeout aborts with a TimeoutError", async () => {
  const signal = AbortSignal.timeout(1);
  equal(signal.aborted, false);
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  equal(signal.reason.name, "TimeoutError");
  equal(signal.reason.code, 23);
  throws(() => AbortSignal.timeout(), TypeError);
  throws(() => AbortSignal.timeout(-1), TypeError);
  throws(() => AbortSignal.timeout(NaN), TypeError);
});

test("any follows the first of its sources", () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const signal = AbortSignal.any([a.signal, b.signal]);
  let events = 0;
  signal.onabort = () => events++;
  b.abort("b");
  a.abort("a");
  deepEqual([signal.aborted, signal.reason, events], [true, "b", 1]);
});

test("any of an aborted signal is aborted at once; of none never", () => {
  equal(AbortSignal.any([new AbortController().signal, AbortSignal.abort("r")]).reason, "r");
  equal(AbortSignal.any([]).aborted, false);
  throws(() => AbortSignal.any(), TypeError);
  throws(() => AbortSignal.any([{}]), TypeError);
  throws(() => AbortSignal.any(1), TypeError);
});

test("any of any follows the sources, and every follower has the reason before events fire", () => {
  const controller = new AbortController();
  const first = AbortSignal.any([controller.signal]);
  const second = AbortSignal.any([first]);
  const log = [];
  controller.signal.onabort = () => log.push(["source", first.aborted, second.aborted]);
  second.onabort = () => log.push("second");
  first.onabort = () => log.push("first");
  controller.abort("r");
  deepEqual(log, [["source", true, true], "first", "second"]);
  equal(second.reason, "r");
});

test("a dependent that is only listened to is not forgotten", () => {
  const controller = new AbortController();
  let fired = 0;
  (() => AbortSignal.any([controller.signal]).addEventListener("abort", () => fired++))();
  globalThis.gc?.();
  controller.abort();
  equal(fired, 1);
});

test("a listener that aborts again changes nothing", () => {
  const controller = new AbortController();
  let calls = 0;
  controller.signal.onabort = () => {
    calls++;
    controller.abort("again");
  };
  controller.abort("first");
  deepEqual([calls, controller.signal.reason], [1, "first"]);
});

test("a promise that waits for a signal can be rejected with its reason", async () => {
  const controller = new AbortController();
  const waiting = new Promise((_resolve, reject) => {
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason));
  });
  controller.abort(new RangeError("mine"));
  await rejects(waiting, RangeError);
});
