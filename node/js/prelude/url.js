// URL (URL standard §6.1). Parsing is the host's; this file keeps the parts.
//
// **Owns** the object and its live `searchParams`. **Must not know** how URLs are parsed. **Enter at** `URL`.

import { OP, op } from "./host.js";
import { requireArguments, toDOMString, toUSVString, webClass } from "./errors.js";
import { linkedParams, resetParams, URLSearchParams } from "./url-search-params.js";

// The places of URL_PARSE's reply (OPS.md).
const HREF = 0, PROTOCOL = 1, USERNAME = 2, PASSWORD = 3, HOST = 4, HOSTNAME = 5, PORT = 6, PATHNAME = 7, SEARCH = 8,
  HASH = 9, ORIGIN = 10;

function parse(url, base) {
  return op(OP.URL_PARSE, toDOMString(url), base === undefined ? undefined : toDOMString(base));
}

export class URL {
  #parts;
  #searchParams = undefined;

  constructor(url, base = undefined) {
    requireArguments(arguments.length, 1, "URL");
    // Only `URL.parse` passes a list: it has parsed already.
    this.#parts = url === PARSED ? base : parse(url, base);
    if (this.#parts === undefined) throw invalid(url);
  }

  static canParse(url, base = undefined) {
    requireArguments(arguments.length, 1, "canParse");
    return parse(url, base) !== undefined;
  }

  static parse(url, base = undefined) {
    requireArguments(arguments.length, 1, "parse");
    const parts = parse(url, base);
    return parts === undefined ? null : new URL(PARSED, parts);
  }

  get href() { return this.#parts[HREF]; }
  set href(value) {
    const parts = parse(value, undefined);
    if (parts === undefined) throw invalid(value);
    this.#replace(parts);
  }

  get origin() { return this.#parts[ORIGIN]; }

  get protocol() { return this.#parts[PROTOCOL]; }
  set protocol(value) { this.#set("protocol", value); }

  get username() { return this.#parts[USERNAME]; }
  set username(value) { this.#set("username", value); }

  get password() { return this.#parts[PASSWORD]; }
  set password(value) { this.#set("password", value); }

  get host() { return this.#parts[HOST]; }
  set host(value) { this.#set("host", value); }

  get hostname() { return this.#parts[HOSTNAME]; }
  set hostname(value) { this.#set("hostname", value); }

  get port() { return this.#parts[PORT]; }
  set port(value) { this.#set("port", value); }

  get pathname() { return this.#parts[PATHNAME]; }
  set pathname(value) { this.#set("pathname", value); }

  get search() { return this.#parts[SEARCH]; }
  set search(value) { this.#set("search", value); }

  get searchParams() {
    return (this.#searchParams ??= linkedParams(this.#parts[SEARCH], (query) => this.#setQuery(query)));
  }

  get hash() { return this.#parts[HASH]; }
  set hash(value) { this.#set("hash", value); }

  toString() { return this.#parts[HREF]; }
  toJSON() { return this.#parts[HREF]; }

  #set(component, value) {
    this.#replace(op(OP.URL_SET, this.#parts[HREF], component, toUSVString(value)));
  }

  #replace(parts) {
    const changed = parts[SEARCH] !== this.#parts[SEARCH];
    this.#parts = parts;
    if (changed && this.#searchParams !== undefined) resetParams(this.#searchParams, parts[SEARCH]);
  }

  /** The parameters changed: they have their new list already. */
  #setQuery(query) {
    this.#parts = op(OP.URL_SET, this.#parts[HREF], "search", query);
  }
}
webClass(URL);

const PARSED = Symbol("parsed");

function invalid(url) {
  return new TypeError(`Invalid URL string: ${toDOMString(url)}`);
}

export { URLSearchParams };
