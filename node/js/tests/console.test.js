// What the console writes: values, directives, bounds.

import { equal, ok, test } from "./harness.js";
import { format } from "skerry:internal/console.js";
import { inspect } from "skerry:internal/inspect.js";

const cases = [
  ["text", "text"],
  [1, "1"],
  [-0, "-0"],
  [10n, "10n"],
  [true, "true"],
  [null, "null"],
  [undefined, "undefined"],
  [Symbol("a"), "Symbol(a)"],
  [{}, "{}"],
  [[], "[]"],
  [{ a: 1, "b-c": "x" }, "{ a: 1, 'b-c': 'x' }"],
  [[1, "a", null], "[ 1, 'a', null ]"],
  [[1, , 3], "[ 1, <1 empty item>, 3 ]"],
  [{ a: { b: { c: {} } } }, "{ a: { b: { c: {} } } }"],
  [{ a: { b: { c: { d: 1 } } } }, "{ a: { b: { c: [Object] } } }"],
  [new Map([["a", { b: 1 }]]), "Map(1) { 'a' => { b: 1 } }"],
  [new Set([1, "b"]), "Set(2) { 1, 'b' }"],
  [new Date(0), "1970-01-01T00:00:00.000Z"],
  [new Date(NaN), "Invalid Date"],
  [/a+/g, "/a+/g"],
  [function named() {}, "[Function: named]"],
  [() => {}, "[Function (anonymous)]"],
  [async function later() {}, "[AsyncFunction: later]"],
  [class A {}, "[class A]"],
  [class B extends Array {}, "[class B extends Array]"],
  [new (class Point { x = 1; })(), "Point { x: 1 }"],
  [Object.create(null), "[Object: null prototype] {}"],
  [new Uint8Array([1, 2]), "Uint8Array(2) [ 1, 2 ]"],
  [new Uint8Array([255]).buffer, "ArrayBuffer { [Uint8Contents]: <ff>, byteLength: 1 }"],
  [{ get a() { return 1; }, set b(v) {} }, "{ a: [Getter], b: [Setter] }"],
  [{ [Symbol("s")]: 1 }, "{ [Symbol(s)]: 1 }"],
  [new Headers({ a: "b" }), "Headers { 'a' => 'b' }"],
  [new WeakMap(), "WeakMap { <items unknown> }"],
  [Object("x"), "[String: 'x']"],
  ["it's", "it's"],
  [["it's"], '[ "it\'s" ]'],
  [["a\nb"], "[ 'a\\nb' ]"],
];

for (const [value, expected] of cases) {
  test(`the console shows ${expected}`, () => equal(format([value]), expected));
}

test("arguments are joined by spaces", () => equal(format(["a", 1, { b: 2 }]), "a 1 { b: 2 }"));

test("directives are filled in", () => {
  equal(format(["%s is %d years and %i, %f", "x", 4.5, 4.5, "1.5"]), "x is 4.5 years and 4, 1.5");
  equal(format(["%o %O", { a: 1 }, [1]]), "{ a: 1 } [ 1 ]");
  equal(format(["%j", { a: 1 }]), '{"a":1}');
  equal(format(["100%% %s", "x"]), "100% x");
  equal(format(["%c red", "color: red"]), " red");
  equal(format(["%s"]), "%s");
  equal(format(["%s %s", "a"]), "a %s");
  equal(format(["%d", {}]), "NaN");
  equal(format(["a", "%s"]), "a %s");
  equal(format(["%s rest", "a", "b"]), "a rest b");
});

test("cycles are said", () => {
  const loop = { a: 1 };
  loop.self = loop;
  equal(inspect(loop), "{ a: 1, self: [Circular] }");
});

test("errors show name, message, cause and properties", () => {
  const error = Object.assign(new TypeError("bad", { cause: new Error("why") }), { code: 5 });
  const text = inspect(error);
  ok(text.startsWith("TypeError: bad"));
  ok(text.includes("code: 5"));
  ok(text.includes("[cause]: Error: why") || text.includes("[cause]: [Error: why]"));
});

test("a platform object shows what its getters say", () => {
  const text = inspect(new Response("x", { status: 201 }));
  ok(text.startsWith("Response {") && text.includes("status: 201"));
});

test("long lists, strings and outputs are cut", () => {
  const list = inspect(Array.from({ length: 1000 }, (_, i) => i));
  ok(list.includes("... 900 more items"));
  ok(inspect("x".repeat(100_000)).length < 17_000);
  ok(inspect({ a: Array.from({ length: 100 }, () => "y".repeat(1000)) }).length < 40_000);
});

test("values that fight back are shown anyway", () => {
  const hostile = new Proxy({}, { get() { throw new Error("no"); }, ownKeys() { throw new Error("no"); } });
  equal(typeof inspect(hostile), "string");
  equal(typeof format(["%s %o", hostile, hostile]), "string");
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  equal(typeof inspect(proxy), "string");
});

test("deep nesting does not overflow", () => {
  let deep = {};
  for (let i = 0; i < 100_000; i += 1) deep = { deep };
  equal(inspect(deep), "{ deep: { deep: { deep: [Object] } } }");
});

test("every method of the console can be called", () => {
  for (const name of ["debug", "info", "log", "warn", "error", "trace", "dir", "dirxml", "table", "group", "groupEnd", "count"]) {
    equal(console[name]("x"), undefined);
  }
  console.groupEnd();
  console.assert(true, "never");
  console.assert(false, "said %s", "so");
  console.time("t");
  console.timeLog("t", 1);
  console.timeEnd("t");
  console.countReset("x");
  console.table([{ a: 1, b: "x" }, { a: 2 }]);
  equal(Object.prototype.toString.call(console), "[object console]");
});
