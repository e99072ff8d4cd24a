// `navigator`, as Workers have it.
//
// **Owns** constants that say little. **Must not know** anything else. **Enter at** `navigator`.

import { INTERNAL, requireArguments, requireInternal, webClass } from "./errors.js";

export class Navigator {
  #userAgent = "Cloudflare-Workers";

  constructor(token = undefined) {
    requireInternal(token);
  }

  get userAgent() { return this.#userAgent; }
  // An isolate has one thread.
  get hardwareConcurrency() { this.#userAgent; return 1; }
  get language() { this.#userAgent; return "en"; }
  get languages() { this.#userAgent; return LANGUAGES; }
  get platform() { this.#userAgent; return "Linux"; }

  /** Nothing outlives a request but `waitUntil`, so nothing is ever sent. */
  sendBeacon(url) {
    this.#userAgent;
    requireArguments(arguments.length, 1, "sendBeacon");
    void url;
    return false;
  }
}
webClass(Navigator);

const LANGUAGES = Object.freeze(["en"]);

export const navigator = new Navigator(INTERNAL);
