// URL (URL standard §6.1). Parsing is the host's; this file keeps the parts.
//
// **Owns** the object and its live `searchParams`. **Must not know** how URLs are parsed. **Enter at** `URL`.

import { requireArguments, toDOMString, toUSVString, webClass } from "./errors.js";
import {
  hashOf, hostnameOf, hostOf, hrefOf, originOf, parseUrl, passwordOf, pathnameOf, portOf, protocolOf, searchOf, usernameOf,
  withComponent,
} from "./url-parts.js";
import { linkedParams, resetParams, URLSearchParams } from "./url-search-params.js";

function parse(url, base) {
  return parseUrl(toDOMString(url), base === undefined ? undefined : toDOMString(base));
}

export class URL {
  #parts;
  #searchParams;

  // No arity check, which would cost: without arguments this is "undefined", which is no URL.
  constructor(url, base = undefined) {
    // Only `URL.parse` passes a list: it has parsed already.
    const parts = url === PARSED ? base : parse(url, base);
    if (parts === undefined) throw invalid(url);
    this.#parts = parts;
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

  get href() { return hrefOf(this.#parts); }
  set href(value) {
    const parts = parse(value, undefined);
    if (parts === undefined) throw invalid(value);
    this.#replace(parts);
  }

  get origin() { return originOf(this.#parts); }

  get protocol() { return protocolOf(this.#parts); }
  set protocol(value) { this.#set("protocol", value); }

  get username() { return usernameOf(this.#parts); }
  set username(value) { this.#set("username", value); }

  get password() { return passwordOf(this.#parts); }
  set password(value) { this.#set("password", value); }

  get host() { return hostOf(this.#parts); }
  set host(value) { this.#set("host", value); }

  get hostname() { return hostnameOf(this.#parts); }
  set hostname(value) { this.#set("hostname", value); }

  get port() { return portOf(this.#parts); }
  set port(value) { this.#set("port", value); }

  get pathname() { return pathnameOf(this.#parts); }
  set pathname(value) { this.#set("pathname", value); }

  get search() { return searchOf(this.#parts); }
  set search(value) { this.#set("search", value); }

  get searchParams() {
    return (this.#searchParams ??= linkedParams(searchOf(this.#parts), (query) => this.#setQuery(query)));
  }

  get hash() { return hashOf(this.#parts); }
  set hash(value) { this.#set("hash", value); }

  toString() { return hrefOf(this.#parts); }
  toJSON() { return hrefOf(this.#parts); }

  #set(component, value) {
    this.#replace(withComponent(this.#parts, component, toUSVString(value)));
  }

  #replace(parts) {
    const before = this.#parts;
    this.#parts = parts;
    if (this.#searchParams === undefined) return;
    const query = searchOf(parts);
    if (query !== searchOf(before)) resetParams(this.#searchParams, query);
  }

  /** The parameters changed: they have their new list already. */
  #setQuery(query) {
    this.#parts = withComponent(this.#parts, "search", query);
  }
}
webClass(URL);

const PARSED = Symbol("parsed");

function invalid(url) {
  return new TypeError(`Invalid URL string: ${toDOMString(url)}`);
}

export { URLSearchParams };
