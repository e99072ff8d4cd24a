// What stands behind a readable stream's controller: the source.
//
// **Owns** how a worker's `underlyingSource` object is read and called. **Must not know** queues. **Enter at** `toSource`.
//
// A source has `pull(controller)`: a promise, or undefined when it is done at once; and `cancel(reason)`: a promise.

import { isObject, toCallback, toEnforcedRange } from "../errors.js";
import { callAsync1, DONE } from "./promises.js";

/** A source that produces nothing by itself. */
export const IDLE_SOURCE = {
  pull() {},
  cancel() {
    return DONE;
  },
};

/** A worker's source. Its functions see the public controller, `shell`. */
class WorkerSource {
  constructor(object, members) {
    this.object = object;
    this.members = members;
    this.shell = undefined;
  }

  start() {
    const { start } = this.members;
    return start === undefined ? undefined : start.call(this.object, this.shell);
  }

  pull() {
    const { pull } = this.members;
    return pull === undefined ? DONE : callAsync1(pull, this.object, this.shell);
  }

  cancel(reason) {
    const { cancel } = this.members;
    return cancel === undefined ? DONE : callAsync1(cancel, this.object, reason);
  }
}

/** Converts the `underlyingSource` argument: `{source, type, autoAllocateChunkSize}`. */
export function toSource(object) {
  if (object === undefined) return { source: new WorkerSource(undefined, {}), type: undefined };
  if (!isObject(object)) throw new TypeError("The underlying source is not an object");
  const auto = object.autoAllocateChunkSize;
  // In the order in which WebIDL reads a dictionary.
  const autoAllocateChunkSize =
    auto === undefined ? undefined : toEnforcedRange(auto, Number.MAX_SAFE_INTEGER, "autoAllocateChunkSize");
  const cancel = toCallback(object, "cancel", "The underlying source");
  const pull = toCallback(object, "pull", "The underlying source");
  const start = toCallback(object, "start", "The underlying source");
  const type = object.type;
  if (type !== undefined && `${type}` !== "bytes") throw new TypeError(`'${type}' is not a type of source`);
  return {
    source: new WorkerSource(object, { start, pull, cancel }),
    type: type === undefined ? undefined : "bytes",
    autoAllocateChunkSize,
  };
}
