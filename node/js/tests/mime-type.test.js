// MIME types, by the examples of the MIME Sniffing and Fetch standards.

import { deepEqual, equal, ok, test } from "./harness.js";
import { extractMimeType, parseMimeType, serializeMimeType } from "skerry:internal/mime-type.js";

const written = (text) => {
  const type = parseMimeType(text);
  return type === undefined ? undefined : serializeMimeType(type);
};

test("a type is read and written in its plainest form", () => {
  equal(written("text/html"), "text/html");
  equal(written(" \t\r\nTEXT/Html \t;CHARSET=UTF-8 \n"), "text/html;charset=UTF-8");
  equal(written("text/html;charset=gbk;charset=utf-8"), "text/html;charset=gbk");
  equal(written("text/html;a;b=;=c;d = e;f=g"), "text/html;f=g");
  equal(written("text/html;x= y z "), 'text/html;x=" y z"');
  equal(written("text/html;x=(y"), 'text/html;x="(y"');
  equal(written("text/html;x=\u00ff"), 'text/html;x="\u00ff"');
  equal(written("text/html;x=\u0100;y=\0"), "text/html");
});

test("a quoted value ends at its quote, or with the text", () => {
  equal(written('a/b;x="c;d=e";f=g'), 'a/b;x="c;d=e";f=g');
  equal(written('a/b;x="plain"rest;f=g'), "a/b;x=plain;f=g");
  equal(written(String.raw`a/b;x="\"\\\c"`), String.raw`a/b;x="\"\\c"`);
  equal(written('a/b;x="open'), "a/b;x=open");
  equal(written('a/b;x="open\\'), String.raw`a/b;x="open\\"`);
  equal(written('a/b;x=""'), 'a/b;x=""');
});

test("what is no type is undefined", () => {
  for (const text of ["", " ", "a", "a/", "/b", "a/b/c", "a b/c", "a/b c", "\u00e9/b", ";a/b", "a/b,c"]) {
    equal(parseMimeType(text), undefined, text);
  }
});

test("of several types the last counts, with the charset of one like it", () => {
  const extracted = (text) => {
    const type = extractMimeType(text);
    return type === undefined ? undefined : serializeMimeType(type);
  };
  equal(extracted("text/plain;charset=gbk, text/html"), "text/html");
  equal(extracted("text/html;charset=gbk;a=b, text/html;x=y"), "text/html;x=y;charset=gbk");
  equal(extracted("text/html;charset=1, text/html;charset=2, text/html"), "text/html;charset=1");
  equal(extracted("text/html;charset=gbk, x/x, text/html;x=y"), "text/html;x=y");
  equal(extracted("text/html, */*, cannot parse"), "text/html");
  equal(extracted('text/html;a="b, c/d"'), 'text/html;a="b, c/d"');
  equal(extracted(",,"), undefined);
  equal(extracted(""), undefined);
});

test("a long text is read in time that grows with it", () => {
  const long = " ".repeat(100_000);
  equal(written(`a/b;x=${long}y`).length, "a/b;x=\"\"y".length + long.length);
  equal(written(`a/b${long}c`), undefined);
  ok(extractMimeType(`${'"'.repeat(100_001)}`) === undefined);
  deepEqual([...parseMimeType(`a/b${";x".repeat(50_000)}`).parameters], []);
});
