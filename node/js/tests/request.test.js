// Request: init members, copies, clones.

import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";
import { incomingRequest } from "skerry:internal/request.js";

const URL_A = "https://a.example/path?q=1#frag";

test("a request has the standard's defaults", () => {
  const request = new Request(URL_A);
  equal(request.method, "GET");
  equal(request.url, URL_A);
  equal(request.redirect, "follow");
  equal(request.body, null);
  equal(request.bodyUsed, false);
  equal(request.keepalive, false);
  equal(request.integrity, "");
  equal(request.cf, undefined);
  ok(request.signal instanceof AbortSignal);
  equal(request.signal, request.signal);
  equal(request.signal.aborted, false);
  deepEqual([...request.headers], []);
});

test("URLs are parsed and normalised", () => {
  equal(new Request("HTTPS://A.example").url, "https://a.example/");
  equal(new Request(new URL("https://a.example/x/../y")).url, "https://a.example/y");
});

test("a relative or broken URL is a TypeError", () => {
  throws(() => new Request("/path"), TypeError, "Invalid URL");
  throws(() => new Request(""), TypeError);
  throws(() => new Request("http://"), TypeError);
  throws(() => new Request(), TypeError);
  throws(() => new Request("https://user:pass@a.example/"), TypeError, "credentials");
});

test("known methods are upper-cased, others are kept", () => {
  for (const method of ["get", "post", "put", "delete", "head", "options", "patch"]) {
    equal(new Request(URL_A, { method }).method, method.toUpperCase());
  }
  equal(new Request(URL_A, { method: "Propfind" }).method, "Propfind");
});

test("bad and forbidden methods are TypeErrors", () => {
  for (const method of ["", "a b", "é", "CONNECT", "trace", "TRACK"]) {
    throws(() => new Request(URL_A, { method }), TypeError, "Invalid HTTP method");
  }
});

test("GET and HEAD refuse a body", () => {
  throws(() => new Request(URL_A, { body: "x" }), TypeError, "GET or HEAD");
  throws(() => new Request(URL_A, { method: "HEAD", body: "" }), TypeError, "GET or HEAD");
  equal(new Request(URL_A, { body: null }).body, null);
  equal(new Request(URL_A, { body: undefined }).body, null);
});

test("a body brings its content type, an explicit one wins", () => {
  const post = (body, headers) => new Request(URL_A, { method: "POST", body, headers }).headers.get("content-type");
  equal(post("x"), "text/plain;charset=UTF-8");
  equal(post(new URLSearchParams("a=1")), "application/x-www-form-urlencoded;charset=UTF-8");
  equal(post("x", { "content-type": "a/b" }), "a/b");
  equal(post(new Uint8Array(2)), null);
});

test("a request copies another one and takes its body over", async () => {
  const first = new Request(URL_A, { method: "POST", body: "hello", headers: { "x-a": "1" }, redirect: "manual" });
  const second = new Request(first);
  equal(first.bodyUsed, true);
  equal(second.method, "POST");
  equal(second.redirect, "manual");
  equal(second.headers.get("x-a"), "1");
  equal(await second.text(), "hello");
  await rejects(first.text(), TypeError, "already been used");
});

test("init overrides what is copied", async () => {
  const first = new Request(URL_A, { method: "POST", body: "hello", headers: { "x-a": "1" } });
  const second = new Request(first, { method: "PUT", headers: { "x-b": "2" }, body: "other" });
  equal(second.method, "PUT");
  equal(second.headers.get("x-a"), null);
  equal(second.headers.get("x-b"), "2");
  equal(await second.text(), "other");
  equal(first.bodyUsed, false);
  equal(await first.text(), "hello");
});

test("a used body can not be taken over", async () => {
  const first = new Request(URL_A, { method: "POST", body: "x" });
  await first.text();
  throws(() => new Request(first), TypeError, "already been used");
  equal(new Request(first, { method: "GET", body: null }).method, "GET");
});

test("a request with a body can not be copied into a GET", () => {
  const first = new Request(URL_A, { method: "POST", body: "x" });
  throws(() => new Request(first, { method: "GET" }), TypeError, "GET or HEAD");
  throws(() => new Request(first, { method: "HEAD" }), TypeError, "GET or HEAD");
});

test("a GET that came with a body is copied as it is, as on Cloudflare", async () => {
  const got = () => incomingRequest(undefined, "GET", URL_A, "x-a\n1", new TextEncoder().encode("hello"), undefined);
  const copies = [
    new Request(got()),
    new Request(got(), { headers: { "x-b": "2" } }),
    new Request(got(), { method: undefined, body: undefined }),
    new Request("https://b.example/", got()),
    new Request(new Request(URL_A, { method: "POST", body: "other" }), got()),
    got().clone(),
  ];
  for (const copy of copies) deepEqual([copy.method, await copy.text()], ["GET", "hello"]);
  // What the worker itself puts together has to fit.
  throws(() => new Request(got(), { method: "GET" }), TypeError, "GET or HEAD");
  throws(() => new Request(got(), { body: "x" }), TypeError, "GET or HEAD");
  throws(() => new Request(URL_A, { ...got(), body: "x" }), TypeError, "GET or HEAD");
  equal(new Request(got(), { body: null }).body, null);
  equal(await new Request(got(), { method: "POST" }).text(), "hello");
});

test("redirect takes follow, manual and error", () => {
  for (const redirect of ["follow", "manual", "error"]) equal(new Request(URL_A, { redirect }).redirect, redirect);
  throws(() => new Request(URL_A, { redirect: "never" }), TypeError);
});

test("signal is kept, must be a signal, and null is none", () => {
  const controller = new AbortController();
  const request = new Request(URL_A, { signal: controller.signal });
  controller.abort("why");
  equal(request.signal.aborted, true);
  equal(request.signal.reason, "why");
  throws(() => new Request(URL_A, { signal: {} }), TypeError);
  equal(new Request(URL_A, { signal: null }).signal.aborted, false);
});

test("a copy follows the original's signal", () => {
  const controller = new AbortController();
  const copy = new Request(new Request(URL_A, { signal: controller.signal }));
  controller.abort();
  equal(copy.signal.aborted, true);
});

test("cf is carried, and copied by value", () => {
  const request = new Request(URL_A, { cf: { cacheTtl: 5, image: { width: 1 } } });
  equal(request.cf.cacheTtl, 5);
  const copy = new Request(request);
  copy.cf.image.width = 2;
  equal(request.cf.image.width, 1);
});

test("keepalive, integrity and cache are carried", () => {
  const request = new Request(URL_A, { keepalive: true, integrity: "sha256-x", cache: "no-store" });
  equal(request.keepalive, true);
  equal(request.integrity, "sha256-x");
  equal(request.cache, "no-store");
  equal(new Request(request).cache, "no-store");
  throws(() => new Request(URL_A, { cache: "sometimes" }), TypeError);
});

test("clone copies head and body independently", async () => {
  const request = new Request(URL_A, { method: "POST", body: "hello", headers: { "x-a": "1" } });
  const copy = request.clone();
  copy.headers.set("x-a", "2");
  equal(request.headers.get("x-a"), "1");
  equal(await copy.text(), "hello");
  equal(request.bodyUsed, false);
  equal(await request.text(), "hello");
  throws(() => request.clone(), TypeError, "already been used");
});

test("init must be an object", () => {
  throws(() => new Request(URL_A, 1), TypeError);
  throws(() => new Request(URL_A, "x"), TypeError);
  equal(new Request(URL_A, null).method, "GET");
  equal(new Request(URL_A, undefined).method, "GET");
});

test("subclasses and brand checks work", () => {
  class MyRequest extends Request {
    get path() {
      return new URL(this.url).pathname;
    }
  }
  const request = new MyRequest(URL_A);
  equal(request.path, "/path");
  ok(request instanceof Request);
  equal(new Request(request).url, URL_A);
  throws(() => Object.getOwnPropertyDescriptor(Request.prototype, "url").get.call({}), TypeError);
  equal(Object.prototype.toString.call(request), "[object Request]");
});

test("a router in the style of hono works on requests", async () => {
  const routes = [];
  const app = {
    get: (path, handler) => routes.push(["GET", path, handler]),
    post: (path, handler) => routes.push(["POST", path, handler]),
    async fetch(request) {
      const path = request.url.slice(request.url.indexOf("/", 8)).split("?")[0];
      for (const [method, pattern, handler] of routes) {
        const names = [];
        const match = new RegExp(`^${pattern.replace(/:(\w+)/g, (_, name) => (names.push(name), "([^/]+)"))}$`).exec(path);
        if (method !== request.method || match === null) continue;
        const params = Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(match[i + 1])]));
        return handler({ req: request, params, json: (data, status) => Response.json(data, { status }) });
      }
      return new Response("404 Not Found", { status: 404 });
    },
  };
  app.get("/hello/:name", (c) => c.json({ hello: c.params.name }));
  app.post("/echo", async (c) => c.json(await c.req.json(), 201));
  deepEqual(await (await app.fetch(new Request("https://x.example/hello/b%C3%A9?x=1"))).json(), { hello: "bé" });
  const echoed = await app.fetch(new Request("https://x.example/echo", { method: "POST", body: '{"a":1}' }));
  equal(echoed.status, 201);
  deepEqual(await echoed.json(), { a: 1 });
  equal((await app.fetch(new Request("https://x.example/none"))).status, 404);
});
