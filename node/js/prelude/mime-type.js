// Pure. MIME types (MIME Sniffing standard §4).
//
// **Owns** how a Content-Type is read and written. **Must not know** headers or bodies. **Enter at** `parseMimeType`,
// `extractMimeType` for a header, `serializeMimeType`.

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ESSENCE = /^[\t\n\r ]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[\t\n\r ]*(?:;|$)/;
// `;name=value`, `;name="value"rest` or `;name`; quotes need not end.
const PARAMETER = /;[\t\n\r ]*([^;=]*)(?:="((?:[^"\\]|\\[^]?)*)[^;]*|=([^;]*))?/g;
// What may stand between quotes.
const QUOTABLE = /^[\t\x20-\x7e\x80-\xff]*$/;
// A value of a header that may have several, up to its comma.
const LISTED = /(?:[^",]|"(?:[^"\\]|\\[^]?)*"?)+/g;

/** `{ essence, parameters }`, all but values in lower case, or undefined when it is none. */
export function parseMimeType(text) {
  const match = ESSENCE.exec(text);
  if (match === null) return undefined;
  const parameters = new Map();
  for (const [, name, quoted, plain] of text.slice(match[0].length - 1).matchAll(PARAMETER)) {
    const value = quoted === undefined ? trimmedEnd(plain ?? "") : quoted.replace(/\\([^])/g, "$1");
    if (value === "" && quoted === undefined) continue;
    const lower = name.toLowerCase();
    if (TOKEN.test(name) && QUOTABLE.test(value) && !parameters.has(lower)) parameters.set(lower, value);
  }
  return { essence: match[1].toLowerCase(), parameters };
}

// Without HTTP's whitespace at the end. A regular expression would try every place where some begins.
function trimmedEnd(text) {
  let end = text.length;
  while (end > 0 && "\t\n\r ".includes(text[end - 1])) end -= 1;
  return text.slice(0, end);
}

/**
 * The type that a Content-Type says, or undefined. Of several it is the last, with the charset of the first of them that are
 * alike (Fetch standard, "extract a MIME type").
 */
export function extractMimeType(header) {
  let found;
  let charset;
  for (const [value] of header.matchAll(LISTED)) {
    const type = parseMimeType(value);
    if (type === undefined || type.essence === "*/*") continue;
    const { parameters } = type;
    if (type.essence !== found?.essence) charset = parameters.get("charset");
    else if (charset !== undefined && !parameters.has("charset")) parameters.set("charset", charset);
    found = type;
  }
  return found;
}

/** The text of what `parseMimeType` returns. */
export function serializeMimeType({ essence, parameters }) {
  let text = essence;
  for (const [name, value] of parameters) {
    text += `;${name}=${TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`}`;
  }
  return text;
}
