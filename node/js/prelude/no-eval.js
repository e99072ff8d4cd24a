// Code from strings.
//
// **Owns** that workers can not make any, as on Cloudflare. **Must not know** anything else. **Enter at** `forbidEval`, run once at
// build time.

const MESSAGE = "Code generation from strings disallowed for this context";

// The constructors of functions, which are reachable from any function by its prototype.
const samples = [function () {}, async function () {}, function* () {}, async function* () {}];

function forbid(Original) {
  function Forbidden() {
    throw new EvalError(MESSAGE);
  }
  Object.defineProperty(Forbidden, "name", { value: Original.name, configurable: true });
  Object.defineProperty(Forbidden, "length", { value: 1, configurable: true });
  // `fn instanceof Function` and `Function.prototype` go on working.
  Object.defineProperty(Forbidden, "prototype", { value: Original.prototype });
  Object.setPrototypeOf(Forbidden, Object.getPrototypeOf(Original));
  return Forbidden;
}

export function forbidEval() {
  for (const sample of samples) {
    const prototype = Object.getPrototypeOf(sample);
    const Forbidden = forbid(prototype.constructor);
    const { enumerable, writable } = Object.getOwnPropertyDescriptor(prototype, "constructor");
    Object.defineProperty(prototype, "constructor", { value: Forbidden, writable, enumerable, configurable: true });
  }
  const define = (name, value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  define("Function", Function.prototype.constructor);
  define("eval", { eval() { throw new EvalError(MESSAGE); } }.eval);
}
