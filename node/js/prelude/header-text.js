// What may be a header name or value.
//
// **Owns** normalisation and validation of single names and values. **Must not know** lists of headers. **Enter at** `headerName`
// and `headerValue`.

import { host } from "./host.js";

const { headerName: nativeName = slowName, headerValue: nativeValue = slowValue } = host;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const BAD_VALUE = /[\0\r\n]/;

// Spelling -> lower case, for names that were found valid. Looking a spelling up costs a tenth of checking it.
// BOUND: 512 names of at most 64 characters, some 64 KiB: more than any worker spells out.
const KNOWN_MAX = 512;
const known = new Map();

for (const name of [
  "Accept", "Accept-Encoding", "Accept-Language", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers",
  "Access-Control-Allow-Methods", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers",
  "Access-Control-Max-Age", "Age", "Allow", "Authorization", "Cache-Control", "CF-Connecting-IP", "CF-Ray",
  "Connection", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length", "Content-Range",
  "Content-Security-Policy", "Content-Type", "Cookie", "Date", "ETag", "Expires", "Host", "If-Match",
  "If-Modified-Since", "If-None-Match", "Last-Modified", "Link", "Location", "Origin", "Pragma", "Range", "Referer",
  "Retry-After", "Server", "Set-Cookie", "Strict-Transport-Security", "Transfer-Encoding", "Upgrade", "User-Agent",
  "Vary", "Via", "WWW-Authenticate", "X-Content-Type-Options", "X-Forwarded-For", "X-Forwarded-Proto",
  "X-Frame-Options", "X-Powered-By", "X-Real-IP", "X-Request-ID", "X-Requested-With",
]) {
  known.set(name, name.toLowerCase());
  known.set(name.toLowerCase(), name.toLowerCase());
}

// The lower-case form of a valid name.
export function headerName(name) {
  const hit = known.get(name);
  if (hit !== undefined) return hit;
  const text = `${name}`;
  const lower = nativeName(text);
  if (lower === undefined) throw new TypeError("Invalid header name.");
  if (known.size < KNOWN_MAX && text.length <= 64) known.set(text, lower);
  return lower;
}

function slowName(text) {
  return TOKEN.test(text) ? text.toLowerCase() : undefined;
}

// The value without the whitespace around it.
export function headerValue(value) {
  const text = typeof value === "string" ? value : `${value}`;
  const valid = nativeValue(text) ?? slowValue(text);
  if (valid === undefined) throw new TypeError("Invalid header value.");
  return valid;
}

function isSpace(code) {
  return code === 32 || code === 9 || code === 10 || code === 13;
}

// For what the engine refuses: it looks at strings of 8-bit characters only. A long piece of a string with others, a page with
// a curly quote, keeps its 16 bits when it has none of them. Any character may be in a value, as on Cloudflare (the standard
// has bytes only): values are sent and read in UTF-8.
function slowValue(text) {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  const trimmed = end - start === text.length ? text : text.slice(start, end);
  return BAD_VALUE.test(trimmed) ? undefined : compact(trimmed);
}

// The same text, well-formed, with 8 bits a character where they are enough, and without the page that it is a piece of.
function compact(text) {
  const bytes = host.utf8Encode(text);
  return host.utf8Decode(bytes, 0, bytes.byteLength, false, true);
}
