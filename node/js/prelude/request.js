// The `Request` class.
//
// Owns the head of a request. Must not know how requests are sent or answered. Enter at `Request`; `incomingRequest`
// builds one from a FETCH event without checking anything twice.

import { OP, op } from "./host.js";
import { Body, cloneSource, defaultType, initBody, initHostBody, setSource, sourceOf, takeSource } from "./body.js";
import { headersFrom, listFrom, listGet, listOfHeaders } from "./headers.js";
import { cancelSignal } from "./request-state.js";
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

export class Request extends Body {
  #method = "GET";
  #url;
  // A flat list until somebody asks for the `Headers` over it.
  #list;
  #headers;
  #redirect = "follow";
  #signal;
  // The JSON text that came with the event, or the object.
  #cf;
  #state;
  // Whether the headers are those of an event, which can not be changed.
  #immutable = false;
  // { integrity, keepalive, cache } where one was given.
  #rare;

  static {
    isRequest = (value) => typeof value === "object" && value !== null && #method in value;
    // What `fetch` needs: the list is live, the signal only if one was given or asked for.
    headOf = (request) => ({
      method: request.#method,
      url: request.#url,
      list: request.#headers === undefined ? request.#list : listOfHeaders(request.#headers),
      redirect: request.#redirect,
      signal: request.#signal,
      cf: request.#cf,
      state: request.#state,
    });
    incomingRequest = (state, method, url, list, body, cf) => {
      const request = new Request(INTERNAL);
      request.#method = method;
      request.#url = url;
      request.#list = list;
      request.#redirect = "manual";
      request.#cf = cf;
      request.#state = state;
      request.#immutable = true;
      if (body !== undefined) initHostBody(request, body, undefined);
      return request;
    };
  }

  constructor(input, init = undefined) {
    super();
    if (input === INTERNAL) return;
    if (arguments.length < 1) {
      throw new TypeError("Failed to construct 'Request': 1 argument required, but only 0 present.");
    }
    if (init !== undefined && init !== null && typeof init !== "object" && typeof init !== "function") {
      throw new TypeError("Failed to construct 'Request': parameter 2 is not an object.");
    }
    const from = isRequest(input) ? input : undefined;
    if (from === undefined) {
      this.#url = parseUrl(`${input}`);
      this.#list = [];
    } else {
      this.#copyHead(from);
    }
    if (init !== undefined && init !== null) this.#applyInit(init);
    this.#initContent(from, init ?? {});
  }

  #copyHead(from) {
    this.#method = from.#method;
    this.#url = from.#url;
    this.#list = (from.#headers === undefined ? from.#list : listOfHeaders(from.#headers)).slice();
    this.#redirect = from.#redirect;
    this.#signal = from.#signal;
    this.#state = from.#state;
    this.#cf = typeof from.#cf === "object" ? structuredClone(from.#cf) : from.#cf;
    this.#rare = from.#rare;
  }

  #applyInit(init) {
    const { method, headers, redirect, signal, cf, integrity, keepalive, cache } = init;
    if (method !== undefined) this.#method = normalMethod(method);
    if (headers !== undefined) this.#list = listFrom(headers);
    if (redirect !== undefined) this.#redirect = checkRedirect(redirect);
    if (signal !== undefined) {
      if (signal !== null && !isAbortSignal(signal)) {
        throw new TypeError("Failed to construct 'Request': member signal is not of type AbortSignal.");
      }
      this.#signal = signal ?? undefined;
      this.#state = undefined;
    }
    if (cf !== undefined && cf !== null) this.#cf = cf;
    if (integrity === undefined && keepalive === undefined && cache === undefined) return;
    this.#rare = { ...this.#rare };
    if (integrity !== undefined) this.#rare.integrity = `${integrity}`;
    if (keepalive !== undefined) this.#rare.keepalive = Boolean(keepalive);
    if (cache !== undefined) this.#rare.cache = checkCache(cache);
  }

  #initContent(from, init) {
    const given = init.body;
    const replaced = given !== undefined && given !== null;
    const bodyless = this.#method === "GET" || this.#method === "HEAD";
    if (bodyless && (replaced || (given === undefined && from !== undefined && sourceOf(from) !== undefined))) {
      throw new TypeError("Request with a GET or HEAD method cannot have a body.");
    }
    if (replaced) {
      initBody(this, given);
      if (defaultType !== null && listGet(this.#list, "content-type") === null) {
        this.#list.push("content-type", defaultType);
      }
    } else if (from !== undefined && given !== null) {
      setSource(this, takeSource(from));
    }
  }

  get method() {
    return this.#method;
  }

  get url() {
    return this.#url;
  }

  get headers() {
    this.#headers ??= headersFrom(this.#list, this.#immutable);
    return this.#headers;
  }

  get redirect() {
    return this.#redirect;
  }

  get signal() {
    this.#signal ??= this.#state === undefined ? createSignal() : cancelSignal(this.#state);
    return this.#signal;
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
    const copy = new Request(INTERNAL);
    const source = cloneSource(this);
    copy.#copyHead(this);
    copy.#immutable = this.#immutable;
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

function checkCache(cache) {
  const text = `${cache}`;
  if (CACHE_MODES.has(text)) return text;
  throw new TypeError(`Unsupported cache mode: ${text}`);
}

export { headOf, incomingRequest, isRequest };
