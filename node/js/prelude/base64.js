// atob and btoa (HTML §8.3).
//
// **Owns** nothing but the arity check: the engine's own functions do the rest to the letter. **Must not know** anything
// else. **Enter at** either.

import { requireArguments } from "./errors.js";

const { atob: decode, btoa: encode } = globalThis;

export function atob(data) {
  requireArguments(arguments.length, 1, "atob");
  return decode(data);
}

export function btoa(data) {
  requireArguments(arguments.length, 1, "btoa");
  return encode(data);
}
