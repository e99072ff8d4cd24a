// The `env` object.
//
// **Owns** turning the host's description of bindings into what tenant code sees. **Must not know** handlers. **Enter at** `env`;
// `fillEnv` fills it when the worker is loaded, so that `import { env }` and the handlers' argument are one object.

import { makeKvNamespace } from "./kv.js";
import { makeService } from "./service.js";

export const env = {};

const MAKERS = {
  text: (name, value) => value,
  secret: (name, value) => value,
  json: (name, value) => JSON.parse(value),
  kv: (name) => makeKvNamespace(name),
  service: (name) => makeService(name),
  version: (name, id, tag, timestamp) => ({ id, tag, timestamp }),
};

// `description` is a list of [name, kind, ...]. A name is an own data property whatever it is, `__proto__` included.
export function fillEnv(description) {
  for (const [name, kind, ...rest] of description) {
    const make = MAKERS[kind];
    if (make === undefined) throw new Error(`The binding "${name}" is of a kind that this runtime does not know: ${kind}`);
    Object.defineProperty(env, name, {
      value: make(name, ...rest),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
}
