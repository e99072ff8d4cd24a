// `data:` URLs, by the examples of the Fetch standard and of web-platform-tests.

import { deepEqual, equal, test } from "./harness.js";
import { parseDataUrl } from "skerry:internal/data-url.js";

const PLAIN = "text/plain;charset=US-ASCII";

const read = (rest) => {
  const data = parseDataUrl(`data:${rest}`);
  return data === undefined ? undefined : [data.type, String.fromCharCode(...data.bytes)];
};

test("a type comes before the comma, percent-encoded bytes after it", () => {
  deepEqual(read("text/html,a,b"), ["text/html", "a,b"]);
  deepEqual(read(" Text/HTML ;Charset=x ,%3Cb%3e%00%ff"), ["text/html;charset=x", "<b>\0\xff"]);
  deepEqual(read("a/b,%,%4,%zz%25"), ["a/b", "%,%4,%zz%"]);
  deepEqual(read("a/b,"), ["a/b", ""]);
});

test("without a type it is text", () => {
  deepEqual(read(",x"), [PLAIN, "x"]);
  deepEqual(read("nothing,x"), [PLAIN, "x"]);
  deepEqual(read(";charset=utf-8,x"), ["text/plain;charset=utf-8", "x"]);
  deepEqual(read(";x=y;base64,WA"), ["text/plain;x=y", "X"]);
});

test("base64 is forgiving", () => {
  for (const rest of [";base64,WA==", ";base64,WA", ";BASE64,W%20A%0A=%09=", "; base64 ,WA", ";  base64,%57%41"]) {
    deepEqual(read(rest), [PLAIN, "X"], rest);
  }
  deepEqual(read(";base64;x,WA"), ["text/plain", "WA"]);
  deepEqual(read("base64,WA"), [PLAIN, "WA"]);
  for (const bad of ["W", "WA=", "WA===", "W=A=", "_-__", "%EF%BB%BFWA==", "%C3%A9A="]) {
    equal(read(`;base64,${bad}`), undefined, bad);
  }
});

test("what has no comma is malformed", () => equal(read("text/plain"), undefined));
