// Response: construction, statics, clone, Workers' own members.

import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";

test("a response has the standard's defaults", () => {
  const response = new Response();
  equal(response.status, 200);
  equal(response.ok, true);
  equal(response.statusText, "");
  equal(response.type, "default");
  equal(response.url, "");
  equal(response.redirected, false);
  equal(response.body, null);
  equal(response.bodyUsed, false);
  equal(response.webSocket, null);
  deepEqual([...response.headers], []);
});

test("a status outside 200 to 599 is a RangeError", () => {
  for (const status of [0, 99, 100, 101, 199, 600, 1000, -1, NaN]) {
    throws(() => new Response("", { status }), RangeError, "200 to 599");
  }
  for (const status of [200, 299, 404, 599]) equal(new Response("x", { status }).status, status);
  equal(new Response("", { status: "404" }).status, 404);
});

test("ok is true from 200 to 299 only", () => {
  equal(new Response("", { status: 299 }).ok, true);
  equal(new Response("", { status: 300 }).ok, false);
  equal(new Response("", { status: 404 }).ok, false);
});

test("a status without a body refuses one", () => {
  for (const status of [204, 205, 304]) {
    throws(() => new Response("x", { status }), TypeError, "null body status");
    throws(() => new Response(new Uint8Array(1), { status }), TypeError);
    equal(new Response(null, { status }).body, null);
    throws(() => new Response(new ReadableStream(), { status }), TypeError);
    throws(() => new Response(new FormData(), { status }), TypeError);
    equal(new Response(undefined, { status }).status, status);
  }
});

test("a status without a body takes what is empty, as on Cloudflare, and labels nothing", () => {
  const nothings = [
    "", new ArrayBuffer(0), new Uint8Array(0), new DataView(new ArrayBuffer(4), 4), new Blob([], { type: "a/b" }),
    new URLSearchParams(), { toString: () => "" },
  ];
  for (const status of [204, 205, 304]) {
    for (const nothing of nothings) {
      const response = new Response(nothing, { status });
      deepEqual([response.status, response.body, response.headers.get("content-type")], [status, null, null]);
    }
  }
  ok(new Response(new Uint8Array(0)).body instanceof ReadableStream);
});

test("statusText is kept and checked", () => {
  equal(new Response("", { status: 404, statusText: "Nope" }).statusText, "Nope");
  throws(() => new Response("", { statusText: "a\nb" }), TypeError);
  throws(() => new Response("", { statusText: "\u0100" }), TypeError);
});

test("init must be an object", () => {
  throws(() => new Response("", 1), TypeError);
  throws(() => new Response("", "x"), TypeError);
  equal(new Response("", null).status, 200);
});

test("a body brings its content type, an explicit one wins", () => {
  equal(new Response("x").headers.get("content-type"), "text/plain;charset=UTF-8");
  equal(new Response(new URLSearchParams("a=1")).headers.get("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
  equal(new Response(new Blob(["x"], { type: "a/b" })).headers.get("content-type"), "a/b");
  equal(new Response(new Blob(["x"])).headers.get("content-type"), null);
  equal(new Response(new Uint8Array(1)).headers.get("content-type"), null);
  ok(new Response(new FormData()).headers.get("content-type").startsWith("multipart/form-data; boundary="));
  equal(new Response("x", { headers: { "Content-Type": "a/b" } }).headers.get("content-type"), "a/b");
  equal(new Response(null).headers.get("content-type"), null);
});

test("another response can be the init", async () => {
  const first = new Response("a", { status: 201, statusText: "Made", headers: { "x-a": "1" } });
  const second = new Response("b", first);
  equal(second.status, 201);
  equal(second.statusText, "Made");
  equal(second.headers.get("x-a"), "1");
  second.headers.set("x-a", "2");
  equal(first.headers.get("x-a"), "1");
  equal(await second.text(), "b");
  equal(await first.text(), "a");
});

test("Response.json serialises and labels", async () => {
  const response = Response.json({ a: [1, null] }, { status: 201, headers: { "x-a": "1" } });
  equal(response.status, 201);
  equal(response.headers.get("content-type"), "application/json");
  equal(response.headers.get("x-a"), "1");
  deepEqual(await response.json(), { a: [1, null] });
  equal(await Response.json("x").text(), '"x"');
  equal(Response.json(1, { headers: { "content-type": "a/b" } }).headers.get("content-type"), "a/b");
});

test("Response.json refuses what is not JSON and null-body statuses", () => {
  throws(() => Response.json(undefined), TypeError);
  throws(() => Response.json(() => {}), TypeError);
  throws(() => Response.json(Symbol("a")), TypeError);
  throws(() => Response.json({}, { status: 204 }), TypeError);
  const loop = {};
  loop.loop = loop;
  throws(() => Response.json(loop), TypeError);
  throws(() => Response.json({ get a() { throw new RangeError("mine"); } }), RangeError, "mine");
});

test("Response.redirect sets Location and 302", () => {
  const response = Response.redirect("https://a.example/x y");
  equal(response.status, 302);
  equal(response.headers.get("location"), "https://a.example/x%20y");
  for (const status of [301, 302, 303, 307, 308]) equal(Response.redirect("https://a.example", status).status, status);
});

test("Response.redirect refuses bad URLs and other statuses", () => {
  throws(() => Response.redirect("/relative"), TypeError);
  throws(() => Response.redirect("http://"), TypeError);
  for (const status of [200, 300, 304, 309, 400]) throws(() => Response.redirect("https://a.example", status), RangeError);
});

test("Response.error is a network error", () => {
  const response = Response.error();
  equal(response.type, "error");
  equal(response.status, 0);
  equal(response.ok, false);
  equal(response.body, null);
});

test("clone copies head and body", async () => {
  const response = new Response("hello", { status: 201, headers: { "x-a": "1" } });
  const copy = response.clone();
  copy.headers.set("x-a", "2");
  equal(response.headers.get("x-a"), "1");
  equal(copy.status, 201);
  equal(await response.text(), "hello");
  equal(await copy.text(), "hello");
});

test("a used body can not be cloned", async () => {
  const response = new Response(new Uint8Array([1]));
  await response.arrayBuffer();
  throws(() => response.clone(), TypeError, "Body has already been used");
});

test("a clone of a stream reads the same chunks", async () => {
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("ab"));
      controller.enqueue(new TextEncoder().encode("cd"));
      controller.close();
    },
  });
  const response = new Response(stream);
  const copy = response.clone();
  equal(await copy.text(), "abcd");
  equal(await response.text(), "abcd");
});

test("a response with a WebSocket has status 101", () => {
  const [client] = Object.values(new WebSocketPair());
  const response = new Response(null, { status: 101, webSocket: client });
  equal(response.status, 101);
  equal(response.webSocket, client);
  throws(() => response.clone(), TypeError, "WebSocket");
  throws(() => new Response(null, { status: 200, webSocket: client }), RangeError, "101");
  throws(() => new Response(null, { status: 101 }), RangeError);
  throws(() => new Response(null, { status: 101, webSocket: {} }), TypeError);
});

test("encodeBody is automatic or manual", () => {
  equal(new Response("x").encodeBody, "automatic");
  equal(new Response("x", { encodeBody: "manual" }).encodeBody, "manual");
  throws(() => new Response("x", { encodeBody: "never" }), TypeError, "unexpected value: never");
});

test("subclasses work", async () => {
  class MyResponse extends Response {
    constructor(body, init) {
      super(body, { ...init, headers: { "x-mine": "1" } });
    }
    get mine() {
      return true;
    }
  }
  const response = new MyResponse("x", { status: 202 });
  ok(response instanceof Response && response.mine);
  equal(response.status, 202);
  equal(response.headers.get("x-mine"), "1");
  equal(await response.text(), "x");
});

test("getters refuse a foreign this", () => {
  for (const name of ["status", "ok", "headers", "url", "type", "body", "bodyUsed"]) {
    const getter = lookup(Response.prototype, name);
    throws(() => getter.call({}), TypeError);
  }
});

function lookup(prototype, name) {
  for (let object = prototype; object !== null; object = Object.getPrototypeOf(object)) {
    const descriptor = Object.getOwnPropertyDescriptor(object, name);
    if (descriptor !== undefined) return descriptor.get;
  }
  throw new Error(`no ${name}`);
}

test("the interface looks like a platform interface", () => {
  equal(Object.prototype.toString.call(new Response()), "[object Response]");
  deepEqual(Object.keys(new Response("x")), []);
  equal(JSON.stringify(new Response("x")), "{}");
  throws(() => Response("x"), TypeError);
  ok(Object.getOwnPropertyDescriptor(Response, "json").enumerable);
});

test("a promise-returning method rejects for a foreign this", async () => {
  await rejects(Response.prototype.text.call({}), TypeError);
});
