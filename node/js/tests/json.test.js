// JSON.stringify: what takes the short way (js/engine/json.c) says the same as what takes the engine's own.

import { deepEqual, equal, test, throws } from "./harness.js";

// A replacer makes the engine go its own way.
const longWay = (value) => JSON.stringify(value, (_key, inner) => inner);

function same(value) {
  equal(JSON.stringify(value), longWay(value));
}

class Point {
  #hidden = 1;
  constructor() {
    this.x = 1;
  }
  get shown() {
    return this.#hidden;
  }
}

test("plain data is the same either way", () => {
  for (const value of [
    {}, [], [[]], { a: {} }, { a: [1, -2, 0, -0, 2147483647, -2147483648, 4294967296, 0.1, 1e21, 1e-7] },
    { s: "", quote: '"', back: "\\", line: "\n\t\u0001\u007f", latin: "gr\u00fc\u00dfe", wide: "\u20ac", pair: "\u{1f600}", lone: "\ud800" },
    { 'key "with" quotes': 1, "gr\u00fc\u00dfe": 2, "\u20ac": 3, "": 4 },
    [true, false, null, undefined, NaN, Infinity], { a: undefined, b: null, c: undefined }, { a: 1, [Symbol("s")]: 2 },
    new Point(), Object.create(null), Object.create({ inherited: 1 }), Object.freeze({ a: [1] }),
  ]) {
    same(value);
  }
});

test("a string that is still a rope is the same either way", () => {
  let text = "";
  for (let i = 0; i < 3000; i++) text += `${i},`;
  same({ text });
});

test("indices come first, in ascending order", () => {
  const value = { b: 1, 10: 2, a: 3, 2: 4, "-1": 5, "01": 6, 4294967294: 7, 4294967295: 8 };
  same(value);
  equal(JSON.stringify({ b: 1, 2: 4, 1: 5 }), '{"1":5,"2":4,"b":1}');
});

test("what is deleted, hidden or grown afterwards is the same either way", () => {
  const value = { a: 1, b: 2, c: 3 };
  delete value.b;
  Object.defineProperty(value, "hidden", { value: 1, enumerable: false });
  value.d = 4;
  same(value);
  const holes = [1, , 3];
  holes.length = 5;
  same(holes);
  const extra = [1];
  extra.name = "not an element";
  same(extra);
});

test("code that belongs to a value runs, once and in order", () => {
  const seen = [];
  const value = {
    get a() {
      seen.push("a");
      return 1;
    },
    b: {
      toJSON(key) {
        seen.push(key);
        return "b";
      },
    },
  };
  equal(JSON.stringify({ first: 1, value }), '{"first":1,"value":{"a":1,"b":"b"}}');
  deepEqual(seen, ["a", "b"]);
});

test("a toJSON of a prototype counts", () => {
  equal(JSON.stringify({ at: new Date(0) }), '{"at":"1970-01-01T00:00:00.000Z"}');
  Object.prototype.toJSON = () => "everything";
  try {
    equal(JSON.stringify({ a: [1] }), '"everything"');
  } finally {
    delete Object.prototype.toJSON;
  }
  Array.prototype.toJSON = () => "lists";
  try {
    equal(JSON.stringify({ a: [1] }), '{"a":"lists"}');
  } finally {
    delete Array.prototype.toJSON;
  }
});

test("other objects are the same either way", () => {
  for (const value of [
    new Map([[1, 2]]), new Proxy({ a: 1 }, {}), new Proxy([1, 2], {}), [new String("s"), new Number(1), new Boolean(false)],
    { f() {}, s: Symbol("s"), n: new Uint8Array([1, 2]) }, [() => {}], new Error("e"), (function () { return arguments; })(1, 2),
  ]) {
    same(value);
  }
});

test("deep and circular values are refused or written as ever", () => {
  let deep = "end";
  for (let i = 0; i < 100; i++) deep = i % 2 ? [deep] : { deep };
  same(deep);
  const circle = { a: [] };
  circle.a.push(circle);
  throws(() => JSON.stringify(circle), TypeError);
  const shared = { x: 1 };
  same([shared, { shared }, shared]);
});

test("a value that can not be written throws", () => {
  throws(() => JSON.stringify({ n: 1n }), TypeError);
  throws(() => JSON.stringify({ get a() { throw new RangeError("mine"); } }), RangeError);
});
