// `FormData` and its multipart form.
//
// **Owns** lists of form fields. **Must not know** bodies. **Enter at** `FormData`; `multipart.js` is the way back.

import { File, blobBytes, isBlob } from "./blob.js";
import { webClass } from "./errors.js";
import { concat, utf8 } from "./bytes.js";

let entriesOf;
let isFormData;

function tooFew(method, need, got) {
  return new TypeError(
    `Failed to execute '${method}' on 'FormData': ${need} argument${need === 1 ? "" : "s"} required, but only ${got} present.`,
  );
}

// The value of a field: a string, or a File (a Blob becomes one).
function fieldValue(method, value, filename, count) {
  if (!isBlob(value)) {
    if (count > 2) {
      throw new TypeError(`Failed to execute '${method}' on 'FormData': parameter 2 is not of type 'Blob'.`);
    }
    return `${value}`.toWellFormed();
  }
  if (value instanceof File && filename === undefined) return value;
  const name = filename === undefined ? "blob" : `${filename}`;
  const options = { type: value.type };
  if (value instanceof File) options.lastModified = value.lastModified;
  return new File([value], name, options);
}

export class FormData {
  // [name, value] pairs in order.
  #entries = [];

  static {
    entriesOf = (form) => form.#entries;
    isFormData = (value) => typeof value === "object" && value !== null && #entries in value;
  }

  constructor(form = undefined) {
    if (form !== undefined) {
      throw new TypeError("Failed to construct 'FormData': parameter 1 is not of type 'HTMLFormElement'.");
    }
  }

  append(name, value, filename = undefined) {
    if (arguments.length < 2) throw tooFew("append", 2, arguments.length);
    this.#entries.push([`${name}`.toWellFormed(), fieldValue("append", value, filename, arguments.length)]);
  }

  delete(name) {
    if (arguments.length < 1) throw tooFew("delete", 1, 0);
    const key = `${name}`.toWellFormed();
    this.#entries = this.#entries.filter((entry) => entry[0] !== key);
  }

  get(name) {
    if (arguments.length < 1) throw tooFew("get", 1, 0);
    const key = `${name}`.toWellFormed();
    return this.#entries.find((entry) => entry[0] === key)?.[1] ?? null;
  }

  getAll(name) {
    if (arguments.length < 1) throw tooFew("getAll", 1, 0);
    const key = `${name}`.toWellFormed();
    return this.#entries.filter((entry) => entry[0] === key).map((entry) => entry[1]);
  }

  has(name) {
    if (arguments.length < 1) throw tooFew("has", 1, 0);
    const key = `${name}`.toWellFormed();
    return this.#entries.some((entry) => entry[0] === key);
  }

  set(name, value, filename = undefined) {
    if (arguments.length < 2) throw tooFew("set", 2, arguments.length);
    const key = `${name}`.toWellFormed();
    const fresh = [key, fieldValue("set", value, filename, arguments.length)];
    const at = this.#entries.findIndex((entry) => entry[0] === key);
    if (at === -1) {
      this.#entries.push(fresh);
      return;
    }
    this.#entries = this.#entries.filter((entry, index) => index === at || entry[0] !== key);
    this.#entries[at] = fresh;
  }

  forEach(callback, thisArg = undefined) {
    if (typeof callback !== "function") {
      throw new TypeError("Failed to execute 'forEach' on 'FormData': parameter 1 is not of type 'function'.");
    }
    for (const [name, value] of this) callback.call(thisArg, value, name, this);
  }

  *keys() {
    for (const [name] of this.entries()) yield name;
  }

  *values() {
    for (const [, value] of this.entries()) yield value;
  }

  *entries() {
    for (let index = 0; index < this.#entries.length; index += 1) {
      yield [this.#entries[index][0], this.#entries[index][1]];
    }
  }
}

webClass(FormData);
Object.defineProperty(FormData.prototype, Symbol.iterator, {
  value: FormData.prototype.entries,
  writable: true,
  configurable: true,
});

// Names in a Content-Disposition (html standard, "multipart/form-data encoding algorithm").
function escapeName(name) {
  return name.replace(/\r\n?|\n/g, "%0D%0A").replace(/"/g, "%22");
}

function escapeFilename(name) {
  return name.replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22");
}

// The multipart encoding of a form: { type, bytes }.
export function encodeFormData(form) {
  const boundary = `----formdata-skerry-${String(Math.random()).slice(2, 18).padEnd(16, "0")}`;
  const chunks = [];
  for (const [name, value] of entriesOf(form)) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(name)}"`;
    if (typeof value === "string") {
      chunks.push(utf8(`${head}\r\n\r\n${value.replace(/\r\n?|\n/g, "\r\n")}\r\n`));
      continue;
    }
    const type = value.type === "" ? "application/octet-stream" : value.type;
    chunks.push(utf8(`${head}; filename="${escapeFilename(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`));
    chunks.push(blobBytes(value), utf8("\r\n"));
  }
  chunks.push(utf8(`--${boundary}--\r\n`));
  return { type: `multipart/form-data; boundary=${boundary}`, bytes: concat(chunks) };
}

export { isFormData };
