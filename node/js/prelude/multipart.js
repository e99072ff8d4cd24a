// Reads a form out of a body.
//
// **Owns** the parsing of `multipart/form-data` (RFC 7578) and `application/x-www-form-urlencoded`. **Must not know** where the
// bytes come from. **Enter at** `parseFormData`.

import { File } from "./blob.js";
import { utf8, utf8Decode } from "./bytes.js";
import { FormData } from "./form-data.js";
import { URLSearchParams } from "./url.js";

const CR = 13;
const LF = 10;
const DASH = 45;

// The parser for a Content-Type: bytes -> FormData.
export function parseFormData(contentType) {
  const essence = contentType.split(";", 1)[0].trim().toLowerCase();
  if (essence === "application/x-www-form-urlencoded") return parseUrlencoded;
  if (essence !== "multipart/form-data") {
    throw new TypeError(
      "Unrecognized Content-Type header value. FormData can only parse the following MIME types: multipart/form-data, application/x-www-form-urlencoded.",
    );
  }
  const boundary = parameters(contentType).get("boundary");
  if (boundary === undefined || boundary === "" || boundary.length > 70) {
    throw new TypeError("No boundary string in Content-Type header. The multipart/form-data MIME type requires a boundary parameter.");
  }
  return (bytes) => parseMultipart(bytes, boundary);
}

function parseUrlencoded(bytes) {
  const form = new FormData();
  for (const [name, value] of new URLSearchParams(utf8Decode(bytes))) form.append(name, value);
  return form;
}

// The parameters of `type; name=value; name="quoted"`, names in lower case.
function parameters(text) {
  const found = new Map();
  const pattern = /;\s*([^=;\s]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))/g;
  for (const match of text.matchAll(pattern)) {
    const name = match[1].toLowerCase();
    if (!found.has(name)) found.set(name, match[2] === undefined ? match[3] : match[2].replace(/\\(["\\])/g, "$1"));
  }
  return found;
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

// `name` and `filename` of a Content-Disposition. Quotes end only at an unescaped quote; browsers write `%22`.
function fieldNames(disposition) {
  const found = {};
  const pattern = /;\s*(name|filename)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/gi;
  for (const match of disposition.matchAll(pattern)) {
    const raw = match[2] === undefined ? match[3] : match[2].replace(/\\"/g, '"');
    found[match[1].toLowerCase()] ??= raw.replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replace(/%22/g, '"');
  }
  return found;
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
