// `fetch`: outgoing requests and their redirects.
//
// **Owns** the path from a `Request` to a `Response`. **Must not know** what a request leaves by: `fetchThrough` takes a service
// binding's name, or none for the Internet, so that both share everything. **Enter at** `fetch`.

import { OP, host, op, start, startWith } from "./host.js";
import { addAbortAlgorithm, removeAbortAlgorithm, runsOnly } from "./abort.js";
import * as body from "./body.js";
import { flow, lengthOf, sendable } from "./body.js";
import { parseDataUrl } from "./data-url.js";
import { isLasting, waitsOnlyFor } from "./event-context.js";
import { cutBlock, listDelete, listGet } from "./headers.js";
import { Request, headOf, isRequest } from "./request.js";
import { fetchedResponse, isNullBodyStatus, isRedirectStatus } from "./response.js";
import { followSignal } from "./streams/host-body.js";
import { hostSocket, setConnector } from "./websocket.js";
import { hashOf, hrefOf, originOf, parseUrl, protocolOf } from "./url-parts.js";

// Fetch standard, "HTTP-redirect fetch".
const REDIRECTS_MAX = 20;
// BOUND: bytes, or UTF-16 units, of a body that leaves whole with its request: as much as the host holds of one that flows.
// What is sent whole waits for room together with everything else that the worker asks of the host, so it has to be small.
const WHOLE_MAX = 128 * 1024;

const { claim, promise, settle, stamp } = host;

// One fetch on its way; the first fields are what `headOf` knows of its request. `outcome` is the promise that `fetch`
// returned, `abort` what `signal` runs while the host works on it.
const CALL = {
  method: "",
  url: "",
  head: undefined,
  redirect: "",
  signal: undefined,
  outcome: undefined,
  binding: undefined,
  content: undefined,
  redirects: 0,
  abort: undefined,
  id: 0,
};

// The call that was sent last, if the host can hand its answer on without us: see `handOn`.
let latest;

// What a response has that came from outside: its first two fields differ from answer to answer.
const FETCHED = { url: "", statusText: "", immutable: true, redirected: false, webSocket: undefined };

export function fetch(input, init = undefined) {
  if (input === undefined) return Promise.reject(nothingToFetch("fetch"));
  return fetchThrough(undefined, input, init);
}

// Without an argument, or with `undefined`: counting arguments would cost every call an object.
export function nothingToFetch(method) {
  return new TypeError(`Failed to execute '${method}': a URL or a Request is required.`);
}

// Sends a request to a service binding, or to the Internet. One promise and no async function: a service binding is a
// function call, and should cost little more.
export function fetchThrough(binding, input, init) {
  const outcome = promise();
  try {
    const request = isRequest(input) && init === undefined ? input : new Request(input, init);
    const call = headOf(request, CALL);
    const { signal, url } = call;
    if (signal !== undefined && signal.aborted) throw signal.reason;
    if (!url.startsWith("http:") && !url.startsWith("https:")) {
      settle(outcome, answerAtOnce(call, binding), false);
      return outcome;
    }
    call.content = sendable(request, undefined);
    call.outcome = outcome;
    call.binding = binding;
    send(call, body.pump);
  } catch (error) {
    settle(outcome, error, true);
  }
  return outcome;
}

// The answer to a request that does not leave the isolate: one for a `data:` URL. A body comes with a GET only, as on
// Cloudflare.
function answerAtOnce({ url, method }, binding) {
  if (binding !== undefined || !url.startsWith("data:")) throw new TypeError(`Fetch API cannot load: ${url}`);
  const address = withoutFragment(url);
  const data = parseDataUrl(address);
  if (data === undefined) throw new TypeError("Invalid data: URL.");
  const content = method === "GET" ? data.bytes : undefined;
  return fetchedResponse(stamp(FETCHED, address, "OK"), 200, `content-type\n${data.type}`, content);
}

// One exchange with the host. Rejects with the signal's reason when it aborts, or with the failure of the request's body.
function send(call, pump) {
  const { binding, signal, method, head } = call;
  let { content } = call;
  if (lengthOf(content) > WHOLE_MAX) {
    // Each exchange lets it flow anew.
    content = flow(content);
    ({ pump } = body);
  }
  const url = withoutFragment(call.url);
  const id =
    binding === undefined
      ? startWith(OP.FETCH, arrived, [method, url, head, content], call, forget)
      : startWith(OP.SERVICE_FETCH, arrived, [binding, method, url, head, content], call, forget);
  call.id = id;
  latest = pump === undefined && call.redirect === "manual" ? call : undefined;
  if (signal !== undefined) {
    call.abort = (reason) => {
      op(OP.ABORT, id);
      settle(call.outcome, reason, true);
    };
    addAbortAlgorithm(signal, call.abort);
  }
  pump?.catch((error) => {
    op(OP.ABORT, id);
    settle(call.outcome, error, true);
  });
}

function forget() {
  latest = undefined;
}

// The references to `result` that `handOn` and its caller hold: the argument, and a variable. Those to the event: an argument, a
// variable, its request and its operation; and the table of events that last, when it is there.
const OWN_RESULT = 2;
const OWN_EVENT = 4;

// A handler returned `result`, kept in one variable. When that is the promise of a fetch which is all that the event waits for,
// and which nobody else has seen, as in `return env.API.fetch(request)`, the host gives its answer to the caller as it is:
// this isolate has nothing left to do. False where it has.
export function handOn(event, result) {
  const call = latest;
  latest = undefined;
  if (call === undefined || !waitsOnlyFor(event, call.id, call.signal)) return false;
  // It ends with its caller, so that signal needs no watching; but others may watch it.
  if (call.signal !== undefined && !runsOnly(call.signal, call.abort)) return false;
  if (!claim(result, call.outcome, OWN_RESULT, isLasting(event) ? OWN_EVENT + 1 : OWN_EVENT)) return false;
  op(OP.HAND_ON, call.id);
  return true;
}

// The host's reply: an Error, or [status, status text, block of headers, body id, socket id].
function arrived(reply, call) {
  forget();
  if (call.abort !== undefined) removeAbortAlgorithm(call.signal, call.abort);
  try {
    if (!Array.isArray(reply)) throw reply;
    const status = reply[0];
    const location = isRedirectStatus(status) && call.redirect !== "manual" ? listGet(cutBlock(reply[2]), "location") : null;
    if (location === null) settle(call.outcome, answer(call, reply), false);
    else follow(call, status, location, reply[3]);
  } catch (error) {
    settle(call.outcome, error, true);
  }
}

function answer(call, reply) {
  const status = reply[0];
  const block = reply[2];
  const socketId = reply[4];
  const content = contentOf(call.method, status, reply[3]);
  if (call.signal !== undefined && typeof content === "number") followSignal(content, call.signal);
  const rare = stamp(FETCHED, withoutFragment(call.url), reply[1]);
  if (call.redirects > 0) rare.redirected = true;
  if (typeof socketId === "number") rare.webSocket = hostSocket(socketId, listGet(cutBlock(block), "sec-websocket-protocol"));
  return fetchedResponse(rare, status, block, content);
}

// The body of an answer, by what the host has of it: none where there can be none, else one that may be empty (Fetch
// standard, "main fetch").
function contentOf(method, status, bodyId) {
  if (method !== "HEAD" && !isNullBodyStatus(status)) return bodyId ?? "";
  if (typeof bodyId === "number") op(OP.BODY_CANCEL, bodyId, "the response has no body");
  return undefined;
}

function follow(call, status, location, bodyId) {
  if (typeof bodyId === "number") op(OP.BODY_CANCEL, bodyId, "redirected");
  if (call.redirect === "error") throw new TypeError("Unexpected redirect: the request's redirect mode is \"error\".");
  if (call.redirects === REDIRECTS_MAX) throw new TypeError("Too many redirects.");
  call.redirects += 1;
  redirect(call, status, location);
  send(call, undefined);
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
  if (typeof request.head === "string") request.head = cutBlock(request.head);
  const toGet =
    ((status === 301 || status === 302) && request.method === "POST") ||
    (status === 303 && request.method !== "GET" && request.method !== "HEAD");
  if (toGet) {
    request.method = "GET";
    request.content = undefined;
    for (const name of ["content-encoding", "content-language", "content-location", "content-type", "content-length"]) {
      listDelete(request.head, name);
    }
  } else if (typeof request.content === "number") {
    throw new TypeError(
      "A request with a one-time-use body (it was initialized from a stream, not a buffer) encountered a redirect requiring the body to be retransmitted. To avoid this error in the future, construct this request from a buffer-like body initializer.",
    );
  }
  const before = parseUrl(request.url);
  if (originOf(before) !== originOf(parts)) {
    for (const name of ["authorization", "cookie", "proxy-authorization", "host"]) listDelete(request.head, name);
  }
  request.url = hashOf(parts) === "" ? hrefOf(parts) + hashOf(before) : hrefOf(parts);
}

// `new WebSocket(url)`.
setConnector(async (url, protocols) => {
  const head = ["upgrade", "websocket"];
  if (protocols.length > 0) head.push("sec-websocket-protocol", protocols.join(", "));
  const reply = await start(OP.FETCH, "GET", withoutFragment(url.replace(/^ws/, "http")), head, undefined);
  if (reply[0] !== 101 || typeof reply[4] !== "number") {
    throw new TypeError(`Failed to establish the WebSocket connection: expected server to reply with HTTP status code 101 (switching protocols); received ${reply[0]} instead.`);
  }
  return { id: reply[4], protocol: listGet(cutBlock(reply[2]), "sec-websocket-protocol") ?? "" };
});
