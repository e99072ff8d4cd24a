// `console`.
//
// **Owns** formatting by `%` directives, groups, counters and clocks. **Must not know** where lines end up: they leave by LOG.
// **Enter at** `console`.

import { OP, currentRequestId, now, op } from "./host.js";
import { cut, inspect } from "./inspect.js";
import { workerFrame, workerStack } from "./errors-report.js";

const DEBUG = 0;
const INFO = 1;
const LOG = 2;
const WARN = 3;
const ERROR = 4;

// BOUND: what one line of the log carries (LogRecord::message).
const MESSAGE_MAX = 16 * 1024;
// BOUND: labels of counters and clocks that are kept, so that labels made of data can not fill the memory.
const LABELS_MAX = 1000;

const counters = new Map();
const clocks = new Map();
// Groups are per isolate: requests that interleave share the indentation, as in Node.
let indent = "";

function text(value) {
  return typeof value === "string" ? value : inspect(value);
}

// WHATWG Console "Formatter", with Node's directives.
export function format(args) {
  if (args.length === 0) return "";
  const [first, ...rest] = args;
  if (typeof first !== "string" || rest.length === 0) return args.map(text).join(" ");
  let used = 0;
  const head = first.replace(/%[sdifoOjc%]/g, (directive) => {
    if (directive === "%%") return "%";
    if (used === rest.length) return directive;
    const value = rest[used];
    used += 1;
    return formatOne(directive, value);
  });
  return [head, ...rest.slice(used).map(text)].join(" ");
}

function formatOne(directive, value) {
  switch (directive) {
    case "%s":
      if (typeof value === "symbol" || (typeof value === "object" && value !== null)) return inspect(value, 0);
      return typeof value === "bigint" ? `${value}n` : String(value);
    case "%d":
      if (typeof value === "bigint") return `${value}n`;
      return typeof value === "symbol" || typeof value === "object" ? "NaN" : String(Number(value));
    case "%i":
      if (typeof value === "bigint") return `${value}n`;
      return typeof value === "symbol" || typeof value === "object" ? "NaN" : String(Number.parseInt(value, 10));
    case "%f":
      return typeof value === "symbol" ? "NaN" : String(Number.parseFloat(value));
    case "%j":
      return json(value);
    case "%c":
      return "";
    default:
      return inspect(value, directive === "%o" ? 4 : 2);
  }
}

function json(value) {
  try {
    return JSON.stringify(value) ?? "undefined";
  } catch {
    return "[Circular]";
  }
}

function write(level, message) {
  const lines = indent === "" ? message : indent + message.replaceAll("\n", `\n${indent}`);
  op(OP.LOG, level, currentRequestId(), cut(lines, MESSAGE_MAX), workerFrame(new Error()));
}

function labelOf(label) {
  return label === undefined ? "default" : `${label}`;
}

function remember(map, label, value) {
  if (map.size < LABELS_MAX || map.has(label)) map.set(label, value);
}

function duration(label) {
  const ms = now() - clocks.get(label);
  return `${label}: ${ms}ms`;
}

const methods = {
  debug(...args) {
    write(DEBUG, format(args));
  },
  info(...args) {
    write(INFO, format(args));
  },
  log(...args) {
    write(LOG, format(args));
  },
  warn(...args) {
    write(WARN, format(args));
  },
  error(...args) {
    write(ERROR, format(args));
  },
  trace(...args) {
    const head = args.length === 0 ? "Trace" : `Trace: ${format(args)}`;
    const stack = workerStack(new Error());
    write(LOG, stack === undefined ? head : `${head}\n${stack}`);
  },
  assert(condition = false, ...args) {
    if (condition) return;
    if (typeof args[0] === "string") write(ERROR, `Assertion failed: ${format(args)}`);
    else write(ERROR, ["Assertion failed", ...args.map(text)].join(" "));
  },
  dir(value, options = undefined) {
    const depth = options?.depth;
    write(LOG, inspect(value, depth === null ? 10 : depth));
  },
  dirxml(...args) {
    write(LOG, args.map(text).join(" "));
  },
  table(data = undefined, columns = undefined) {
    write(LOG, table(data, columns));
  },
  count(label = undefined) {
    const key = labelOf(label);
    const count = (counters.get(key) ?? 0) + 1;
    remember(counters, key, count);
    write(INFO, `${key}: ${count}`);
  },
  countReset(label = undefined) {
    const key = labelOf(label);
    if (!counters.delete(key)) write(WARN, `Count for '${key}' does not exist`);
  },
  group(...args) {
    if (args.length > 0) write(LOG, format(args));
    if (indent.length < 64) indent += "  ";
  },
  groupCollapsed(...args) {
    methods.group(...args);
  },
  groupEnd() {
    indent = indent.slice(2);
  },
  time(label = undefined) {
    const key = labelOf(label);
    if (clocks.has(key)) write(WARN, `Timer '${key}' already exists`);
    else remember(clocks, key, now());
  },
  timeLog(label = undefined, ...args) {
    const key = labelOf(label);
    if (!clocks.has(key)) write(WARN, `Timer '${key}' does not exist`);
    else write(INFO, [duration(key), ...args.map(text)].join(" "));
  },
  timeEnd(label = undefined) {
    const key = labelOf(label);
    if (!clocks.has(key)) {
      write(WARN, `Timer '${key}' does not exist`);
      return;
    }
    write(INFO, duration(key));
    clocks.delete(key);
  },
  clear() {},
  timeStamp() {},
  profile() {},
  profileEnd() {},
};

// Rows and columns in boxes, as Node draws them.
function table(data, columns) {
  if (typeof data !== "object" || data === null) return text(data);
  const entries = data instanceof Map ? [...data] : data instanceof Set ? [...data].map((v, i) => [i, v]) : Object.entries(data);
  const names = [];
  let plain = false;
  for (const [, row] of entries) {
    if (typeof row !== "object" || row === null) plain = true;
    else for (const name of Object.keys(row)) if (!names.includes(name)) names.push(name);
  }
  const shown = columns === undefined ? names : [...columns].map(String);
  const head = ["(index)", ...shown, ...(plain ? ["Values"] : [])];
  const rows = entries.map(([index, row]) => {
    const isRow = typeof row === "object" && row !== null;
    const cells = shown.map((name) => (isRow && Object.hasOwn(row, name) ? inspect(row[name], 0) : ""));
    return [String(index), ...cells, ...(plain ? [isRow ? "" : inspect(row, 0)] : [])];
  });
  return boxes(head, rows);
}

function boxes(head, rows) {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length)) + 2);
  const rule = (left, middle, right) => left + widths.map((width) => "─".repeat(width)).join(middle) + right;
  const line = (cells) => `│${cells.map((cell, i) => ` ${cell}`.padEnd(widths[i])).join("│")}│`;
  return [rule("┌", "┬", "┐"), line(head), rule("├", "┼", "┤"), ...rows.map(line), rule("└", "┴", "┘")].join("\n");
}

export const console = Object.assign({}, methods);
Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
