// The body of requests and responses: sources, consumers, use.

import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";

const bytesOf = (text) => new TextEncoder().encode(text);

function streamOf(...chunks) {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(typeof chunk === "string" ? bytesOf(chunk) : chunk);
      controller.close();
    },
  });
}

const sources = {
  string: () => "héllo",
  Uint8Array: () => bytesOf("héllo"),
  ArrayBuffer: () => bytesOf("héllo").buffer,
  DataView: () => new DataView(bytesOf("héllo").buffer),
  Blob: () => new Blob(["hé", "llo"]),
  stream: () => streamOf("hé", "llo"),
};

for (const [name, make] of Object.entries(sources)) {
  test(`a body from a ${name} reads back in every form`, async () => {
    equal(await new Response(make()).text(), "héllo");
    deepEqual([...(await new Response(make()).bytes())], [...bytesOf("héllo")]);
    equal((await new Response(make()).arrayBuffer()).byteLength, 6);
    equal(await (await new Response(make()).blob()).text(), "héllo");
    let streamed = "";
    const decoder = new TextDecoder();
    for await (const chunk of new Response(make()).body) streamed += decoder.decode(chunk, { stream: true });
    equal(streamed, "héllo");
  });

  test(`a body from a ${name} is used once`, async () => {
    const response = new Response(make());
    equal(response.bodyUsed, false);
    await response.text();
    equal(response.bodyUsed, true);
    for (const method of ["text", "json", "arrayBuffer", "bytes", "blob", "formData"]) {
      await rejects(response[method](), TypeError);
    }
  });
}

test("an empty body reads as empty and stays unused", async () => {
  const response = new Response();
  equal(await response.text(), "");
  equal((await response.arrayBuffer()).byteLength, 0);
  equal((await response.blob()).size, 0);
  equal(response.bodyUsed, false);
  await rejects(response.json(), SyntaxError);
});

test("a buffer is copied when the body is made", async () => {
  const bytes = bytesOf("abc");
  const response = new Response(bytes);
  bytes[0] = 0x7a;
  equal(await response.text(), "abc");
});

test("a view sends only what it views", async () => {
  equal(await new Response(bytesOf("abcdef").subarray(2, 4)).text(), "cd");
});

test("text drops a byte order mark and repairs malformed UTF-8", async () => {
  equal(await new Response(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])).text(), "a");
  equal(await new Response("\ufeffa").text(), "a");
  equal(await new Response(new Uint8Array([0xff, 0x61])).text(), "\ufffda");
  equal(await new Response("\ud800").text(), "\ufffd");
});

test("json parses, and rejects with SyntaxError", async () => {
  deepEqual(await new Response('{"a":[1]}').json(), { a: [1] });
  await rejects(new Response("{").json(), SyntaxError);
  await rejects(new Response("").json(), SyntaxError);
});

test("blob takes the content type, as the standard writes it", async () => {
  const typeFor = async (type) => (await new Response("x", { headers: { "content-type": type } }).blob()).type;
  equal(await typeFor("Text/HTML; a=b"), "text/html;a=b");
  equal(await typeFor('text/html ; Charset="utf-8"; charset=x;'), "text/html;charset=utf-8");
  equal(await typeFor('a/b; x="c d"'), 'a/b;x="c d"');
  equal(await typeFor("text/plain, text/html"), "text/html");
  equal((await new Response("x").blob()).type, "text/plain;charset=utf-8");
  for (const none of ["", "nothing", "a/", "/b", "a b/c", "*/*", "text/html, */*, x"]) {
    equal(await typeFor(none), none.startsWith("text") ? "text/html" : "");
  }
  equal((await new Response(new Uint8Array(1)).blob()).type, "");
});

test("body is one stream, and reading it uses the body", async () => {
  const response = new Response("abc");
  const { body } = response;
  ok(body instanceof ReadableStream);
  equal(response.body, body);
  equal(response.bodyUsed, false);
  const reader = body.getReader();
  deepEqual([...(await reader.read()).value], [...bytesOf("abc")]);
  equal(response.bodyUsed, true);
  await rejects(response.text(), TypeError);
});

test("a locked body can not be read", async () => {
  const response = new Response("abc");
  response.body.getReader();
  await rejects(response.text(), TypeError, "locked");
  throws(() => response.clone(), TypeError);
});

test("body of a string supports BYOB readers", async () => {
  const reader = new Response("abc").body.getReader({ mode: "byob" });
  const { value } = await reader.read(new Uint8Array(2));
  deepEqual([...value], [97, 98]);
});

test("a disturbed or locked stream can not become a body", async () => {
  const locked = streamOf("a");
  locked.getReader();
  throws(() => new Response(locked), TypeError);
  const read = streamOf("a", "b");
  const reader = read.getReader();
  await reader.read();
  reader.releaseLock();
  throws(() => new Response(read), TypeError);
});

test("reading the body after text gives a closed stream", async () => {
  const response = new Response("abc");
  await response.text();
  equal((await response.body.getReader().read().catch(() => ({ done: true }))).done, true);
  equal(response.bodyUsed, true);
});

test("a stream that fails rejects the readers with its reason", async () => {
  const reason = new RangeError("broken");
  const broken = () => new ReadableStream({ pull(controller) { controller.error(reason); } });
  await rejects(new Response(broken()).text(), RangeError, "broken");
  await rejects(new Response(broken()).json(), RangeError, "broken");
  await rejects(new Response(broken()).arrayBuffer(), RangeError, "broken");
});

test("a stream of other chunks is a TypeError", async () => {
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue({});
      controller.close();
    },
  });
  await rejects(new Response(stream).text(), TypeError);
});

test("any other object is a body by its string", async () => {
  equal(await new Response({ toString: () => "mine" }).text(), "mine");
  equal(await new Response(42).text(), "42");
  equal(await new Response(true).text(), "true");
});

test("a body is readable through pipeThrough", async () => {
  const upper = new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(bytesOf(new TextDecoder().decode(chunk).toUpperCase()));
    },
  });
  equal(await new Response(new Response("abc").body.pipeThrough(upper)).text(), "ABC");
});

test("one response's body can be another's", async () => {
  const first = new Response("abc");
  const second = new Response(first.body, { status: 201 });
  equal(await second.text(), "abc");
  equal(first.bodyUsed, true);
});

test("a clone of a clone reads the same", async () => {
  const response = new Response(streamOf("ab", "c"));
  const copies = [response.clone(), response.clone()];
  copies.push(copies[0].clone());
  for (const each of [response, ...copies]) equal(await each.text(), "abc");
});

test("bytes of a clone are its own", async () => {
  const response = new Response(new Uint8Array([1, 2]));
  const copy = response.clone();
  const bytes = await response.bytes();
  bytes[0] = 9;
  deepEqual([...(await copy.bytes())], [1, 2]);
});
