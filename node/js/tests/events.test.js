import { deepEqual, equal, ok, test, throws } from "./harness.js";

test("an event has what its init says", () => {
  const event = new Event("x", { bubbles: true, cancelable: 1, composed: "yes" });
  deepEqual([event.type, event.bubbles, event.cancelable, event.composed], ["x", true, true, true]);
  deepEqual([event.target, event.currentTarget, event.eventPhase], [null, null, 0]);
  equal(event.isTrusted, false);
  equal(event.timeStamp, 0);
  deepEqual(event.composedPath(), []);
  equal(Event.AT_TARGET, 2);
  equal(event.BUBBLING_PHASE, 3);
  equal(String(event), "[object Event]");
  throws(() => new Event(), TypeError);
  throws(() => Event("x"), TypeError);
  throws(() => new Event("x", 1), TypeError);
  throws(() => new Event(Symbol("s")), TypeError);
});

test("listeners run in the order they were added, capturing ones first", () => {
  const target = new EventTarget();
  const log = [];
  target.addEventListener("x", () => log.push(1));
  target.addEventListener("x", () => log.push(2), { capture: true });
  target.addEventListener("x", () => log.push(3));
  target.addEventListener("y", () => log.push("other"));
  target.dispatchEvent(new Event("x"));
  deepEqual(log, [2, 1, 3]);
});

test("a listener sees the target, itself as this, and the phase", () => {
  const target = new EventTarget();
  let seen;
  target.addEventListener("x", function (event) {
    seen = [this, event.target, event.currentTarget, event.eventPhase, event.composedPath()[0]];
  });
  const event = new Event("x");
  equal(target.dispatchEvent(event), true);
  deepEqual(seen.map((v) => v === target), [true, true, true, false, true]);
  equal(seen[3], 2);
  deepEqual([event.target === target, event.currentTarget, event.eventPhase], [true, null, 0]);
});

test("the same listener is added once for each of capture and not", () => {
  const target = new EventTarget();
  let calls = 0;
  const listener = () => calls++;
  target.addEventListener("x", listener);
  target.addEventListener("x", listener, { once: true });
  target.addEventListener("x", listener, true);
  target.dispatchEvent(new Event("x"));
  equal(calls, 2);
  target.removeEventListener("x", listener);
  target.dispatchEvent(new Event("x"));
  equal(calls, 3);
  target.removeEventListener("x", listener, { capture: true });
  target.dispatchEvent(new Event("x"));
  equal(calls, 3);
});

test("once listeners run once, even when they dispatch again", () => {
  const target = new EventTarget();
  let calls = 0;
  target.addEventListener("x", () => {
    calls++;
    target.dispatchEvent(new Event("x"));
  }, { once: true });
  target.dispatchEvent(new Event("x"));
  equal(calls, 1);
});

test("a listener added during dispatch waits for the next, one removed does not run", () => {
  const target = new EventTarget();
  const log = [];
  const removed = () => log.push("removed");
  target.addEventListener("x", () => {
    target.removeEventListener("x", removed);
    target.addEventListener("x", () => log.push("added"));
  });
  target.addEventListener("x", removed);
  target.dispatchEvent(new Event("x"));
  deepEqual(log, []);
});

test("stopImmediatePropagation stops the listeners that follow", () => {
  const target = new EventTarget();
  let calls = 0;
  target.addEventListener("x", (event) => event.stopImmediatePropagation());
  target.addEventListener("x", () => calls++);
  const event = new Event("x");
  target.dispatchEvent(event);
  equal(calls, 0);
  equal(event.cancelBubble, false);
});

test("preventDefault counts for cancelable events and not in passive listeners", () => {
  const target = new EventTarget();
  target.addEventListener("x", (event) => event.preventDefault());
  equal(target.dispatchEvent(new Event("x")), true);
  const event = new Event("x", { cancelable: true });
  equal(target.dispatchEvent(event), false);
  equal(event.defaultPrevented, true);
  equal(event.returnValue, false);
  const passive = new EventTarget();
  passive.addEventListener("x", (e) => e.preventDefault(), { passive: true });
  equal(passive.dispatchEvent(new Event("x", { cancelable: true })), true);
});

test("an object with handleEvent listens", () => {
  const target = new EventTarget();
  const listener = { handleEvent(event) { this.got = event.type; } };
  target.addEventListener("x", listener);
  target.dispatchEvent(new Event("x"));
  equal(listener.got, "x");
});

test("addEventListener takes null and refuses primitives", () => {
  const target = new EventTarget();
  target.addEventListener("x", null);
  target.addEventListener("x", undefined);
  throws(() => target.addEventListener("x", 1), TypeError);
  throws(() => target.addEventListener("x"), TypeError);
  throws(() => target.addEventListener("x", () => {}, { signal: null }), TypeError);
  throws(() => target.addEventListener("x", () => {}, { signal: {} }), TypeError);
  throws(() => EventTarget.prototype.addEventListener.call({}, "x", () => {}), TypeError);
});

test("a signal removes its listener", () => {
  const target = new EventTarget();
  const controller = new AbortController();
  let calls = 0;
  target.addEventListener("x", () => calls++, { signal: controller.signal });
  target.addEventListener("x", () => calls++, { signal: AbortSignal.abort() });
  target.dispatchEvent(new Event("x"));
  equal(calls, 1);
  controller.abort();
  target.dispatchEvent(new Event("x"));
  equal(calls, 1);
});

test("dispatchEvent takes events that are not under way", () => {
  const target = new EventTarget();
  throws(() => target.dispatchEvent({ type: "x" }), TypeError);
  throws(() => target.dispatchEvent(null), TypeError);
  let error;
  target.addEventListener("x", (event) => {
    error = throws(() => target.dispatchEvent(event), "InvalidStateError");
  });
  const event = new Event("x");
  target.dispatchEvent(event);
  ok(error);
  target.removeEventListener("x", null);
  equal(event.eventPhase, 0);
});

test("subclasses of EventTarget and Event work", () => {
  class Radio extends EventTarget {}
  class Song extends Event {
    title = "t";
  }
  const radio = new Radio();
  let got;
  radio.addEventListener("song", (event) => (got = event.title));
  radio.dispatchEvent(new Song("song"));
  equal(got, "t");
});

test("events that carry something", () => {
  equal(new CustomEvent("x", { detail: 5 }).detail, 5);
  equal(new CustomEvent("x").detail, null);
  const error = new ErrorEvent("error", { message: "m", filename: "f", lineno: 1, colno: 2, error: 7 });
  deepEqual([error.message, error.filename, error.lineno, error.colno, error.error], ["m", "f", 1, 2, 7]);
  const message = new MessageEvent("message", { data: "d", origin: "o", lastEventId: "1" });
  deepEqual([message.data, message.origin, message.lastEventId, message.source], ["d", "o", "1", null]);
  equal(new MessageEvent("message").data, null);
  const close = new CloseEvent("close", { wasClean: true, code: 1000, reason: "r" });
  deepEqual([close.wasClean, close.code, close.reason], [true, 1000, "r"]);
  const promise = Promise.resolve();
  const rejection = new PromiseRejectionEvent("unhandledrejection", { promise, reason: "r" });
  deepEqual([rejection.promise === promise, rejection.reason], [true, "r"]);
  throws(() => new PromiseRejectionEvent("x"), TypeError);
  throws(() => new PromiseRejectionEvent("x", {}), TypeError);
  ok(new CloseEvent("close") instanceof Event);
});
