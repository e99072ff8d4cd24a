import { deepEqual, equal, ok, test, throws } from "./harness.js";

test("performance counts from the epoch and stands still", () => {
  equal(performance.timeOrigin, 0);
  equal(performance.now(), performance.now());
  equal(performance.now(), Date.now());
  ok(performance instanceof EventTarget);
  throws(() => new Performance(), TypeError, "Illegal constructor");
  throws(() => Performance.prototype.now.call({}), TypeError);
});

test("marks and measures are kept until they are cleared", () => {
  const mark = performance.mark("a", { startTime: 5, detail: "d" });
  deepEqual([mark.name, mark.entryType, mark.startTime, mark.duration, mark.detail], ["a", "mark", 5, 0, "d"]);
  performance.mark("b", { startTime: 8 });
  const measure = performance.measure("a-b", "a", "b");
  deepEqual([measure.startTime, measure.duration, measure.entryType], [5, 3, "measure"]);
  equal(performance.measure("m", { start: 1, end: 4 }).duration, 3);
  equal(performance.measure("m", { start: 1, duration: 2 }).duration, 2);
  equal(performance.getEntriesByName("a").length, 1);
  equal(performance.getEntriesByType("measure").length, 3);
  performance.clearMarks("a");
  equal(performance.getEntriesByType("mark").length, 1);
  performance.clearMarks();
  performance.clearMeasures();
  deepEqual(performance.getEntries(), []);
  throws(() => performance.measure("x", "none"), "SyntaxError");
  throws(() => performance.mark("x", { startTime: -1 }), TypeError);
});

test("navigator is that of Workers", () => {
  equal(navigator.userAgent, "Cloudflare-Workers");
  equal(navigator.hardwareConcurrency, 1);
  equal(navigator.sendBeacon("https://example.com"), false);
  equal(String(navigator), "[object Navigator]");
  throws(() => new Navigator(), TypeError, "Illegal constructor");
  throws(() => Reflect.get(Navigator.prototype, "userAgent", {}), TypeError);
});
