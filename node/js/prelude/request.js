// The `Request` class.
//
// **Owns** the head of a request. **Must not know** how requests are sent or answered. **Enter at** `Request`; `incomingRequest`
// builds one from a FETCH event without checking anything twice.

import { Body, cloneSource, defaultType, hostSource, initBody, setSource, sourceOf, takeSource } from "./body.js";
import { cutBlock, headersFrom, isHeaders, listFrom, listGet, listOfHeaders } from "./headers.js";
import { cancelSignal } from "./event-context.js";
import { createSignal, isAbortSignal } from "./abort.js";
import { webClass } from "./errors.js";
import { host } from "./host.js";
import { structuredClone } from "./structured-clone.js";
import { hrefOf, parseUrl, passwordOf, usernameOf } from "./url-parts.js";

// Marks a construction by the prelude itself; tenant code can not reach it.
const INTERNAL = {};

// Methods that are written in upper case whatever the worker wrote. The standard leaves `patch` alone; Cloudflare does not.
const UPPER = new Map(
  ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"].map((name) => [name, name]),
);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN = new Set(["CONNECT", "TRACE", "TRACK"]);
const CACHE_MODES = new Set(["default", "no-store", "no-cache", "reload", "force-cache", "only-if-cached"]);

const { stamp } = host;

let isRequest;
let headOf;
let incomingRequest;
let listOf;
let copyHead;
let applyInit;
let initContent;
let redirectOf;

export class Request extends Body {
  #method = "GET";
  #url = "";
  // A block from the host, or a flat list, until somebody asks for the `Headers` over it.
  #head;
  // The event whose request this is: its headers can not be changed, and its signal aborts with the caller.
  #event;
  // The JSON text that came with the event, or the object.
  #cf;
  // { redirect, signal, integrity, keepalive, cache } where one differs from the default.
  #rare;

  static {
    isRequest = (value) => typeof value === "object" && value !== null && #method in value;
    listOf = (request) => {
      const head = request.#head;
      if (typeof head === "string") return (request.#head = cutBlock(head));
      return isHeaders(head) ? listOfHeaders(head) : head;
    };
    // What `fetch` needs, as the first fields of a copy of `call`: the method, the URL, a head of its own, the redirect mode,
    // and the signal if one was given or asked for.
    headOf = (request, call) => {
      const head = request.#head;
      const own = typeof head === "string" ? head : listOf(request).slice();
      return stamp(call, request.#method, request.#url, own, redirectOf(request), request.#rare?.signal);
    };
    const model = new Request(INTERNAL);
    incomingRequest = (event, method, url, block, body, cf) =>
      stamp(model, hostSource(body, undefined), method, url, block, event, cf);
    // A worker that passes a request on passes redirects back, as on Cloudflare.
    redirectOf = (request) => request.#rare?.redirect ?? (request.#event === undefined ? "follow" : "manual");
    copyHead = (to, from) => {
      const cf = from.#cf;
      to.#method = from.#method;
      to.#url = from.#url;
      to.#cf = typeof cf === "object" ? structuredClone(cf) : cf;
      to.#head = listOf(from).slice();
      to.#rare = from.#event === undefined ? from.#rare : { redirect: from.redirect, ...from.#rare, signal: from.signal };
    };
    // Returns whether there is a method among it.
    applyInit = (to, init) => {
      const { method, headers, redirect, signal, cf, integrity, keepalive, cache } = init;
      if (method !== undefined) to.#method = normalMethod(method);
      if (headers !== undefined) to.#head = listFrom(headers);
      if (cf !== undefined && cf !== null) to.#cf = cf;
      if (redirect !== undefined) to.#rare = { ...to.#rare, redirect: checkRedirect(redirect) };
      if (signal !== undefined) to.#rare = { ...to.#rare, signal: checkSignal(signal) };
      if (integrity !== undefined) to.#rare = { ...to.#rare, integrity: `${integrity}` };
      if (keepalive !== undefined) to.#rare = { ...to.#rare, keepalive: Boolean(keepalive) };
      if (cache !== undefined) to.#rare = { ...to.#rare, cache: checkCache(cache) };
      return method !== undefined;
    };
    initContent = (to, from, init, isMethodGiven) => {
      const given = init?.body;
      const replaced = given !== undefined && given !== null;
      const inherited = given === undefined && from !== undefined && sourceOf(from) !== undefined;
      const method = to.#method;
      // A GET that came with a body may be copied as it is, as on Cloudflare: what a proxy got, it passes on.
      const isOwn = (replaced && !isRequest(init)) || (inherited && isMethodGiven);
      if (isOwn && (method === "GET" || method === "HEAD")) {
        throw new TypeError("Request with a GET or HEAD method cannot have a body.");
      }
      if (replaced) {
        initBody(to, given);
        if (defaultType !== null && listGet(to.#head, "content-type") === null) {
          to.#head.push("content-type", defaultType);
        }
      } else if (inherited) {
        setSource(to, takeSource(from));
      }
    };
  }

  constructor(input, init = undefined) {
    super(undefined);
    if (input === INTERNAL) return;
    if (init !== undefined && init !== null && typeof init !== "object" && typeof init !== "function") {
      throw new TypeError("Failed to construct 'Request': parameter 2 is not an object.");
    }
    const from = isRequest(input) ? input : undefined;
    if (from === undefined) {
      this.#url = requestUrl(`${input}`);
      this.#head = [];
    } else {
      copyHead(this, from);
    }
    if (init === undefined || init === null) {
      if (from !== undefined) initContent(this, from, undefined, false);
      return;
    }
    initContent(this, from, init, applyInit(this, init));
  }

  get method() {
    return this.#method;
  }

  get url() {
    return this.#url;
  }

  get headers() {
    if (!isHeaders(this.#head)) this.#head = headersFrom(listOf(this), this.#event !== undefined);
    return this.#head;
  }

  get redirect() {
    return redirectOf(this);
  }

  get signal() {
    const signal = this.#rare?.signal;
    if (signal !== undefined) return signal;
    this.#rare = { ...this.#rare, signal: this.#event === undefined ? createSignal() : cancelSignal(this.#event) };
    return this.#rare.signal;
  }

  get cf() {
    if (typeof this.#cf === "string") this.#cf = JSON.parse(this.#cf);
    return this.#cf;
  }

  get integrity() {
    return this.#rare?.integrity ?? "";
  }

  get keepalive() {
    return this.#rare?.keepalive ?? false;
  }

  get cache() {
    return this.#rare?.cache ?? "default";
  }

  clone() {
    const source = cloneSource(this);
    const copy = new Request(INTERNAL);
    copyHead(copy, this);
    copy.#event = this.#event;
    setSource(copy, source);
    return copy;
  }
}

webClass(Request);

function requestUrl(text) {
  const parts = parseUrl(text);
  if (parts === undefined) throw new TypeError(`Invalid URL: ${text}`);
  if (usernameOf(parts) !== "" || passwordOf(parts) !== "") {
    throw new TypeError(`Request cannot be constructed from a URL that includes credentials: ${text}`);
  }
  return hrefOf(parts);
}

function normalMethod(method) {
  const known = UPPER.get(method);
  if (known !== undefined) return known;
  const text = `${method}`;
  const upper = text.toUpperCase();
  if (!TOKEN.test(text) || FORBIDDEN.has(upper)) throw new TypeError(`Invalid HTTP method string: ${text}`);
  return UPPER.get(upper) ?? text;
}

function checkRedirect(redirect) {
  const text = `${redirect}`;
  if (text === "follow" || text === "manual" || text === "error") return text;
  throw new TypeError(`Invalid redirect value "${text}", must be one of "follow", "manual" or "error".`);
}

function checkSignal(signal) {
  if (signal === null) return undefined;
  if (isAbortSignal(signal)) return signal;
  throw new TypeError("Failed to construct 'Request': member signal is not of type AbortSignal.");
}

function checkCache(cache) {
  const text = `${cache}`;
  if (CACHE_MODES.has(text)) return text;
  throw new TypeError(`Unsupported cache mode: ${text}`);
}

export { headOf, incomingRequest, isRequest };
