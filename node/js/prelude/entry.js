// The worker's entry point: which handlers it has and how each is called.
//
// **Owns** the choice between an object, a class and listeners. **Must not know** events or answers. **Enter at** `callHandler`;
// `load` fills it once the top-level scope has run.
//
// ```text
// export default { fetch, scheduled }          -> the object's methods
// export default class extends WorkerEntrypoint -> a new instance for each event
// export class Other extends WorkerEntrypoint, export const other = { fetch } -> the same, by name
// addEventListener("fetch", ...)               -> the global object's listeners
// ```

import { host, OP, op } from "./host.js";
import { env, fillEnv } from "./env.js";
import { hasListeners } from "./events.js";
import { globalTarget } from "./global-target.js";
import { WorkerEntrypoint } from "./modules.js";

// What a worker may handle, in the order in which handlers are reported.
const HANDLERS = ["fetch", "scheduled", "queue", "email", "tail", "tailStream", "trace", "connect", "test", "alarm"];

// The default export and the named entry points; undefined for a script.
let main;
const named = new Map();

function isEntryClass(value) {
  return typeof value === "function" && value.prototype instanceof WorkerEntrypoint;
}

function isEntry(value) {
  return isEntryClass(value) || (typeof value === "object" && value !== null);
}

// Scripts of the older syntax see their bindings as globals.
function begin(compatibility, description, isScript) {
  fillEnv(description);
  if (isScript) Object.defineProperties(globalThis, Object.getOwnPropertyDescriptors(env));
}

// `namespace` is that of the main module; undefined for a script.
function done(namespace) {
  if (namespace === undefined) {
    op(OP.LOADED, HANDLERS.filter((name) => hasListeners(globalTarget, name)));
    return;
  }
  for (const name of Object.keys(namespace)) {
    if (name === "default") main = namespace.default;
    else if (isEntry(namespace[name])) named.set(name, namespace[name]);
  }
  op(OP.LOADED, main === undefined ? HANDLERS.filter((name) => hasListeners(globalTarget, name)) : handlersOf(main));
}

function handlersOf(entry) {
  if (entry === null || (typeof entry !== "object" && typeof entry !== "function")) return [];
  const holder = typeof entry === "function" ? entry.prototype : entry;
  return HANDLERS.filter((name) => typeof holder?.[name] === "function");
}

// Calls a handler of the entry point `name` (undefined: the default export) with `(event, env, ctx)` and returns what it
// returns. Throws when there is no such handler.
export function callHandler(handler, name, event, ctx) {
  const entry = name === undefined ? main : named.get(name);
  if (typeof entry === "object" && entry !== null) {
    if (typeof entry[handler] === "function") return entry[handler](event, env, ctx);
  } else if (typeof entry === "function") {
    const instance = new entry(ctx, env);
    if (typeof instance[handler] === "function") return instance[handler](event, env, ctx);
  }
  throw missing(handler, name);
}

function missing(handler, name) {
  if (name !== undefined && !named.has(name)) return new TypeError(`The worker has no entrypoint named "${name}".`);
  return new Error(`Handler does not export a ${handler}() function.`);
}

// Whether the events of this kind go to listeners on the global object.
export function usesListeners(handler) {
  return main === undefined && hasListeners(globalTarget, handler);
}

export function installLoader() {
  host.setLoader?.({ begin, done });
}
