// Text for people out of any value.
//
// **Owns** the form in which the console shows values, close to Node's. **Must not know** where the text goes. **Enter at**
// `inspect`. Getters and proxies of tenant code may throw: `inspect` never does.

// BOUNDS: depth as Node's default; the others keep one line of the log readable. What is left out is said.
const DEPTH_MAX = 2;
const ITEMS_MAX = 100;
const STRING_MAX = 10_000;
const TEXT_MAX = 16 * 1024;
const LINE_MAX = 72;

// What one call of `inspect` carries along.
class Walk {
  constructor(depth) {
    this.depth = depth;
    this.seen = [];
    this.left = TEXT_MAX;
  }
}

// The text of a value; `depth` levels of nested objects are shown.
export function inspect(value, depth = DEPTH_MAX) {
  try {
    return cut(show(value, new Walk(depth), 0), TEXT_MAX);
  } catch {
    return "[object that can not be shown]";
  }
}

export function cut(text, max) {
  return text.length <= max ? text : `${text.slice(0, max)}... ${text.length - max} more characters`;
}

function show(value, walk, level) {
  if (walk.left <= 0) return "...";
  const text = typeof value === "object" && value !== null ? showObject(value, walk, level) : showPrimitive(value);
  walk.left -= text.length;
  return text;
}

function showPrimitive(value) {
  switch (typeof value) {
    case "string":
      return quote(cut(value, STRING_MAX));
    case "bigint":
      return `${value}n`;
    case "symbol":
      return value.toString();
    case "function":
      return showFunction(value);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    default:
      return String(value);
  }
}

function quote(text) {
  const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !text.includes("`") ? "`" : "'";
  const escaped = text.replace(/[\\\n\r\t\0\x07\b\f\v\x1b]|'/g, (char) => {
    if (char === "'") return mark === "'" ? "\\'" : char;
    if (char === "\\") return "\\\\";
    return JSON.stringify(char).slice(1, -1).replace("\\u00", "\\x");
  });
  return mark + escaped + mark;
}

function showFunction(fn) {
  const source = Function.prototype.toString.call(fn);
  if (source.startsWith("class")) {
    const parent = Object.getPrototypeOf(fn);
    const base = typeof parent === "function" && parent.name ? ` extends ${parent.name}` : "";
    return `[class ${fn.name || "(anonymous)"}${base}]`;
  }
  const kind = Object.prototype.toString.call(fn).slice(8, -1);
  return fn.name ? `[${kind}: ${fn.name}]` : `[${kind} (anonymous)]`;
}

function constructorName(value) {
  for (let object = value; object !== null; object = Object.getPrototypeOf(object)) {
    const descriptor = Object.getOwnPropertyDescriptor(object, "constructor");
    if (typeof descriptor?.value === "function" && descriptor.value.name !== "") return descriptor.value.name;
  }
  return null;
}

function showObject(value, walk, level) {
  if (walk.seen.includes(value)) return "[Circular]";
  const name = constructorName(value);
  const leaf = showLeaf(value);
  if (leaf !== undefined) return leaf;
  if (level > walk.depth) return showFolded(value, name);
  walk.seen.push(value);
  try {
    return showMembers(value, name, walk, level);
  } finally {
    walk.seen.pop();
  }
}

// An object that lies too deep to be opened.
function showFolded(value, name) {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : "[Array]";
  return name === "Object" && Reflect.ownKeys(value).length === 0 ? "{}" : `[${name ?? "Object: null prototype"}]`;
}

// Objects whose text does not depend on their members.
function showLeaf(value) {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (value instanceof Boolean || value instanceof Number) return `[${constructorName(value)}: ${value.valueOf()}]`;
  if (value instanceof String) return `[String: ${quote(value.valueOf())}]`;
  if (value instanceof WeakMap || value instanceof WeakSet) return `${constructorName(value)} { <items unknown> }`;
  return undefined;
}

function showMembers(value, name, walk, level) {
  if (value instanceof Error) return showError(value, walk, level);
  if (Array.isArray(value)) {
    const prefix = name === "Array" ? "" : `${name}(${value.length}) `;
    return braces(prefix, "[", [...arrayItems(value, walk, level), ...properties(value, walk, level, true)], "]", level);
  }
  if (value instanceof Map) {
    const items = limited(value, value.size, ([key, item]) => `${show(key, walk, level + 1)} => ${show(item, walk, level + 1)}`);
    return braces(`${name}(${value.size}) `, "{", [...items, ...properties(value, walk, level, false)], "}", level);
  }
  if (value instanceof Set) {
    const items = limited(value, value.size, (item) => show(item, walk, level + 1));
    return braces(`${name}(${value.size}) `, "{", [...items, ...properties(value, walk, level, false)], "}", level);
  }
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const items = limited(value, value.length, (item) => show(item, walk, level + 1));
    return braces(`${name}(${value.length}) `, "[", items, "]", level);
  }
  if (value instanceof ArrayBuffer) return showBuffer(value);
  if (value instanceof Promise) return braces("Promise ", "{", properties(value, walk, level, false), "}", level);
  const tag = platformMembers(value, walk, level);
  const items = [...tag, ...properties(value, walk, level, false)];
  const prefix = name === null ? "[Object: null prototype] " : name === "Object" ? "" : `${name} `;
  return braces(prefix, "{", items, "}", level);
}

function showBuffer(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(50, buffer.byteLength));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const more = buffer.byteLength > 50 ? ` ... ${buffer.byteLength - 50} more bytes` : "";
  return `ArrayBuffer { [Uint8Contents]: <${hex}${more}>, byteLength: ${buffer.byteLength} }`;
}

// The getters of the platform's own classes: what is worth seeing of a `Request` lies behind them.
function platformMembers(value, walk, level) {
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null || typeof value[Symbol.toStringTag] !== "string") return [];
  // Not by the names of its methods alone: a service binding has every name.
  if (typeof value.entries === "function" && value[Symbol.iterator] === value.entries) {
    return limited([...value.entries()], Infinity, ([key, item]) => `${show(key, walk, level + 1)} => ${show(item, walk, level + 1)}`);
  }
  const items = [];
  for (let object = prototype; object !== null && object !== Object.prototype; object = Object.getPrototypeOf(object)) {
    for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      if (descriptor.get === undefined || !descriptor.enumerable) continue;
      items.push(`${key}: ${showGetter(value, key, walk, level)}`);
    }
  }
  return items;
}

function showGetter(value, key, walk, level) {
  try {
    return show(value[key], walk, level + 1);
  } catch {
    return "[Getter]";
  }
}

function limited(items, size, text) {
  const list = [];
  for (const item of items) {
    if (list.length === ITEMS_MAX) {
      list.push(`... ${size === Infinity ? items.length - ITEMS_MAX : size - ITEMS_MAX} more items`);
      break;
    }
    list.push(text(item));
  }
  return list;
}

function arrayItems(array, walk, level) {
  const list = [];
  let holes = 0;
  const flush = () => {
    if (holes > 0) list.push(`<${holes} empty item${holes === 1 ? "" : "s"}>`);
    holes = 0;
  };
  for (let i = 0; i < array.length; i += 1) {
    if (list.length >= ITEMS_MAX) {
      list.push(`... ${array.length - i} more items`);
      return list;
    }
    if (!(i in array)) {
      holes += 1;
      continue;
    }
    flush();
    list.push(show(array[i], walk, level + 1));
  }
  flush();
  return list;
}

function properties(value, walk, level, isArray) {
  const list = [];
  for (const key of Reflect.ownKeys(value)) {
    const descriptor = Object.getOwnPropertyDescriptor(value, key);
    if (descriptor === undefined || !descriptor.enumerable) continue;
    if (isArray && typeof key === "string" && /^\d+$/.test(key)) continue;
    if (list.length === ITEMS_MAX) {
      list.push("... more properties");
      break;
    }
    list.push(`${showKey(key)}: ${showProperty(descriptor, walk, level)}`);
  }
  return list;
}

function showKey(key) {
  if (typeof key === "symbol") return `[${key.toString()}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key);
}

function showProperty(descriptor, walk, level) {
  if (descriptor.get !== undefined) return descriptor.set === undefined ? "[Getter]" : "[Getter/Setter]";
  if (descriptor.set !== undefined) return "[Setter]";
  return show(descriptor.value, walk, level + 1);
}

function showError(error, walk, level) {
  const head = String(error.message === "" ? error.name : `${error.name}: ${error.message}`);
  const stack = typeof error.stack === "string" ? visibleStack(error.stack) : "";
  const text = stack === "" ? (level > 0 ? `[${head}]` : head) : `${head}\n${stack}`;
  const items = properties(error, walk, level, false).filter((item) => !/^(stack|message|cause|errors):/.test(item));
  if (Object.hasOwn(error, "cause")) items.push(`[cause]: ${show(error.cause, walk, level + 1)}`);
  if (Array.isArray(error.errors)) items.push(`[errors]: ${show(error.errors, walk, level + 1)}`);
  return items.length === 0 ? text : `${text} ${braces("", "{", items, "}", level)}`;
}

function visibleStack(stack) {
  return stack
    .split("\n")
    .filter((line) => /^\s*at /.test(line) && !line.includes("skerry:") && !line.includes("(native)"))
    .map((line) => `    ${line.trim()}`)
    .join("\n");
}

// `{ a, b }` on one line where it fits, else a line each.
function braces(prefix, open, items, close, level) {
  if (items.length === 0) return `${prefix}${open}${close}`;
  const line = items.join(", ");
  if (line.length + prefix.length <= LINE_MAX && !line.includes("\n")) return `${prefix}${open} ${line} ${close}`;
  const indent = "  ".repeat(level + 1);
  return `${prefix}${open}\n${items.map((item) => indent + item).join(",\n")}\n${"  ".repeat(level)}${close}`;
}
