// Pure. `data:` URLs (Fetch standard §6).
//
// **Owns** what is in one. **Must not know** requests or responses. **Enter at** `parseDataUrl`.

import { percentDecode, utf8 } from "./bytes.js";
import { host } from "./host.js";
import { parseMimeType, serializeMimeType } from "./mime-type.js";

const BASE64 = /; *base64$/i;

/** `{ type, bytes }` of a serialized URL without its fragment; undefined when it is malformed. */
export function parseDataUrl(href) {
  const comma = href.indexOf(",");
  if (comma === -1) return undefined;
  let type = href.slice("data:".length, comma).trim();
  let bytes = percentDecode(utf8(href.slice(comma + 1)));
  if (BASE64.test(type)) {
    type = type.replace(BASE64, "");
    bytes = decodeBase64(bytes);
    if (bytes === undefined) return undefined;
  }
  return { type: typeOf(type.startsWith(";") ? `text/plain${type}` : type), bytes };
}

function typeOf(text) {
  const type = parseMimeType(text);
  return type === undefined ? "text/plain;charset=US-ASCII" : serializeMimeType(type);
}

// Infra standard §7, "forgiving-base64 decode".
function decodeBase64(bytes) {
  // No mark is dropped: it belongs to what is malformed.
  const text = host.utf8Decode(bytes.buffer, bytes.byteOffset, bytes.byteLength, false, true);
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}
