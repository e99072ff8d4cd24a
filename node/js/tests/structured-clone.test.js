import { deepEqual, equal, ok, test, throws } from "./harness.js";

test("primitives are themselves", () => {
  for (const value of [undefined, null, true, 0, -0, NaN, 1n, "text", Infinity]) ok(Object.is(structuredClone(value), value));
  throws(() => structuredClone(), TypeError);
});

test("plain objects and arrays are copied with their own enumerable properties", () => {
  const value = { a: [1, { b: null }], "": "", 5: "five", ["__proto__"]: "own" };
  const copy = structuredClone(value);
  deepEqual(copy, value);
  ok(copy !== value && copy.a !== value.a && copy.a[1] !== value.a[1]);
  equal(Object.getOwnPropertyDescriptor(copy, "__proto__").value, "own");
  const inherited = structuredClone(Object.create({ hidden: 1 }, { seen: { value: 1, enumerable: true }, not: { value: 2 } }));
  deepEqual(inherited, { seen: 1 });
  deepEqual(structuredClone({ get computed() { return 7; }, [Symbol("s")]: 1 }), { computed: 7 });
  equal(Object.getPrototypeOf(structuredClone(Object.create(null))), Object.prototype);
});

test("arrays keep their length, holes and extra properties", () => {
  const sparse = [1, , 3];
  sparse.length = 5;
  sparse.extra = "x";
  const copy = structuredClone(sparse);
  equal(copy.length, 5);
  ok(!(1 in copy));
  equal(copy.extra, "x");
});

test("instances of workers' classes become plain objects", () => {
  class Point {
    x = 1;
    #hidden = 2;
    get y() { return this.#hidden; }
  }
  const copy = structuredClone(new Point());
  equal(Object.getPrototypeOf(copy), Object.prototype);
  deepEqual(copy, { x: 1 });
});

test("cycles and shared references keep their shape", () => {
  const value = { list: [] };
  value.self = value;
  value.list.push(value.list, value);
  const copy = structuredClone(value);
  equal(copy.self, copy);
  equal(copy.list[0], copy.list);
  equal(copy.list[1], copy);
  const shared = {};
  const [a, b] = structuredClone([shared, shared]);
  equal(a, b);
  const map = new Map();
  map.set(map, map);
  const cloned = structuredClone(map);
  equal(cloned.get(cloned), cloned);
});

test("dates, regular expressions and boxed primitives", () => {
  equal(structuredClone(new Date(5)).getTime(), 5);
  ok(Number.isNaN(structuredClone(new Date(NaN)).getTime()));
  const pattern = /a+/giu;
  pattern.lastIndex = 3;
  const copy = structuredClone(pattern);
  deepEqual([copy.source, copy.flags, copy.lastIndex], ["a+", "giu", 0]);
  for (const boxed of [Object(true), Object(3), Object("s"), Object(4n)]) {
    const cloned = structuredClone(boxed);
    equal(typeof cloned, "object");
    equal(cloned.valueOf(), boxed.valueOf());
    ok(cloned !== boxed);
  }
});

test("maps and sets, with their order", () => {
  const map = new Map([["a", { n: 1 }], [{ k: 1 }, new Set([1, "x"])]]);
  const copy = structuredClone(map);
  deepEqual([...copy.keys()], ["a", { k: 1 }]);
  deepEqual([...copy.values()], [{ n: 1 }, new Set([1, "x"])]);
  map.extra = 1;
  equal(structuredClone(map).extra, undefined);
});

test("errors keep name, message, stack and cause", () => {
  const error = new RangeError("bad", { cause: { why: 1 } });
  const copy = structuredClone(error);
  ok(copy instanceof RangeError);
  deepEqual([copy.name, copy.message, copy.stack === error.stack], ["RangeError", "bad", true]);
  deepEqual(copy.cause, { why: 1 });
  const odd = new Error("x");
  odd.name = "Custom";
  equal(structuredClone(odd).name, "Error");
  equal(structuredClone(odd).constructor, Error);
  ok(!Object.hasOwn(structuredClone(new Error()), "cause"));
  const dom = structuredClone(new DOMException("m", "DataError"));
  ok(dom instanceof DOMException);
  deepEqual([dom.name, dom.message], ["DataError", "m"]);
});

test("buffers and views are copied, views of one buffer still share it", () => {
  const buffer = new Uint8Array([1, 2, 3, 4]).buffer;
  const value = { buffer, a: new Uint8Array(buffer, 1, 2), b: new Uint16Array(buffer), d: new DataView(buffer, 2) };
  const copy = structuredClone(value);
  ok(copy.buffer !== buffer);
  deepEqual([...new Uint8Array(copy.buffer)], [1, 2, 3, 4]);
  equal(copy.a.buffer, copy.buffer);
  equal(copy.b.buffer, copy.buffer);
  deepEqual([copy.a.byteOffset, copy.a.length, copy.d.byteOffset, copy.d.byteLength], [1, 2, 2, 2]);
  equal(buffer.byteLength, 4);
});

test("a transferred buffer moves, and views on it follow", () => {
  const buffer = new Uint8Array([1, 2, 3]).buffer;
  const moved = structuredClone(buffer, { transfer: [buffer] });
  equal(buffer.byteLength, 0);
  deepEqual([...new Uint8Array(moved)], [1, 2, 3]);
  const bytes = new Uint8Array([4, 5]);
  const copy = structuredClone({ list: [bytes], set: new Set([bytes.buffer]) }, { transfer: [bytes.buffer] });
  deepEqual([...copy.list[0]], [4, 5]);
  equal([...copy.set][0], copy.list[0].buffer);
  equal(bytes.length, 0);
});

test("what can not be transferred is a DataCloneError", () => {
  const buffer = new ArrayBuffer(1);
  throws(() => structuredClone(1, { transfer: [buffer, buffer] }), "DataCloneError");
  throws(() => structuredClone(1, { transfer: [{}] }), "DataCloneError");
  throws(() => structuredClone(1, { transfer: [new Uint8Array(1)] }), "DataCloneError");
  throws(() => structuredClone(1, { transfer: 1 }), TypeError);
  structuredClone(1, { transfer: [buffer] });
  throws(() => structuredClone(1, { transfer: [buffer] }), "DataCloneError");
  throws(() => structuredClone(buffer), "DataCloneError");
  const kept = new ArrayBuffer(2);
  throws(() => structuredClone(() => {}, { transfer: [kept] }), "DataCloneError");
  equal(kept.byteLength, 2);
});

test("functions, symbols and objects of the platform are DataCloneErrors", () => {
  const bad = [
    () => {}, Symbol("s"), Object(Symbol("s")), new WeakMap(), new WeakSet(), new WeakRef({}), Promise.resolve(),
    new ReadableStream(), new URL("https://a"), new EventTarget(), new AbortController(), new Headers(), new Event("x"),
  ];
  for (const value of bad) {
    throws(() => structuredClone(value), "DataCloneError");
    throws(() => structuredClone({ nested: [value] }), "DataCloneError");
  }
});

test("an exception of a getter leaves structuredClone", () => {
  const reason = new Error("getter");
  throws(() => structuredClone({ get bad() { throw reason; } }), reason);
});

test("deep structures fail with a RangeError at most", () => {
  let value = null;
  for (let depth = 0; depth < 200; depth++) value = [value];
  let copy = structuredClone(value);
  for (let depth = 0; depth < 200; depth++) copy = copy[0];
  equal(copy, null);
});

test("blobs are cloned", async () => {
  const blob = new Blob(["hello"], { type: "text/plain" });
  const copy = structuredClone({ blob }).blob;
  ok(copy instanceof Blob && copy !== blob);
  deepEqual([await copy.text(), copy.type], ["hello", "text/plain"]);
});
