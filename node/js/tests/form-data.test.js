// FormData, its encoding and decoding.

import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";

test("append, set, get, getAll, has, delete", () => {
  const form = new FormData();
  form.append("a", "1");
  form.append("b", "2");
  form.append("a", 3);
  equal(form.get("a"), "1");
  deepEqual(form.getAll("a"), ["1", "3"]);
  equal(form.get("none"), null);
  deepEqual(form.getAll("none"), []);
  equal(form.has("b"), true);
  form.set("a", "4");
  deepEqual([...form], [["a", "4"], ["b", "2"]]);
  form.set("c", "5");
  form.delete("b");
  deepEqual([...form.keys()], ["a", "c"]);
  deepEqual([...form.values()], ["4", "5"]);
});

test("a Blob becomes a File with a name", () => {
  const form = new FormData();
  form.append("a", new Blob(["x"], { type: "a/b" }));
  form.append("b", new Blob(["x"]), "name.txt");
  const file = new File(["y"], "mine.txt");
  form.append("c", file);
  form.append("d", file, "renamed.txt");
  ok(form.get("a") instanceof File);
  equal(form.get("a").name, "blob");
  equal(form.get("a").type, "a/b");
  equal(form.get("b").name, "name.txt");
  equal(form.get("c"), file);
  equal(form.get("d").name, "renamed.txt");
});

test("a filename needs a Blob, and arguments are checked", () => {
  const form = new FormData();
  throws(() => form.append("a", "x", "name"), TypeError);
  throws(() => form.append("a"), TypeError);
  throws(() => form.set("a"), TypeError);
  throws(() => form.get(), TypeError);
  throws(() => new FormData({}), TypeError);
  equal(Object.prototype.toString.call(form), "[object FormData]");
});

test("forEach gives value, name, form", () => {
  const form = new FormData();
  form.append("a", "1");
  const seen = [];
  form.forEach((value, name, all) => seen.push([value, name, all === form]));
  deepEqual(seen, [["1", "a", true]]);
});

test("a form survives the way through a multipart body", async () => {
  const form = new FormData();
  form.append("text", "a\nb");
  form.append('quo"te', "x");
  form.append("ünï", "çödé");
  form.append("empty", "");
  form.append("file", new File([new Uint8Array([0, 13, 10, 255])], 'we"ird\n.bin', { type: "a/b" }));
  const back = await new Response(form).formData();
  deepEqual([...back.keys()], ["text", 'quo"te', "ünï", "empty", "file"]);
  equal(back.get("text"), "a\r\nb");
  equal(back.get("ünï"), "çödé");
  equal(back.get("empty"), "");
  const file = back.get("file");
  equal(file.name, 'we"ird\n.bin');
  equal(file.type, "a/b");
  deepEqual([...(await file.bytes())], [0, 13, 10, 255]);
});

test("an empty form survives", async () => {
  deepEqual([...(await new Response(new FormData()).formData())], []);
});

const parse = (type, body) => new Response(body, { headers: { "content-type": type } }).formData();

test("a browser's multipart body is read", async () => {
  const body =
    "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--X\r\n" +
    "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--X--\r\n";
  const form = await parse('multipart/form-data; boundary="X"', body);
  equal(form.get("a"), "1");
  equal(form.get("f").name, "a.txt");
  equal(await form.get("f").text(), "hello");
});

const named = async (disposition) => {
  const part = `--X\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n1\r\n--X--`;
  const [[name, value]] = await parse("multipart/form-data; boundary=X", part);
  return typeof value === "string" ? name : [name, value.name];
};

test("a quoted name ends where a parameter does", async () => {
  deepEqual(await named(String.raw`name="f"; filename="C:\dir\"`), ["f", String.raw`C:\dir` + "\\"]);
  deepEqual(await named(String.raw`filename="C:\dir\" ; name="f"`), ["f", String.raw`C:\dir` + "\\"]);
  deepEqual(await named(String.raw`name="f"; filename="we\"ird.txt"`), ["f", 'we"ird.txt']);
  deepEqual(await named('name="f"; filename="a; b.txt"'), ["f", "a; b.txt"]);
  deepEqual(await named('name="f"; filename="\u00fc.txt"; size=1'), ["f", "\u00fc.txt"]);
  deepEqual(await named('name="f"; filename=""'), ["f", ""]);
  equal(await named('x="; name=no"; NAME="yes"'), "yes");
  equal(await named("name=plain"), "plain");
});

test("a long disposition is read in time that grows with it", async () => {
  const long = 'a="x'.repeat(50_000);
  equal(await named(`name=b; ${long}`), "b");
  equal(await named(`name=b;${" ".repeat(200_000)}; filename=${'"'.repeat(50_000)}`).then(([name]) => name), "b");
});

test("names come back from what browsers write", async () => {
  equal(await named('name="a%0D%0Ab%22c%0d%25"'), 'a\r\nb"c\r%25');
});

test("the boundary is a parameter like any other", async () => {
  const body = "--a b;c\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--a b;c--";
  equal((await parse('Multipart/Form-Data; charset=utf-8; Boundary="a b;c"', body)).get("a"), "1");
});

test("a preamble before the first boundary is skipped", async () => {
  const body = "hello\r\n--X\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--X--";
  equal((await parse("multipart/form-data; boundary=X", body)).get("a"), "1");
});

test("urlencoded bodies are read", async () => {
  const form = await parse("application/x-www-form-urlencoded;charset=UTF-8", "a=1&b=x+y&a=%C3%A9");
  deepEqual([...form], [["a", "1"], ["b", "x y"], ["a", "é"]]);
});

test("urlencoded bodies keep a leading question mark and a byte order mark", async () => {
  const type = "application/x-www-form-urlencoded";
  deepEqual([...(await parse(type, "?a=1"))], [["?a", "1"]]);
  deepEqual([...(await parse(type, new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0x3d, 0x31])))], [["\ufeffa", "1"]]);
  deepEqual([...(await parse(type, "%EF%BB%BFa=%FF+&&b"))], [["\ufeffa", "\ufffd "], ["b", ""]]);
});

test("broken multipart bodies are TypeErrors", async () => {
  const type = "multipart/form-data; boundary=X";
  for (const body of [
    "",
    "nothing",
    "--X",
    "--X\r\n",
    "--X\r\nContent-Disposition: form-data; name=a\r\n\r\n1",
    "--X\r\n\r\n1\r\n--X--",
    "--X\r\nContent-Disposition: attachment\r\n\r\n1\r\n--X--",
    "--X\r\nContent-Disposition: form-data\r\n\r\n1\r\n--X--",
    "--Xjunk\r\n\r\n1\r\n--X--",
  ]) {
    await rejects(parse(type, body), TypeError);
  }
});

test("other content types and a missing boundary are TypeErrors", async () => {
  await rejects(parse("text/plain", "a=1"), TypeError, "Unrecognized Content-Type");
  await rejects(new Response(new Uint8Array(1)).formData(), TypeError, "Unrecognized Content-Type");
  await rejects(parse("multipart/form-data", "x"), TypeError, "boundary");
});
