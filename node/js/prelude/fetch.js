// `fetch`: outgoing requests and their redirects.
//
// **Owns** the path from a `Request` to a `Response`. **Must not know** which door a request leaves by: `fetchThrough` takes it
// as an argument, so that service bindings share everything. **Enter at** `fetch`.

import { OP, op, startWith } from "./host.js";
import { addAbortAlgorithm, removeAbortAlgorithm } from "./abort.js";
import * as body from "./body.js";
import { sendable } from "./body.js";
import { listDelete, listGet } from "./headers.js";
import { Request, headOf, isRequest } from "./request.js";
import { fetchedResponse, isRedirectStatus } from "./response.js";
import { followSignal } from "./streams/host-body.js";
import { hostSocket, setConnector } from "./websocket.js";
import { hashOf, hrefOf, originOf, parseUrl, protocolOf } from "./url-parts.js";

// Fetch standard, "HTTP-redirect fetch".
const REDIRECTS_MAX = 20;

export function fetch(input, init = undefined) {
  if (arguments.length < 1) {
    return Promise.reject(new TypeError("Failed to execute 'fetch': 1 argument required, but only 0 present."));
  }
  return fetchThrough(OP.FETCH, [], input, init);
}

// Sends a request by one door: the operation and the arguments before the request's own.
export async function fetchThrough(code, door, input, init) {
  const request = isRequest(input) && init === undefined ? input : new Request(input, init);
  const head = headOf(request);
  const { signal } = head;
  if (signal !== undefined && signal.aborted) throw signal.reason;
  checkScheme(head.url);
  const content = sendable(request, undefined);
  const { pump } = body;
  const call = { code, door, signal, pump };
  return follow(call, { ...head, list: head.list.slice(), content });
}

function checkScheme(url) {
  if (!url.startsWith("http:") && !url.startsWith("https:")) throw new TypeError(`Fetch API cannot load: ${url}`);
}

async function follow(call, request) {
  for (let redirects = 0; ; redirects += 1) {
    const [status, statusText, list, bodyId, socketId] = await send(call, request);
    const location = isRedirectStatus(status) && request.redirect !== "manual" ? listGet(list, "location") : null;
    if (location === null) {
      if (call.signal !== undefined && typeof bodyId === "number") followSignal(bodyId, call.signal);
      const socket = typeof socketId === "number" ? hostSocket(socketId, listGet(list, "sec-websocket-protocol")) : undefined;
      const rare = { url: withoutFragment(request.url), redirected: redirects > 0, statusText, webSocket: socket };
      return fetchedResponse(rare, status, list, bodyId);
    }
    if (typeof bodyId === "number") op(OP.BODY_CANCEL, bodyId, "redirected");
    if (request.redirect === "error") throw new TypeError("Unexpected redirect: the request's redirect mode is \"error\".");
    if (redirects === REDIRECTS_MAX) throw new TypeError("Too many redirects.");
    redirect(request, status, location);
  }
}

function withoutFragment(url) {
  const hash = url.indexOf("#");
  return hash === -1 ? url : url.slice(0, hash);
}

// Changes a request into the one that a redirect asks for.
function redirect(request, status, location) {
  const parts = parseUrl(location, request.url);
  if (parts === undefined) throw new TypeError("Invalid Location header; unable to follow redirect.");
  const protocol = protocolOf(parts);
  if (protocol !== "http:" && protocol !== "https:") throw new TypeError("Invalid Location header; unable to follow redirect.");
  const toGet =
    ((status === 301 || status === 302) && request.method === "POST") ||
    (status === 303 && request.method !== "GET" && request.method !== "HEAD");
  if (toGet) {
    request.method = "GET";
    request.content = undefined;
    for (const name of ["content-encoding", "content-language", "content-location", "content-type", "content-length"]) {
      listDelete(request.list, name);
    }
  } else if (typeof request.content === "number") {
    throw new TypeError(
      "A request with a one-time-use body (it was initialized from a stream, not a buffer) encountered a redirect requiring the body to be retransmitted. To avoid this error in the future, construct this request from a buffer-like body initializer.",
    );
  }
  const before = parseUrl(request.url);
  if (originOf(before) !== originOf(parts)) {
    for (const name of ["authorization", "cookie", "proxy-authorization", "host"]) listDelete(request.list, name);
  }
  request.url = hashOf(parts) === "" ? hrefOf(parts) + hashOf(before) : hrefOf(parts);
}

// One exchange with the host. Rejects with the signal's reason when it aborts, or with the failure of the request's body.
function send({ code, door, signal, pump }, request) {
  return new Promise((resolve, reject) => {
    let id;
    const abort = (reason) => {
      op(OP.ABORT, id);
      reject(reason);
    };
    const complete = (value) => {
      if (signal !== undefined) removeAbortAlgorithm(signal, abort);
      if (value instanceof Error) reject(value);
      else resolve(value);
    };
    id = startWith(code, complete, [...door, request.method, withoutFragment(request.url), request.list, request.content]);
    if (signal !== undefined) addAbortAlgorithm(signal, abort);
    pump?.catch((error) => {
      op(OP.ABORT, id);
      reject(error);
    });
  });
}

// `new WebSocket(url)`.
setConnector(async (url, protocols) => {
  const headers = { upgrade: "websocket" };
  if (protocols.length > 0) headers["sec-websocket-protocol"] = protocols.join(", ");
  const request = { method: "GET", url: url.replace(/^ws/, "http"), list: Object.entries(headers).flat() };
  const reply = await send({ code: OP.FETCH, door: [] }, request);
  if (reply[0] !== 101 || typeof reply[4] !== "number") {
    throw new TypeError(`Failed to establish the WebSocket connection: expected server to reply with HTTP status code 101 (switching protocols); received ${reply[0]} instead.`);
  }
  return { id: reply[4], protocol: listGet(reply[2], "sec-websocket-protocol") ?? "" };
});
