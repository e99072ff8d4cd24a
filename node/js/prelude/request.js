// The `Request` class.
//
// **Owns** the head of a request. **Must not know** how requests are sent or answered. **Enter at** `Request`; `incomingRequest`
// builds one from a FETCH event without checking anything twice.

import { OP, op } from "./host.js";
import { Body, cloneSource, defaultType, initBody, initHostBody, setSource, sourceOf, takeSource } from "./body.js";
import { headersFrom, listFrom, listGet, listOfHeaders } from "./headers.js";
import { cancelSignal } from "./event-context.js";
import { createSignal, isAbortSignal } from "./abort.js";
import { webClass } from "./errors.js";
import { structuredClone } from "./structured-clone.js";

// Marks a construction by the prelude itself; tenant code can not reach it.
const INTERNAL = {};

// Methods that are written in upper case whatever the worker wrote. The standard leaves `patch` alone; Cloudflare does not.
const UPPER = new Map(
  ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"].map((name) => [name, name]),
);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN = new Set(["CONNECT", "TRACE", "TRACK"]);
const CACHE_MODES = new Set(["default", "no-store", "no-cache", "reload", "force-cache", "only-if-cached"]);

let isRequest;
let headOf;
let incomingRequest;
let listOf;
let copyHead;
let applyInit;
let initContent;

export class Request extends Body {
  #method = "GET";
  #url;
  // A flat list until somebody asks for the `Headers` over it.
  #head;
  // The JSON text that came with the event, or the object.
  #cf;
  // The event whose request this is: its headers can not be changed, and its signal aborts with the caller.
  #event;
  // { redirect, signal, integrity, keepalive, cache } where one differs from the default. Few fields, because every
  // request pays for each.
  #rare;

  static {
    isRequest = (value) => typeof value === "object" && value !== null && #method in value;
    listOf = (request) => (Array.isArray(request.#head) ? request.#head : listOfHeaders(request.#head));
    // What `fetch` needs: the signal only if one was given or asked for.
    headOf = (request) => ({
      method: request.#method,
      url: request.#url,
      list: listOf(request),
      redirect: request.redirect,
      signal: request.#rare?.signal,
    });
    incomingRequest = (event, method, url, list, body, cf) => {
      const request = new Request(INTERNAL);
      request.#method = method;
      request.#url = url;
      request.#head = list;
      request.#cf = cf;
      request.#event = event;
      if (body !== undefined) initHostBody(request, body, undefined);
      return request;
    };
    copyHead = (to, from) => {
      to.#method = from.#method;
      to.#url = from.#url;
      to.#head = listOf(from).slice();
      to.#cf = typeof from.#cf === "object" ? structuredClone(from.#cf) : from.#cf;
      to.#rare = from.#event === undefined ? from.#rare : { redirect: from.redirect, ...from.#rare, signal: from.signal };
    };
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
    };
    initContent = (to, from, given) => {
      const replaced = given !== undefined && given !== null;
      const inherited = given === undefined && from !== undefined && sourceOf(from) !== undefined;
      if ((replaced || inherited) && (to.#method === "GET" || to.#method === "HEAD")) {
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
    super();
    if (input === INTERNAL) return;
    if (init !== undefined && init !== null && typeof init !== "object" && typeof init !== "function") {
      throw new TypeError("Failed to construct 'Request': parameter 2 is not an object.");
    }
    const from = isRequest(input) ? input : undefined;
    if (from === undefined) {
      this.#url = parseUrl(`${input}`);
      this.#head = [];
    } else {
      copyHead(this, from);
    }
    if (init === undefined || init === null) {
      if (from !== undefined) initContent(this, from, undefined);
      return;
    }
    applyInit(this, init);
    initContent(this, from, init.body);
  }

  get method() {
    return this.#method;
  }

  get url() {
    return this.#url;
  }

  get headers() {
    if (Array.isArray(this.#head)) this.#head = headersFrom(this.#head, this.#event !== undefined);
    return this.#head;
  }

  get redirect() {
    // A worker that passes a request on passes redirects back, as on Cloudflare.
    return this.#rare?.redirect ?? (this.#event === undefined ? "follow" : "manual");
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

function parseUrl(text) {
  const parts = op(OP.URL_PARSE, text, undefined);
  if (parts === undefined) throw new TypeError(`Invalid URL: ${text}`);
  if (parts[2] !== "" || parts[3] !== "") {
    throw new TypeError(`Request cannot be constructed from a URL that includes credentials: ${text}`);
  }
  return parts[0];
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
