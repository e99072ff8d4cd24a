// The worker behind tests/web_api.rs: one route for each promise about whole requests.

import { WorkerEntrypoint, env as globalEnv, waitUntil } from "cloudflare:workers";

const encoder = new TextEncoder();
const wait = (ms) => scheduler.wait(ms);
let count = 0;
const kept = [];

function chunks(...texts) {
  const left = [...texts];
  return new ReadableStream({
    async pull(controller) {
      await wait(1);
      if (left.length === 0) controller.close();
      else controller.enqueue(encoder.encode(left.shift()));
    },
  });
}

const routes = {
  text: () => new Response("plain"),
  json: () => Response.json({ hello: "world" }, { status: 201, headers: { "X-Made": "yes" } }),
  bytes: () => new Response(new Uint8Array([0, 1, 255])),
  empty: () => new Response(null, { status: 204 }),
  statusText: () => new Response("x", { status: 418, statusText: "Teapot" }),
  longHeader: () => {
    const page = `\u201c${"a".repeat(3000)}${"\xe9".repeat(3000)}\u201d`;
    return new Response("x", { headers: { "x-ascii": page.slice(1, 3001), "x-latin1": page.slice(3001, -1) } });
  },
  echoHeader: (request) => {
    const value = request.headers.get("x-test");
    return new Response(value, { headers: { "x-test": value } });
  },
  cookies: () => new Response("x", { headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] }),
  count: () => new Response(String((count += 1))),

  head: (request) => Response.json({ method: request.method, url: request.url, x: request.headers.get("x-test"), redirect: request.redirect }),
  cf: (request) => Response.json(request.cf ?? null),
  immutable: (request) => {
    try {
      request.headers.set("a", "b");
    } catch (error) {
      return new Response(`${error.name}: ${error.message}`);
    }
    const copy = new Request(request);
    copy.headers.set("a", "b");
    return new Response("not immutable");
  },
  copyHeaders: (request) => {
    const copy = new Request(request);
    copy.headers.set("x-test", "changed");
    return new Response(copy.headers.get("x-test"));
  },

  async echo(request) {
    return new Response(await request.text());
  },
  async echoJson(request) {
    return Response.json({ got: await request.json() });
  },
  through: (request) => new Response(request.body),
  upper: (request) =>
    new Response(
      request.body.pipeThrough(new TextDecoderStream()).pipeThrough(
        new TransformStream({ transform: (text, controller) => controller.enqueue(text.toUpperCase()) }),
      ).pipeThrough(new TextEncoderStream()),
    ),
  async cloned(request) {
    const copy = request.clone();
    return new Response(`${await request.text()}+${await copy.text()}`);
  },
  async twice(request) {
    await request.text();
    await request.text();
  },
  async form(request) {
    const form = await request.formData();
    return Response.json([...form].map(([name, value]) => [name, typeof value === "string" ? value : value.name]));
  },
  async length(request) {
    let length = 0;
    for await (const chunk of request.body) length += chunk.byteLength;
    return new Response(String(length));
  },
  stream: () => new Response(chunks("one ", "two ", "three")),
  async writer(request, env, ctx) {
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    ctx.waitUntil(
      (async () => {
        for (const text of ["a", "b", "c"]) await writer.write(encoder.encode(text));
        await writer.close();
      })(),
    );
    return new Response(readable);
  },
  fixed: () => {
    const { readable, writable } = new FixedLengthStream(5);
    const writer = writable.getWriter();
    writer.write(encoder.encode("hello"));
    writer.close();
    return new Response(readable);
  },
  large: () => new Response("x".repeat(3_000_000)),
  halfBody: () => {
    let sent = false;
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (sent) controller.error(new RangeError("half way"));
          else controller.enqueue(encoder.encode("half"));
          sent = true;
        },
      }),
    );
  },

  throws: () => {
    throw new RangeError("thrown");
  },
  async rejects() {
    await wait(1);
    throw new TypeError("rejected");
  },
  throwsString: () => {
    throw "just text";
  },
  nothing: () => undefined,
  async asyncNothing() {
    await wait(1);
  },
  wrong: () => ({ status: 200 }),
  errorResponse: () => Response.error(),
  never: () => new Promise(() => {}),
  used: () => {
    const response = new Response("x");
    response.text();
    return response;
  },

  async context(request) {
    const id = request.headers.get("x-test");
    console.log(`start ${id}`);
    await wait(5);
    await Promise.all([wait(1), wait(2)]);
    console.log(`end ${id}`);
    return new Response(id);
  },
  async waitUntil(request, env, ctx) {
    const log = [];
    ctx.waitUntil(wait(5).then(() => console.log("background done")));
    waitUntil(wait(1).then(() => Promise.reject(new Error("background failed"))));
    log.push("answered");
    return new Response(log.join());
  },
  async unhandled() {
    Promise.reject(new RangeError("nobody cares"));
    return new Response("ok");
  },
  async prevented() {
    const seen = [];
    const listener = (event) => {
      seen.push(event.reason.message);
      event.preventDefault();
    };
    addEventListener("unhandledrejection", listener);
    Promise.reject(new Error("caught by listener"));
    await wait(1);
    removeEventListener("unhandledrejection", listener);
    return new Response(seen.join());
  },
  async timerError() {
    setTimeout(() => {
      throw new Error("in a timer");
    }, 1);
    await wait(10);
    return new Response("ok");
  },
  async aborted(request, env, ctx) {
    const gone = new Promise((resolve) => request.signal.addEventListener("abort", () => resolve(request.signal.reason.name)));
    ctx.waitUntil(gone.then((name) => console.log(`caller gone: ${name}`)));
    console.log("waiting");
    await wait(60_000);
    return new Response("late");
  },
  logs: () => {
    console.debug("d");
    console.info("i", { a: 1 });
    console.log("l %s", "x");
    console.warn("w");
    console.error(new Error("e"));
    return new Response("ok");
  },

  env: (request, env) => Response.json({ env, same: env === globalEnv, keys: Object.keys(env) }),
  ctx: (request, env, ctx) => {
    ctx.passThroughOnException();
    return Response.json({ props: ctx.props, tag: String(ctx) });
  },

  // `x-test` is the URL to fetch.
  async fetch(request) {
    const response = await fetch(request.headers.get("x-test"), { headers: { "x-from": "worker" } });
    return Response.json({
      status: response.status,
      url: response.url,
      redirected: response.redirected,
      header: response.headers.get("x-origin"),
      text: await response.text(),
    });
  },
  proxy: (request) => fetch(request.headers.get("x-test"), request),
  async reheader(request) {
    const response = await fetch(request.headers.get("x-test"));
    const copy = new Response(response.body, response);
    copy.headers.set("x-added", "yes");
    return copy;
  },
  async post(request) {
    const response = await fetch(request.headers.get("x-test"), { method: "POST", body: "payload", headers: { authorization: "secret" } });
    return new Response(await response.text(), { status: response.status });
  },
  async postLong(request) {
    // Longer than what leaves whole, with pairs of surrogates wherever it may be cut.
    const body = "a\u{1d11e}".repeat(70_000);
    const response = await fetch(request.headers.get("x-test"), { method: "POST", body });
    return new Response(String((await response.text()) === `POST ${body}`));
  },
  async postStream(request) {
    const response = await fetch(request.headers.get("x-test"), { method: "POST", body: chunks("pay", "load") });
    return new Response(await response.text(), { status: response.status });
  },
  // The status of an answer, whether it has a body, and what is in it.
  async content(request) {
    const response = await fetch(request.headers.get("x-test"), { method: request.headers.get("x-method") ?? "GET" });
    return Response.json([response.status, response.body instanceof ReadableStream, await response.text()]);
  },
  // A copy of the request, with other headers, for another URL.
  async copied(request) {
    const copy = new Request(new Request(request), { headers: { "x-from": "copy" } });
    return fetch(new Request(request.headers.get("x-test"), copy));
  },
  async manual(request) {
    const response = await fetch(request.headers.get("x-test"), { redirect: "manual" });
    return Response.json({ status: response.status, location: response.headers.get("location") });
  },
  async fetchError(request) {
    try {
      await fetch(request.headers.get("x-test"), { redirect: request.headers.get("x-redirect") ?? "follow" });
    } catch (error) {
      return new Response(`${error.name}: ${error.message}`);
    }
    return new Response("no error");
  },
  async fetchAbort(request) {
    const controller = new AbortController();
    const pending = fetch(request.headers.get("x-test"), { signal: controller.signal });
    setTimeout(() => controller.abort(), 1);
    return pending.catch((error) => new Response(`${error.name} ${error === controller.signal.reason}`));
  },
  async fetchTimeout(request) {
    return fetch(request.headers.get("x-test"), { signal: AbortSignal.timeout(1) }).catch((error) => new Response(error.name));
  },
  compress: () => new Response("compress me ".repeat(100), { headers: { "content-encoding": "gzip" } }),
  compressNothing: () => new Response("", { headers: { "content-encoding": "gzip" } }),
  compressed: () => new Response(new Uint8Array([31, 139]), { headers: { "content-encoding": "gzip" }, encodeBody: "manual" }),

  async kv(request, env) {
    await env.KV.put("a", "text", { metadata: { m: 1 } });
    await env.KV.put("b", new Uint8Array([123, 125]));
    await env.KV.put("c", chunks("str", "eam"));
    const stream = await env.KV.get("c", "stream");
    const bulk = await env.KV.get(["a", "none"]);
    const withMetadata = await env.KV.getWithMetadata(["a"]);
    const first = await env.KV.list({ limit: 2 });
    const second = await env.KV.list({ cursor: first.cursor });
    await env.KV.delete("a");
    return Response.json({
      text: await env.KV.get("c"),
      json: await env.KV.get("b", { type: "json" }),
      length: (await env.KV.get("b", "arrayBuffer")).byteLength,
      stream: await new Response(stream).text(),
      gone: await env.KV.get("a"),
      goneToo: await env.KV.getWithMetadata("a"),
      bulk: [...bulk],
      metadata: withMetadata.get("a").metadata,
      names: [...first.keys, ...second.keys].map((key) => key.name),
      complete: [first.list_complete, second.list_complete],
    });
  },
  kvLarge: async (request, env) => new Response((await env.KV.get("large", "arrayBuffer")).byteLength),
  fill: () => {
    kept.push(new Uint8Array(19 << 20), new Uint8Array(19 << 20));
    return new Response("filled");
  },
  async service(request, env) {
    const response = await env.SERVICE.fetch("http://any.example/path", { method: "POST", body: "ping" });
    return new Response(await response.text(), response);
  },
  async rpc(request, env) {
    try {
      env.SERVICE.add(1, 2);
    } catch (error) {
      return new Response(`${error.name}: ${error.message}`);
    }
  },

  socket: () => {
    const [client, server] = Object.values(new WebSocketPair());
    server.accept();
    server.addEventListener("message", (event) => {
      if (event.data === "bye") server.close(4000, "as you wish");
      else server.send(typeof event.data === "string" ? `echo ${event.data}` : event.data);
    });
    server.addEventListener("close", (event) => console.log(`closed ${event.code}`));
    server.send("welcome");
    return new Response(null, { status: 101, webSocket: client });
  },
};

export class Named extends WorkerEntrypoint {
  fetch(request) {
    return Response.json({ named: true, props: this.ctx.props, url: request.url, env: "TEXT" in this.env });
  }
}

export const plain = { fetch: () => new Response("plain object") };

export default {
  fetch(request, env, ctx) {
    const name = request.url.slice(request.url.indexOf("/", 8) + 1).split("?")[0];
    const route = routes[name];
    return route === undefined ? new Response("no such route", { status: 404 }) : route(request, env, ctx);
  },
  async scheduled(controller, env, ctx) {
    console.log(`${controller.cron} ${controller.scheduledTime} ${controller.type}`);
    ctx.waitUntil(wait(1).then(() => console.log("scheduled background done")));
    if (controller.cron === "fail") throw new Error("scheduled failed");
  },
};
