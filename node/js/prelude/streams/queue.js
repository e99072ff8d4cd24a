// The queue-with-sizes of the Streams standard, and the two queuing strategies.
//
// **Owns** what waits in a stream and how much it counts for. **Must not know** streams. **Enter at** `SizedQueue` and
// `strategyOf`.

import { isObject, requireArguments, toCallback, toDictionary, toDouble, webClass } from "../errors.js";

/** A first-in first-out list whose total size is known. */
export class SizedQueue {
  constructor() {
    this.items = [];
    this.sizes = [];
    // Where the first item is: shifting an array for every chunk would cost as much as the queue is long.
    this.head = 0;
    this.total = 0;
  }

  get length() {
    return this.items.length - this.head;
  }

  push(item, size) {
    size = toDouble(size);
    if (!(size >= 0) || size === Infinity) throw new RangeError("A chunk's size must be a finite, non-negative number");
    this.items.push(item);
    this.sizes.push(size);
    this.total += size;
  }

  peek() {
    return this.items[this.head];
  }

  shift() {
    const at = this.head++;
    const item = this.items[at];
    this.items[at] = undefined;
    // Rounding errors of fractional sizes must not leave a negative total.
    this.total = Math.max(0, this.total - this.sizes[at]);
    // BOUND: 64 spent slots, so that compacting costs a fraction of a shift and memory stays in proportion.
    if (this.head === this.items.length || this.head === 64) {
      this.items.splice(0, this.head);
      this.sizes.splice(0, this.head);
      this.head = 0;
    }
    return item;
  }

  reset() {
    this.items = [];
    this.sizes = [];
    this.head = 0;
    this.total = 0;
  }
}

function highWaterMarkInit(init, what) {
  requireArguments(init.length, 1, what);
  const value = toDictionary(init[0], "QueuingStrategyInit").highWaterMark;
  if (value === undefined) throw new TypeError(`${what} needs a highWaterMark`);
  return toDouble(value);
}

const countSize = { size: () => 1 }.size;
const byteLengthSize = { size: (chunk) => chunk.byteLength }.size;

export class CountQueuingStrategy {
  #highWaterMark;
  constructor(init) {
    this.#highWaterMark = highWaterMarkInit(arguments, "CountQueuingStrategy");
  }
  get highWaterMark() { return this.#highWaterMark; }
  get size() { this.#highWaterMark; return countSize; }
}
webClass(CountQueuingStrategy);

export class ByteLengthQueuingStrategy {
  #highWaterMark;
  constructor(init) {
    this.#highWaterMark = highWaterMarkInit(arguments, "ByteLengthQueuingStrategy");
  }
  get highWaterMark() { return this.#highWaterMark; }
  get size() { this.#highWaterMark; return byteLengthSize; }
}
webClass(ByteLengthQueuingStrategy);

/** Reads a QueuingStrategy argument into `{highWaterMark, size}`, either of which may be undefined. */
export function toStrategy(strategy) {
  if (!isObject(strategy)) return toDictionary(strategy, "The strategy");
  const { highWaterMark } = strategy;
  return {
    highWaterMark: highWaterMark === undefined ? undefined : toDouble(highWaterMark),
    size: toCallback(strategy, "size", "The strategy"),
  };
}

/** The high water mark of a converted strategy. */
export function highWaterMarkOf({ highWaterMark }, otherwise) {
  if (highWaterMark === undefined) return otherwise;
  if (!(highWaterMark >= 0)) throw new RangeError("highWaterMark must be a non-negative number");
  return highWaterMark;
}
