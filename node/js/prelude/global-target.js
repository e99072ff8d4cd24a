// The listeners of the global object.
//
// **Owns** the target behind the global `addEventListener`. **Must not know** which events there are. **Enter at** `globalTarget`.

import { EventTarget } from "./events.js";

export const globalTarget = new EventTarget();

export function addEventListener(type, listener, options = undefined) {
  globalTarget.addEventListener(type, listener, options);
}

export function removeEventListener(type, listener, options = undefined) {
  globalTarget.removeEventListener(type, listener, options);
}

export function dispatchEvent(event) {
  return globalTarget.dispatchEvent(event);
}
