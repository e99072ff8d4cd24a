// Timers, microtasks and scheduler.wait.

import { deepEqual, equal, isPending, ok, rejects, test, throws } from "./harness.js";

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test("setTimeout returns a positive integer and passes arguments", async () => {
  const got = await new Promise((resolve) => {
    const id = setTimeout((...args) => resolve(args), 1, "a", 2);
    ok(Number.isInteger(id) && id > 0);
  });
  deepEqual(got, ["a", 2]);
});

test("timers fire in the order of their times, those of one time in the order they were made", async () => {
  const seen = [];
  const delays = [3, 1, 2, 1, 3, 0, 2, 1];
  await Promise.all(delays.map((delay, index) => new Promise((resolve) => {
    setTimeout(() => {
      seen.push(index);
      resolve();
    }, delay);
  })));
  deepEqual(seen, [5, 1, 3, 7, 2, 6, 0, 4]);
});

test("a microtask runs before a timer of 0 ms", async () => {
  const seen = [];
  const fired = new Promise((resolve) => setTimeout(() => resolve(seen.push("timer")), 0));
  queueMicrotask(() => seen.push("microtask"));
  await fired;
  deepEqual(seen, ["microtask", "timer"]);
});

test("clearTimeout stops a timer, whatever is given", async () => {
  let fired = false;
  const id = setTimeout(() => {
    fired = true;
  }, 1);
  clearTimeout(id);
  clearTimeout(id);
  clearTimeout(undefined);
  clearTimeout(null);
  clearTimeout("no");
  await wait(10);
  equal(fired, false);
});

test("setInterval repeats until it is cleared, from inside too", async () => {
  let count = 0;
  await new Promise((resolve) => {
    const id = setInterval(() => {
      count += 1;
      if (count < 3) return;
      clearInterval(id);
      resolve();
    }, 1);
  });
  await wait(10);
  equal(count, 3);
});

test("negative and absurd delays fire at once", async () => {
  await new Promise((resolve) => setTimeout(resolve, -5));
  await new Promise((resolve) => setTimeout(resolve, NaN));
  await new Promise((resolve) => setTimeout(resolve));
});

test("a callback must be a function", () => {
  throws(() => setTimeout(), TypeError);
  throws(() => setTimeout("code", 1), TypeError);
  throws(() => setInterval(null, 1), TypeError);
  throws(() => queueMicrotask(1), TypeError);
});

test("a callback's this is the global object", async () => {
  const self = await new Promise((resolve) => {
    setTimeout(function () {
      resolve(this);
    });
  });
  equal(self, globalThis);
});

test("scheduler.wait resolves", async () => {
  equal(await scheduler.wait(1), undefined);
});

test("scheduler.wait rejects when its signal aborts", async () => {
  const controller = new AbortController();
  const waiting = scheduler.wait(10_000, { signal: controller.signal });
  ok(await isPending(waiting));
  controller.abort();
  await rejects(waiting, "AbortError");
  const reason = new RangeError("mine");
  await rejects(scheduler.wait(10_000, { signal: AbortSignal.abort(reason) }), RangeError, "mine");
});
