// The `Response` class.
//
// **Owns** the head of a response. **Must not know** how responses are sent. **Enter at** `Response`; `fetchedResponse` builds one
// from what the host received, `statusOf`, `headOf`, `rareOf` are what the dispatcher hands to the host.

import { Body, cloneSource, defaultType, hostSource, initBody, isEmpty, setSource, sourceOf } from "./body.js";
import { codingOf } from "./content-coding.js";
import { webClass } from "./errors.js";
import { host } from "./host.js";
import { cutBlock, headersFrom, isHeaders, listFrom, listGet, listOfHeaders, mayHave } from "./headers.js";
import { isWebSocket } from "./websocket.js";
import { hrefOf, parseUrl } from "./url-parts.js";

const NO_BODY = "Response with null body status (101, 204, 205, or 304) cannot have a body.";

const TEXT = "text/plain;charset=UTF-8";
const CODING = "content-encoding";

const { stamp } = host;

// Marks a construction by the prelude itself; tenant code can not reach it.
const INTERNAL = {};

let isResponse;
let statusOf;
let headOf;
let listOf;
let rareOf;
let fetchedResponse;
let addBody;
let jsonResponse;

export class Response extends Body {
  #status = 200;
  // A block from the host, or a flat list, until somebody asks for the `Headers` over it.
  #head;
  // { statusText, immutable, url, redirected, type, webSocket, cf, encodeBody } where one differs from the default. Three
  // fields in all, because every response that a worker makes pays for each.
  #rare;

  static {
    isResponse = (value) => typeof value === "object" && value !== null && #status in value;
    statusOf = (response) => response.#status;
    rareOf = (response) => response.#rare;
    // The live headers as a block or a flat list, as the host takes them.
    headOf = (response) => {
      const head = response.#head;
      return isHeaders(head) ? listOfHeaders(head) : head;
    };
    listOf = (response) => {
      const head = headOf(response);
      return typeof head === "string" ? (response.#head = cutBlock(head)) : head;
    };
    addBody = (response, body) => {
      let type = TEXT;
      if (typeof body !== "string") {
        initBody(response, body);
        type = defaultType;
      }
      if (response.#status !== 200 && isNullBodyStatus(response.#status)) {
        // What is known to be empty is let through, as on Cloudflare: much code answers 204 with "".
        if (!isEmpty(sourceOf(response))) throw new TypeError(NO_BODY);
        setSource(response, undefined);
      } else if (type !== null && listGet(response.#head, "content-type") === null) {
        response.#head.push("content-type", type);
      }
    };
    const model = new Response(INTERNAL);
    fetchedResponse = (rare, status, block, body) =>
      stamp(model, body === undefined || body === "" ? body : hostSource(body, codingIn(block)), status, block, rare);
    jsonResponse = (text) => stamp(model, text, 200, ["content-type", "application/json"]);
  }

  constructor(body = null, init = undefined) {
    // A string is the body itself; it is by far the most frequent one and gets the shortest way.
    super(typeof body === "string" ? body : undefined);
    if (body === INTERNAL) return;
    if (init === undefined || init === null) {
      if (typeof body === "string") {
        this.#head = ["content-type", TEXT];
        return;
      }
      this.#head = [];
    } else {
      if (typeof init !== "object" && typeof init !== "function") {
        throw new TypeError("Failed to construct 'Response': parameter 2 is not an object.");
      }
      const { status, statusText, headers, webSocket, cf, encodeBody } = init;
      this.#head = headers === undefined || headers === null ? [] : listFrom(headers);
      if (statusText || webSocket || cf || encodeBody !== undefined) {
        this.#rare = readRare(statusText, webSocket, cf, encodeBody);
      }
      if (webSocket || (status !== undefined && status !== 200)) this.#status = checkStatus(status ?? 200, webSocket || undefined);
    }
    if (body !== null) addBody(this, body);
  }

  static json(data, init = undefined) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("The data is not JSON serializable");
    if (init === undefined) return jsonResponse(text);
    const response = new Response(null, init);
    if (isNullBodyStatus(response.#status)) throw new TypeError(NO_BODY);
    setSource(response, text);
    if (listGet(response.#head, "content-type") === null) response.#head.push("content-type", "application/json");
    return response;
  }

  static redirect(url, status = 302) {
    const parts = parseUrl(`${url}`);
    if (parts === undefined) throw new TypeError(`Unable to parse URL: ${url}`);
    const code = Number(status) & 0xffff;
    if (!isRedirectStatus(code)) throw new RangeError(`${status} is not a redirect status code.`);
    const response = new Response(INTERNAL);
    response.#status = code;
    response.#head = ["location", hrefOf(parts)];
    response.#rare = { immutable: true };
    return response;
  }

  static error() {
    const response = new Response(INTERNAL);
    response.#status = 0;
    response.#head = [];
    response.#rare = { type: "error", immutable: true };
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
    return this.#rare?.statusText ?? "";
  }

  get headers() {
    if (!isHeaders(this.#head)) this.#head = headersFrom(listOf(this), this.#rare?.immutable ?? false);
    return this.#head;
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
    copy.#head = listOf(this).slice();
    copy.#rare = this.#rare;
    setSource(copy, source);
    return copy;
  }
}

webClass(Response);

// The members of the second argument that few responses have. A `Response` can be that argument: its getters answer.
function readRare(statusText, webSocket, cf, encodeBody) {
  const rare = {};
  if (webSocket) rare.webSocket = checkWebSocket(webSocket);
  if (statusText) rare.statusText = checkStatusText(statusText);
  if (cf) rare.cf = cf;
  if (encodeBody !== undefined) rare.encodeBody = checkEncodeBody(encodeBody);
  return rare;
}

// How the body has to be compressed on its way out, as the head (a block or a list) announces it.
export function bodyCoding(head, rare) {
  return rare?.encodeBody === "manual" ? undefined : codingIn(head);
}

function codingIn(head) {
  if (!mayHave(head, CODING)) return undefined;
  return codingOf(listGet(typeof head === "string" ? cutBlock(head) : head, CODING));
}

// Fetch standard, "null body status".
export function isNullBodyStatus(status) {
  return status === 204 || status === 304 || status === 101 || status === 205 || status === 103;
}

export function isRedirectStatus(status) {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

function checkWebSocket(value) {
  if (isWebSocket(value)) return value;
  throw new TypeError("Failed to construct 'Response': member webSocket is not of type WebSocket.");
}

function checkStatus(value, webSocket) {
  const status = Number(value) & 0xffff;
  if (webSocket !== undefined) {
    if (status !== 101) throw new RangeError("Responses with a WebSocket must have status code 101.");
  } else if (status < 200 || status > 599) {
    throw new RangeError("Responses may only be constructed with status codes in the range 200 to 599, inclusive.");
  }
  return status;
}

// RFC 9112 §4, "reason-phrase": a character is a byte.
const BAD_STATUS_TEXT = /[\0\r\n\u0100-\uffff]/;

function checkStatusText(value) {
  const text = `${value}`;
  if (BAD_STATUS_TEXT.test(text)) throw new TypeError("Invalid statusText");
  return text;
}

function checkEncodeBody(value) {
  const text = `${value}`;
  if (text !== "automatic" && text !== "manual") throw new TypeError(`encodeBody: unexpected value: ${text}`);
  return text;
}

export { fetchedResponse, headOf, isResponse, rareOf, statusOf };
