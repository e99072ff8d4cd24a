// The `Response` class.
//
// Owns the head of a response. Must not know how responses are sent. Enter at `Response`; `fetchedResponse` builds one
// from what the host received, `statusOf`, `listOf`.. are what the dispatcher hands to the host.

import { OP, op } from "./host.js";
import { Body, cloneSource, defaultType, initBody, initHostBody, setSource, sourceOf } from "./body.js";
import { codingOf } from "./content-coding.js";
import { webClass } from "./errors.js";
import { headerValue } from "./header-text.js";
import { headersFrom, listFrom, listGet, listOfHeaders } from "./headers.js";
import { isWebSocket } from "./websocket.js";

// Marks a construction by the prelude itself; tenant code can not reach it.
const INTERNAL = {};

let isResponse;
let statusOf;
let listOf;
let statusTextOf;
let socketOf;
let bodyCodingOf;
let fetchedResponse;

export class Response extends Body {
  #status = 200;
  #statusText = "";
  // A flat list until somebody asks for the `Headers` over it.
  #list;
  #headers;
  #immutable = false;
  // { url, redirected, type, webSocket, cf, encodeBody } where one differs from the default.
  #rare;

  static {
    isResponse = (value) => typeof value === "object" && value !== null && #status in value;
    statusOf = (response) => response.#status;
    statusTextOf = (response) => response.#statusText;
    listOf = (response) => (response.#headers === undefined ? response.#list : listOfHeaders(response.#headers));
    socketOf = (response) => response.#rare?.webSocket;
    // How the body has to be compressed on its way out, as the head announces it.
    bodyCodingOf = (response) => {
      if (response.#rare?.encodeBody === "manual") return undefined;
      return codingOf(listGet(listOf(response), "content-encoding"));
    };
    fetchedResponse = (url, redirected, status, statusText, list, body, webSocket) => {
      const response = new Response(INTERNAL);
      response.#status = status;
      response.#statusText = statusText;
      response.#list = list;
      response.#immutable = true;
      response.#rare = { url, redirected, webSocket };
      if (body !== undefined) initHostBody(response, body, codingOf(listGet(list, "content-encoding")));
      return response;
    };
  }

  constructor(body = null, init = undefined) {
    super();
    if (body === INTERNAL) return;
    if (init === undefined || init === null) {
      this.#list = [];
    } else {
      this.#applyInit(init);
    }
    if (body === null) return;
    initBody(this, body);
    if (isNullBodyStatus(this.#status)) {
      const source = sourceOf(this);
      // An empty string is let through, as on Cloudflare: much code answers 204 with one.
      if (typeof source === "string" && source === "") setSource(this, undefined);
      else throw new TypeError("Response with null body status (101, 204, 205, or 304) cannot have a body.");
    } else if (defaultType !== null && listGet(this.#list, "content-type") === null) {
      this.#list.push("content-type", defaultType);
    }
  }

  #applyInit(init) {
    if (typeof init !== "object" && typeof init !== "function") {
      throw new TypeError("Failed to construct 'Response': parameter 2 is not an object.");
    }
    const { status, statusText, headers, webSocket, cf, encodeBody } = init;
    this.#list = headers === undefined || headers === null ? [] : listFrom(headers);
    if (webSocket !== undefined && webSocket !== null && !isWebSocket(webSocket)) {
      throw new TypeError("Failed to construct 'Response': member webSocket is not of type WebSocket.");
    }
    if (status !== undefined || webSocket) this.#status = checkStatus(status ?? 200, webSocket ?? null);
    if (statusText !== undefined) this.#statusText = checkStatusText(statusText);
    if (webSocket || (cf !== undefined && cf !== null) || encodeBody !== undefined) {
      this.#rare = { webSocket: webSocket ?? undefined, cf: cf ?? undefined, encodeBody: checkEncodeBody(encodeBody) };
    }
  }

  static json(data, init = undefined) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("The data is not JSON serializable");
    const response = new Response(null, init);
    if (isNullBodyStatus(response.#status)) {
      throw new TypeError("Response with null body status (101, 204, 205, or 304) cannot have a body.");
    }
    setSource(response, text);
    if (listGet(response.#list, "content-type") === null) response.#list.push("content-type", "application/json");
    return response;
  }

  static redirect(url, status = 302) {
    const parts = op(OP.URL_PARSE, `${url}`, undefined);
    if (parts === undefined) throw new TypeError(`Unable to parse URL: ${url}`);
    const code = Number(status) & 0xffff;
    if (!isRedirectStatus(code)) throw new RangeError(`${status} is not a redirect status code.`);
    const response = new Response(INTERNAL);
    response.#status = code;
    response.#list = ["location", parts[0]];
    response.#immutable = true;
    return response;
  }

  static error() {
    const response = new Response(INTERNAL);
    response.#status = 0;
    response.#list = [];
    response.#immutable = true;
    response.#rare = { type: "error" };
    return response;
  }

  get type() {
    return this.#rare?.type ?? "default";
  }

  get url() {
    return this.#rare?.url ?? "";
  }

  get redirected() {
    return this.#rare?.redirected ?? false;
  }

  get status() {
    return this.#status;
  }

  get ok() {
    return this.#status >= 200 && this.#status < 300;
  }

  get statusText() {
    return this.#statusText;
  }

  get headers() {
    this.#headers ??= headersFrom(this.#list, this.#immutable);
    return this.#headers;
  }

  get webSocket() {
    return this.#rare?.webSocket ?? null;
  }

  get cf() {
    return this.#rare?.cf;
  }

  get encodeBody() {
    return this.#rare?.encodeBody ?? "automatic";
  }

  clone() {
    if (this.#rare?.webSocket !== undefined) {
      throw new TypeError("Cannot clone a response to a WebSocket handshake.");
    }
    const source = cloneSource(this);
    const copy = new Response(INTERNAL);
    copy.#status = this.#status;
    copy.#statusText = this.#statusText;
    copy.#list = listOf(this).slice();
    copy.#immutable = this.#immutable;
    copy.#rare = this.#rare;
    setSource(copy, source);
    return copy;
  }
}

webClass(Response);

function isNullBodyStatus(status) {
  return status === 204 || status === 304 || status === 101 || status === 205;
}

export function isRedirectStatus(status) {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

function checkStatus(value, webSocket) {
  const status = typeof value === "number" ? value & 0xffff : Number(value) & 0xffff;
  if (webSocket !== null) {
    if (status !== 101) throw new RangeError("Responses with a WebSocket must have status code 101.");
  } else if (status < 200 || status > 599) {
    throw new RangeError("Responses may only be constructed with status codes in the range 200 to 599, inclusive.");
  }
  return status;
}

function checkStatusText(value) {
  const text = `${value}`;
  if (text === "") return text;
  try {
    headerValue(text);
  } catch {
    throw new TypeError("Invalid statusText");
  }
  return text;
}

function checkEncodeBody(value) {
  if (value === undefined) return undefined;
  const text = `${value}`;
  if (text !== "automatic" && text !== "manual") throw new TypeError(`encodeBody: unexpected value: ${text}`);
  return text;
}

export { bodyCodingOf, fetchedResponse, isResponse, listOf, socketOf, statusOf, statusTextOf };
