// Headers: WebIDL conversions, combination, order, guards.

import { deepEqual, equal, ok, test, throws } from "./harness.js";

test("a name is found whatever its case", () => {
  const headers = new Headers({ "Content-Type": "text/plain" });
  equal(headers.get("content-type"), "text/plain");
  equal(headers.get("CONTENT-TYPE"), "text/plain");
  equal(headers.has("Content-type"), true);
  equal(headers.get("x-none"), null);
  equal(headers.has("x-none"), false);
});

test("append joins values by comma and space", () => {
  const headers = new Headers();
  headers.append("Accept", "a");
  headers.append("accept", "b");
  equal(headers.get("Accept"), "a, b");
});

test("set replaces every value in the place of the first", () => {
  const headers = new Headers([["a", "1"], ["b", "2"], ["A", "3"]]);
  headers.set("a", "4");
  deepEqual([...headers], [["a", "4"], ["b", "2"]]);
});

test("delete removes every value", () => {
  const headers = new Headers([["a", "1"], ["b", "2"], ["A", "3"]]);
  headers.delete("A");
  deepEqual([...headers], [["b", "2"]]);
  headers.delete("none");
});

test("iteration is sorted, lower-cased and combined, with Set-Cookie apart", () => {
  const headers = new Headers([["X-B", "1"], ["Set-Cookie", "a=1"], ["a", "2"], ["set-cookie", "b=2"], ["x-b", "3"]]);
  deepEqual([...headers], [["a", "2"], ["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-b", "1, 3"]]);
  deepEqual([...headers.keys()], ["a", "set-cookie", "set-cookie", "x-b"]);
  deepEqual([...headers.values()], ["2", "a=1", "b=2", "1, 3"]);
});

test("getSetCookie lists cookies one by one", () => {
  const headers = new Headers();
  deepEqual(headers.getSetCookie(), []);
  headers.append("Set-Cookie", "a=1, x");
  headers.append("Set-Cookie", "b=2");
  deepEqual(headers.getSetCookie(), ["a=1, x", "b=2"]);
  deepEqual(headers.getAll("set-cookie"), ["a=1, x", "b=2"]);
  equal(headers.get("set-cookie"), "a=1, x, b=2");
  throws(() => headers.getAll("accept"), TypeError, "Set-Cookie");
});

test("forEach gives value, name, headers and honours this", () => {
  const seen = [];
  const me = {};
  const headers = new Headers({ b: "2", a: "1" });
  headers.forEach(function (value, name, all) {
    seen.push([value, name, all === headers, this === me]);
  }, me);
  deepEqual(seen, [["1", "a", true, true], ["2", "b", true, true]]);
  throws(() => headers.forEach(), TypeError);
});

test("an iterator sees what is appended while it runs", () => {
  const headers = new Headers({ a: "1" });
  const iterator = headers.entries();
  equal(iterator.next().value[0], "a");
  headers.append("b", "2");
  equal(iterator.next().value[0], "b");
  equal(iterator.next().done, true);
});

test("an iterator sees what is replaced while it runs, however many there are", () => {
  const headers = new Headers({ a: "1", b: "2" });
  const iterator = headers.entries();
  deepEqual(iterator.next().value, ["a", "1"]);
  headers.set("b", "3");
  deepEqual(iterator.next().value, ["b", "3"]);
  headers.delete("b");
  headers.append("c", "4");
  equal(iterator.next().done, true);
  headers.set("d", "5");
  deepEqual(iterator.next().value, ["d", "5"]);
});

test("the iterator is an iterator object of its own kind", () => {
  const iterator = new Headers().entries();
  equal(Object.prototype.toString.call(iterator), "[object Headers Iterator]");
  equal(iterator[Symbol.iterator](), iterator);
  equal(Headers.prototype[Symbol.iterator], Headers.prototype.entries);
});

test("values lose whitespace at their ends", () => {
  const headers = new Headers({ a: " \t x y \r\n" });
  equal(headers.get("a"), "x y");
});

test("a bad name is a TypeError", () => {
  for (const name of ["", "a b", "a\n", "é", "a:", "(", "a\0"]) {
    throws(() => new Headers([[name, "x"]]), TypeError, "Invalid header name.");
    throws(() => new Headers().get(name), TypeError, "Invalid header name.");
    throws(() => new Headers().has(name), TypeError);
    throws(() => new Headers().delete(name), TypeError);
    throws(() => new Headers().set(name, "x"), TypeError);
    throws(() => new Headers().append(name, "x"), TypeError);
  }
});

test("a bad value is a TypeError", () => {
  for (const value of ["a\nb", "a\0", "\u0100\n\u0100", "a\rb"]) {
    throws(() => new Headers({ a: value }), TypeError, "Invalid header value.");
    throws(() => new Headers().append("a", value), TypeError);
  }
  equal(new Headers({ a: "\xe9" }).get("a"), "\xe9");
});

test("a value may have any characters, as on Cloudflare", () => {
  equal(new Headers({ a: " \u201cIt\u2019s\u201d \u{1f600}\t" }).get("a"), "\u201cIt\u2019s\u201d \u{1f600}");
  equal(new Headers({ a: "lone \ud800" }).get("a"), "lone \ufffd");
});

// The engine keeps such a piece as it is in the whole: 16 bits a character.
test("a long value may be cut out of a text with other characters", () => {
  for (const character of ["a", "\xe9"]) {
    const value = character.repeat(3000);
    const page = `\u201c ${value}\t\u201d`;
    const piece = page.slice(1, -1);
    equal(new Headers({ a: piece }).get("a"), value);
    equal(new Headers([["a", `b${piece}`]]).get("a"), `b ${value}`);
    const headers = new Headers();
    headers.append("a", piece);
    headers.set("b", piece);
    deepEqual([headers.get("a"), headers.get("b")], [value, value]);
    equal(new Headers({ a: page }).get("a"), page);
    for (const bad of ["\n", "\0", "\r"]) {
      const broken = `\u201c${value}${bad}${value}\u201d`.slice(1, -1);
      throws(() => new Headers({ a: broken }), TypeError, "Invalid header value.");
    }
  }
});

test("names, methods, URLs and status texts may be cut out of such a text, too", () => {
  const page = `\u201c${"a".repeat(3000)}`;
  const piece = page.slice(1);
  equal(new Headers([[page.slice(1, 257), "x"]]).get("A".repeat(256)), "x");
  equal(new Request(`https://a.example/${piece}`, { method: piece }).method, piece);
  equal(new Request(`https://a.example/?${piece}`).url, `https://a.example/?${"a".repeat(3000)}`);
  equal(new Response("", { statusText: piece }).statusText, piece);
});

test("values are converted to strings", () => {
  const headers = new Headers({ a: 1, b: null, c: undefined, d: true });
  equal(headers.get("a"), "1");
  equal(headers.get("b"), "null");
  equal(headers.get("c"), "undefined");
  equal(headers.get("d"), "true");
  throws(() => headers.set("a", Symbol("x")), TypeError);
});

test("init takes records, sequences, iterables and other Headers", () => {
  equal(new Headers(undefined).get("a"), null);
  equal(new Headers({}).get("a"), null);
  equal(new Headers([["a", "1"]]).get("a"), "1");
  equal(new Headers(new Map([["a", "1"]])).get("a"), "1");
  const source = new Headers({ a: "1" });
  const copy = new Headers(source);
  source.set("a", "2");
  equal(copy.get("a"), "1");
});

test("init refuses what is neither record nor sequence of pairs", () => {
  for (const init of [null, 1, "a", true]) throws(() => new Headers(init), TypeError);
  throws(() => new Headers(["a", "b"]), TypeError);
  throws(() => new Headers([["a"]]), TypeError);
  throws(() => new Headers([["a", "b", "c"]]), TypeError);
});

test("missing arguments are TypeErrors", () => {
  const headers = new Headers();
  throws(() => headers.append("a"), TypeError);
  throws(() => headers.set("a"), TypeError);
  throws(() => headers.get(), TypeError);
  throws(() => headers.has(), TypeError);
  throws(() => headers.delete(), TypeError);
});

test("methods refuse a foreign this", () => {
  throws(() => Headers.prototype.get.call({}, "a"), TypeError);
  throws(() => Headers.prototype.append.call(new Map(), "a", "b"), TypeError);
  throws(() => Headers(), TypeError);
});

test("the interface looks like a platform interface", () => {
  equal(Object.prototype.toString.call(new Headers()), "[object Headers]");
  equal(Headers.length, 0);
  equal(Headers.name, "Headers");
  deepEqual(Object.keys(new Headers({ a: "1" })), []);
  ok(Object.getOwnPropertyDescriptor(Headers.prototype, "get").enumerable);
  ok(!Object.getOwnPropertyDescriptor(globalThis, "Headers").enumerable);
  class Mine extends Headers {
    answer() {
      return 42;
    }
  }
  const mine = new Mine({ a: "1" });
  equal(mine.get("a"), "1");
  equal(mine.answer(), 42);
  ok(mine instanceof Headers);
});

test("headers of redirects and errors can not be changed", () => {
  const { headers } = Response.redirect("https://a.example/");
  throws(() => headers.set("a", "b"), TypeError, "Can't modify immutable headers.");
  throws(() => headers.append("a", "b"), TypeError, "immutable");
  throws(() => headers.delete("location"), TypeError, "immutable");
  throws(() => Response.error().headers.set("a", "b"), TypeError, "immutable");
  const copy = new Headers(headers);
  copy.set("a", "b");
  equal(copy.get("location"), "https://a.example/");
});
