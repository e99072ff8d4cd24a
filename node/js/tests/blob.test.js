// Blob and File.

import { deepEqual, equal, ok, test, throws } from "./harness.js";

test("parts of every kind are joined", async () => {
  const blob = new Blob(["a", new Uint8Array([98]), new Uint8Array([99]).buffer, new Blob(["d"]), 1, { toString: () => "o" }]);
  equal(await blob.text(), "abcd1o");
  equal(blob.size, 6);
  equal(blob.type, "");
});

test("type is lower-cased, and dropped when it is not ASCII", () => {
  equal(new Blob([], { type: "Text/HTML" }).type, "text/html");
  equal(new Blob([], { type: "é" }).type, "");
});

test("endings are changed when asked", async () => {
  equal(await new Blob(["a\r\nb\rc\n"], { endings: "native" }).text(), "a\nb\nc\n");
  equal(await new Blob(["a\r\n"]).text(), "a\r\n");
  throws(() => new Blob([], { endings: "x" }), TypeError);
});

test("slice takes negative and huge bounds", async () => {
  const blob = new Blob(["abcdef"], { type: "a/b" });
  equal(await blob.slice(1, 3).text(), "bc");
  equal(await blob.slice(-2).text(), "ef");
  equal(await blob.slice(0, -4).text(), "ab");
  equal(await blob.slice(4, 2).text(), "");
  equal(await blob.slice(2, 1e9).text(), "cdef");
  equal(blob.slice().type, "");
  equal(blob.slice(0, 1, "C/D").type, "c/d");
});

test("arrayBuffer and bytes are copies", async () => {
  const blob = new Blob(["ab"]);
  new Uint8Array(await blob.arrayBuffer())[0] = 0;
  (await blob.bytes())[0] = 0;
  equal(await blob.text(), "ab");
});

test("stream gives the bytes", async () => {
  const chunks = [];
  for await (const chunk of new Blob(["ab", "cd"]).stream()) chunks.push(...chunk);
  deepEqual(chunks, [97, 98, 99, 100]);
});

test("construction refuses what is not a sequence", () => {
  throws(() => new Blob("a"), TypeError);
  throws(() => new Blob(1), TypeError);
  throws(() => new Blob(null), TypeError);
  throws(() => new Blob({}), TypeError);
  throws(() => Blob([]), TypeError);
  equal(new Blob().size, 0);
  equal(new Blob(undefined).size, 0);
});

test("a File has a name and a date", async () => {
  const file = new File(["x"], "a.txt", { type: "text/plain", lastModified: 5 });
  equal(file.name, "a.txt");
  equal(file.lastModified, 5);
  equal(file.type, "text/plain");
  equal(await file.text(), "x");
  ok(file instanceof Blob);
  ok(new File([], "a").lastModified > 0);
  throws(() => new File([]), TypeError);
  equal(Object.prototype.toString.call(file), "[object File]");
  equal(Object.prototype.toString.call(new Blob()), "[object Blob]");
});

test("structuredClone copies blobs and files", async () => {
  const copy = structuredClone({ blob: new Blob(["x"], { type: "a/b" }), file: new File(["y"], "f", { lastModified: 7 }) });
  equal(await copy.blob.text(), "x");
  equal(copy.blob.type, "a/b");
  equal(copy.file.name, "f");
  equal(copy.file.lastModified, 7);
});
