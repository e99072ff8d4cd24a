import { deepEqual, equal, ok, test, throws } from "./harness.js";

const pairs = (init) => [...new URLSearchParams(init)];

test("text is parsed as a form", () => {
  deepEqual(pairs("a=1&b=2&a=3"), [["a", "1"], ["b", "2"], ["a", "3"]]);
  deepEqual(pairs("?a=1"), [["a", "1"]]);
  deepEqual(pairs("??a=1"), [["?a", "1"]]);
  deepEqual(pairs("a&b=&=c&&d=e=f"), [["a", ""], ["b", ""], ["", "c"], ["d", "e=f"]]);
  deepEqual(pairs("a+b=c+d"), [["a b", "c d"]]);
  deepEqual(pairs("a%20b=%26&%C3%A9=%e2%82%ac"), [["a b", "&"], ["é", "€"]]);
  deepEqual(pairs(""), []);
  deepEqual(pairs("?"), []);
  deepEqual(pairs(undefined), []);
  deepEqual(pairs(null), [["null", ""]]);
  deepEqual(pairs(5), [["5", ""]]);
});

test("percent signs that are not escapes stay, bytes that are not UTF-8 become U+FFFD", () => {
  deepEqual(pairs("a=%"), [["a", "%"]]);
  deepEqual(pairs("a=100%&b=%zz&c=%2"), [["a", "100%"], ["b", "%zz"], ["c", "%2"]]);
  deepEqual(pairs("a=%ff%41"), [["a", "\ufffdA"]]);
  deepEqual(pairs("a=%e2%82x"), [["a", "\ufffdx"]]);
  deepEqual(pairs("a=é%"), [["a", "é%"]]);
  deepEqual(pairs("a=%EF%BB%BFx"), [["a", "\ufeffx"]]);
  deepEqual(pairs("a=%EF%BB%BF%"), [["a", "\ufeff%"]]);
  deepEqual(pairs("a=\ud800"), [["a", "\ufffd"]]);
});

test("lists of pairs, records and other params are taken", () => {
  deepEqual(pairs([["a", 1], ["b", "x"]]), [["a", "1"], ["b", "x"]]);
  deepEqual(pairs(new Map([["a", "1"]])), [["a", "1"]]);
  deepEqual(pairs({ a: 1, b: undefined }), [["a", "1"], ["b", "undefined"]]);
  deepEqual(pairs(new URLSearchParams("x=1&x=2")), [["x", "1"], ["x", "2"]]);
  deepEqual(pairs([new Set(["k", "v"])]), [["k", "v"]]);
  deepEqual(pairs({}), []);
  deepEqual(pairs({ "a\ud800": "1", "a\ufffd": "2" }), [["a\ufffd", "2"]]);
  throws(() => new URLSearchParams([["a"]]), TypeError);
  throws(() => new URLSearchParams([["a", "b", "c"]]), TypeError);
  throws(() => new URLSearchParams([1]), TypeError);
  throws(() => new URLSearchParams({ a: Symbol("s") }), TypeError);
});

test("text form escapes what a form escapes", () => {
  const text = (value) => new URLSearchParams([["k", value]]).toString().slice(2);
  equal(text("a b"), "a+b");
  equal(text("AZaz09*-._"), "AZaz09*-._");
  equal(text("!'()~"), "%21%27%28%29%7E");
  equal(text("&=+%#?/"), "%26%3D%2B%25%23%3F%2F");
  equal(text("é€😀"), "%C3%A9%E2%82%AC%F0%9F%98%80");
  equal(text("\r\n"), "%0D%0A");
  equal(text("\ud800"), "%EF%BF%BD");
  equal(new URLSearchParams("a&b=").toString(), "a=&b=");
});

test("get, getAll and has", () => {
  const params = new URLSearchParams("a=1&b=2&a=3");
  equal(params.size, 3);
  equal(params.get("a"), "1");
  equal(params.get("none"), null);
  deepEqual(params.getAll("a"), ["1", "3"]);
  deepEqual(params.getAll("none"), []);
  deepEqual([params.has("a"), params.has("c"), params.has("a", "3"), params.has("a", "2"), params.has("a", undefined)], [true, false, true, false, true]);
});

test("append, set and delete", () => {
  const params = new URLSearchParams("a=1&b=2&a=3");
  params.append("c", null);
  params.set("a", "x");
  equal(params.toString(), "a=x&b=2&c=null");
  params.set("new", "");
  params.delete("b");
  params.append("a", "y");
  params.delete("a", "x");
  equal(params.toString(), "c=null&new=&a=y");
  params.delete("a", undefined);
  equal(params.toString(), "c=null&new=");
  throws(() => params.append("a"), TypeError);
  throws(() => params.set("a"), TypeError);
  throws(() => params.get(), TypeError);
  throws(() => params.delete(), TypeError);
});

test("sort is by code units and stable", () => {
  const params = new URLSearchParams("z=b&a=b&z=a&a=a&\ufffc=1&\ud83c\udf08=2");
  params.sort();
  equal(params.toString(), "a=b&a=a&z=b&z=a&%F0%9F%8C%88=2&%EF%BF%BC=1");
});

test("iteration is live", () => {
  const params = new URLSearchParams("a=1&b=2&c=3");
  const seen = [];
  for (const [name] of params) {
    seen.push(name);
    params.delete(name);
  }
  deepEqual(seen, ["a", "c"]);
  const growing = new URLSearchParams("a=1");
  let count = 0;
  growing.forEach(() => {
    if (count++ < 3) growing.append("b", "");
  });
  equal(count, 4);
});

test("keys, values, entries and forEach", () => {
  const params = new URLSearchParams("a=1&b=2");
  deepEqual([...params.keys()], ["a", "b"]);
  deepEqual([...params.values()], ["1", "2"]);
  deepEqual([...params.entries()], [["a", "1"], ["b", "2"]]);
  equal(URLSearchParams.prototype[Symbol.iterator], URLSearchParams.prototype.entries);
  const iterator = params[Symbol.iterator]();
  equal(iterator[Symbol.iterator](), iterator);
  equal(String(iterator), "[object URLSearchParams Iterator]");
  deepEqual(Array.from(iterator, (pair) => pair[0]), ["a", "b"]);
  const self = {};
  params.forEach(function (value, name, all) {
    equal(this, self);
    equal(params.get(name), value);
    equal(all, params);
  }, self);
  throws(() => params.forEach(), TypeError);
  throws(() => params.forEach(1), TypeError);
  throws(() => URLSearchParams.prototype.get.call({}, "a"), TypeError);
  throws(() => URLSearchParams.prototype.keys.call({}), TypeError);
  ok(Object.getOwnPropertyDescriptor(URLSearchParams.prototype, "append").enumerable);
});
