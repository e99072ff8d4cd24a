// Modules that workers import by a name with a scheme.
//
// **Owns** `cloudflare:workers`. **Must not know** how modules are resolved. **Enter at** `defineModules`, run once at build time.

import { host } from "./host.js";
import { env } from "./env.js";
import { currentEvent, holdUntil } from "./event-context.js";

// The base of entry points that are classes: `new Entry(ctx, env)` for each event.
export class WorkerEntrypoint {
  constructor(ctx, bindings) {
    Object.defineProperty(this, "ctx", { value: ctx, writable: true, configurable: true });
    Object.defineProperty(this, "env", { value: bindings, writable: true, configurable: true });
  }
}

// The base of Durable Object classes. Declaring one is allowed; a namespace binding is not offered yet.
export class DurableObject {
  constructor(ctx, bindings) {
    Object.defineProperty(this, "ctx", { value: ctx, writable: true, configurable: true });
    Object.defineProperty(this, "env", { value: bindings, writable: true, configurable: true });
  }
}

export class RpcTarget {}

// For the event on whose behalf code runs.
function waitUntil(promise) {
  const event = currentEvent();
  if (event === undefined) throw new Error("waitUntil() can only be called while an event is handled.");
  holdUntil(event, promise);
}

export function defineModules() {
  host.defineBuiltin?.("cloudflare:workers", { env, waitUntil, WorkerEntrypoint, DurableObject, RpcTarget });
}
