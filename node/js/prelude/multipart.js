// Reads a form out of a body.
//
// **Owns** the parsing of `multipart/form-data` (RFC 7578) and `application/x-www-form-urlencoded`. **Must not know** where the
// bytes come from. **Enter at** `parseFormData`.

import { File } from "./blob.js";
import { utf8, utf8Decode } from "./bytes.js";
import { FormData } from "./form-data.js";
import { host } from "./host.js";
import { parseForm } from "./url-search-params.js";

const CR = 13;
const LF = 10;
const DASH = 45;

// The parser for a MIME type, or for none (undefined): bytes -> FormData.
export function parseFormData(mimeType) {
  if (mimeType?.essence === "application/x-www-form-urlencoded") return parseUrlencoded;
  if (mimeType?.essence !== "multipart/form-data") {
    throw new TypeError(
      "Unrecognized Content-Type header value. FormData can only parse the following MIME types: multipart/form-data, application/x-www-form-urlencoded.",
    );
  }
  const boundary = mimeType.parameters.get("boundary");
  if (boundary === undefined || boundary === "" || boundary.length > 70) {
    throw new TypeError("No boundary string in Content-Type header. The multipart/form-data MIME type requires a boundary parameter.");
  }
  return (bytes) => parseMultipart(bytes, boundary);
}

function parseUrlencoded(bytes) {
  const form = new FormData();
  // Not by `new URLSearchParams`, which drops a `?`; a byte order mark belongs to the first name, too.
  const text = host.utf8Decode(bytes.buffer, bytes.byteOffset, bytes.byteLength, false, true);
  for (const [name, value] of parseForm(text)) form.append(name, value);
  return form;
}

function malformed(why) {
  return new TypeError(`Could not parse content as FormData: ${why}`);
}

function parseMultipart(bytes, boundary) {
  const form = new FormData();
  const delimiter = utf8(`--${boundary}`);
  const between = utf8(`\r\n--${boundary}`);
  let at = startsWith(bytes, delimiter, 0) ? 0 : find(bytes, between, 0) + 2;
  if (at === 1) throw malformed("no opening boundary.");
  for (;;) {
    at += delimiter.length;
    if (bytes[at] === DASH && bytes[at + 1] === DASH) return form;
    while (bytes[at] === 32 || bytes[at] === 9) at += 1;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw malformed("a boundary is not followed by a line break.");
    const { headers, next } = parseHead(bytes, at + 2);
    const end = find(bytes, between, next);
    if (end === -1) throw malformed("the last part is not closed.");
    appendPart(form, headers, bytes.subarray(next, end));
    at = end + 2;
  }
}

// The header lines of a part, which end with an empty one.
function parseHead(bytes, from) {
  const headers = new Map();
  let at = from;
  for (;;) {
    const end = bytes.indexOf(CR, at);
    if (end === -1 || bytes[end + 1] !== LF) throw malformed("a part's header is cut off.");
    if (end === at) return { headers, next: at + 2 };
    const line = utf8Decode(bytes.subarray(at, end));
    const colon = line.indexOf(":");
    if (colon < 1) throw malformed("a part has a header without a name.");
    headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    at = end + 2;
  }
}

function appendPart(form, headers, content) {
  const disposition = headers.get("content-disposition");
  if (disposition === undefined || !/^form-data\s*(;|$)/i.test(disposition)) {
    throw malformed("a part has no Content-Disposition of form-data.");
  }
  const values = fieldNames(disposition);
  if (values.name === undefined) throw malformed("a part has no name.");
  if (values.filename === undefined) {
    form.append(values.name, utf8Decode(content));
    return;
  }
  const type = headers.get("content-type") ?? "text/plain";
  form.append(values.name, new File([content], values.filename, { type }));
}

// A parameter of a Content-Disposition: its name, what is between quotes, or what there is without. A value ends at the first
// quote that nothing but a `;` follows: browsers write quotes within as `%22`, older clients as `\"`, and nobody doubles the
// backslash that a Windows path ends with.
const DISPOSED = /;\s*([^=;\s]+)=(?:"(.*?)(?:"(?=\s*(?:;|$))|$)|([^;\s]+))/gs;

// `name` and `filename` of a Content-Disposition.
function fieldNames(disposition) {
  const found = { name: undefined, filename: undefined };
  for (const [, spelling, quoted, plain] of disposition.matchAll(DISPOSED)) {
    const name = spelling.toLowerCase();
    if (Object.hasOwn(found, name)) found[name] ??= decodeName(quoted === undefined ? plain : quoted.replace(/\\"/g, '"'));
  }
  return found;
}

// Back from what the HTML standard's "multipart/form-data encoding algorithm" makes of a name.
function decodeName(text) {
  return text.replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replace(/%22/g, '"');
}

function startsWith(bytes, needle, at) {
  if (at + needle.length > bytes.length) return false;
  for (let i = 0; i < needle.length; i += 1) {
    if (bytes[at + i] !== needle[i]) return false;
  }
  return true;
}

// The first place of `needle` at or after `from`, or -1. `indexOf` of one byte is native, so a large file costs little.
function find(bytes, needle, from) {
  for (let at = bytes.indexOf(needle[0], from); at !== -1; at = bytes.indexOf(needle[0], at + 1)) {
    if (startsWith(bytes, needle, at)) return at;
  }
  return -1;
}
