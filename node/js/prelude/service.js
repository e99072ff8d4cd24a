// Service bindings.
//
// **Owns** the object behind `env.SERVICE`. **Must not know** how the target is found. **Enter at** `makeService`.

import { webClass } from "./errors.js";
import { fetchThrough, nothingToFetch } from "./fetch.js";

// Names that are read by the language or by tools rather than called: they must not look like RPC methods.
const NOT_METHODS = new Set(["then", "catch", "finally", "toJSON", "constructor", "valueOf", "toString", "inspect"]);

let makeService;

export class Fetcher {
  #binding;

  static {
    makeService = (binding) => {
      const fetcher = new Fetcher();
      fetcher.#binding = binding;
      return fetcher;
    };
  }

  fetch(input, init = undefined) {
    const binding = this.#binding;
    if (input === undefined) return Promise.reject(nothingToFetch("fetch' on 'Fetcher"));
    return fetchThrough(binding, input, init);
  }

  connect() {
    throw new TypeError("connect() is not supported yet on a service binding.");
  }
}

webClass(Fetcher);

// At the end of the prototype chain, where only names arrive that nothing before it has: `fetch` never pays for it.
Object.setPrototypeOf(
  Fetcher.prototype,
  new Proxy(Object.create(Object.prototype), {
    get(target, name, receiver) {
      if (typeof name === "symbol" || name in target || NOT_METHODS.has(name)) return Reflect.get(target, name, receiver);
      return () => {
        throw new TypeError(`RPC is not supported yet: can not call the method "${name}" of a service binding; use fetch().`);
      };
    },
  }),
);

export { makeService };
