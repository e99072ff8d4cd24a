// Service bindings.
//
// **Owns** the object behind `env.SERVICE`. **Must not know** how the target is found. **Enter at** `makeService`.

import { webClass } from "./errors.js";
import { fetchThrough } from "./fetch.js";

// Names that are read by the language or by tools rather than called: they must not look like RPC methods.
const NOT_METHODS = new Set(["then", "catch", "finally", "toJSON", "constructor", "valueOf", "toString", "inspect"]);

let makeService;

export class Fetcher {
  #binding;

  static {
    makeService = (binding) => {
      const fetcher = new Fetcher();
      fetcher.#binding = binding;
      // Bound once: `this` of a method of the proxy is the proxy, which has no private fields.
      return new Proxy(fetcher, handlerOf(fetcher.fetch.bind(fetcher)));
    };
  }

  fetch(input, init = undefined) {
    if (arguments.length < 1) {
      return Promise.reject(new TypeError("Failed to execute 'fetch' on 'Fetcher': 1 argument required, but only 0 present."));
    }
    return fetchThrough(this.#binding, input, init);
  }

  connect() {
    throw new TypeError("connect() is not supported yet on a service binding.");
  }
}

webClass(Fetcher);

function handlerOf(fetch) {
  return {
    get(target, name) {
      if (name === "fetch") return fetch;
      if (typeof name === "symbol" || name in target || NOT_METHODS.has(name)) return Reflect.get(target, name, target);
      return () => {
        throw new TypeError(`RPC is not supported yet: can not call the method "${name}" of a service binding; use fetch().`);
      };
    },
  };
}

export { makeService };
