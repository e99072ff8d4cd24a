// The parts of a parsed URL.
//
// **Owns** how the host's answer (OPS.md, URL_PARSE) is cut up. The answer is a list of the whole and of places in it: most
// parts of most URLs are never asked for, so each is cut out when it is. **Must not know** the URL class. **Enter at**
// `parseUrl`.

import { OP, op } from "./host.js";

// Places in the list.
const HREF = 0, SCHEME_END = 1, USERNAME = 2, USERNAME_END = 3, PASSWORD = 4, PASSWORD_END = 5, HOST = 6, HOST_END = 7,
  PORT_END = 8, PATH = 9, PATH_END = 10, QUERY_END = 11;

// BOUND: one. A request's URL is parsed again by every layer that looks at it, and by the next request for the same.
let lastText;
let lastParts;

/** The parts of `text`, or undefined when it is not a URL. The list is never changed, so it may be shared. */
export function parseUrl(text, base = undefined) {
  if (base !== undefined) return op(OP.URL_PARSE, text, base);
  if (text !== lastText) {
    lastParts = op(OP.URL_PARSE, text, undefined);
    lastText = text;
  }
  return lastParts;
}

/** The parts of `parts` after one component was assigned `value`: the same when the standard ignores it. */
export function withComponent(parts, component, value) {
  return op(OP.URL_SET, parts[HREF], component, value);
}

export function hrefOf(parts) {
  return parts[HREF];
}

export function protocolOf(parts) {
  return parts[HREF].slice(0, parts[SCHEME_END] + 1);
}

export function usernameOf(parts) {
  return parts[HREF].slice(parts[USERNAME], parts[USERNAME_END]);
}

export function passwordOf(parts) {
  return parts[HREF].slice(parts[PASSWORD], parts[PASSWORD_END]);
}

export function hostOf(parts) {
  return parts[HREF].slice(parts[HOST], parts[PORT_END]);
}

export function hostnameOf(parts) {
  return parts[HREF].slice(parts[HOST], parts[HOST_END]);
}

export function portOf(parts) {
  return parts[HREF].slice(parts[HOST_END] + 1, parts[PORT_END]);
}

export function pathnameOf(parts) {
  return parts[HREF].slice(parts[PATH], parts[PATH_END]);
}

/** With its `?`; empty when nothing follows it. */
export function searchOf(parts) {
  return parts[QUERY_END] - parts[PATH_END] > 1 ? parts[HREF].slice(parts[PATH_END], parts[QUERY_END]) : "";
}

/** With its `#`; empty when nothing follows it. */
export function hashOf(parts) {
  return parts[HREF].length - parts[QUERY_END] > 1 ? parts[HREF].slice(parts[QUERY_END]) : "";
}

/** The serialized origin (URL standard §4.7). */
export function originOf(parts) {
  const protocol = protocolOf(parts);
  switch (protocol) {
    case "http:":
    case "https:":
    case "ws:":
    case "wss:":
    case "ftp:":
      return `${protocol}//${hostOf(parts)}`;
    case "blob:": {
      const inner = parseUrl(pathnameOf(parts));
      if (inner === undefined) return "null";
      const scheme = protocolOf(inner);
      return scheme === "http:" || scheme === "https:" ? originOf(inner) : "null";
    }
    default:
      return "null";
  }
}
