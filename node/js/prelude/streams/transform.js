// The state of one transform stream (Streams §6): a writable and a readable side with a transformer between.
//
// **Owns** how back-pressure and errors cross from one side to the other. **Must not know** the public objects. **Enter at**
// `createTransform`.
//
// A transformer has `transform(chunk, controller)`, `flush(controller)` and `cancel(reason)`: each a promise, or undefined
// (done at once; it may throw) for the prelude's own.

import { DefaultController } from "./default-controller.js";
import { callAsync, callAsync2, Deferred } from "./promises.js";
import { Readable } from "./readable.js";
import { Writable, WritableController } from "./writable.js";

export class Transform {
  constructor(transformer) {
    this.transformer = transformer;
    this.readable = new Readable();
    this.writable = new Writable();
    this.backpressure = undefined;
    this.backpressureChange = undefined;
    // The outcome that a close, abort or cancel already under way will have: whoever comes second shares it.
    this.finishing = undefined;
    // The reaction to a failed transform, made at the first and kept.
    this.onFailed = undefined;
    this.setBackpressure(true);
  }

  /** Makes the two sides. `start` is what both wait for. */
  open(writableMark, writableSize, readableMark, readableSize) {
    this.input = new WritableController(this.writable, new InputSide(this), writableMark, writableSize);
    this.output = new DefaultController(this.readable, new OutputSide(this), readableMark, readableSize);
  }

  begin(start) {
    this.input.begin(start);
    this.output.begin(start);
  }

  setBackpressure(backpressure) {
    this.backpressureChange?.resolve(undefined);
    this.backpressureChange = new Deferred();
    this.backpressure = backpressure;
  }

  // What the transformer's controller does ---------------------------------------------------------------------------

  enqueue(chunk) {
    const { output, readable } = this;
    if (!output.canEnqueue) throw new TypeError("The readable side can not take a chunk: it is closed or errored");
    try {
      output.enqueue(chunk);
    } catch (error) {
      this.errorWritableAndUnblock(error);
      throw readable.error;
    }
    const backpressure = !output.shouldPull();
    if (backpressure !== this.backpressure) this.setBackpressure(true);
  }

  error(reason) {
    this.output.error(reason);
    this.errorWritableAndUnblock(reason);
  }

  terminate() {
    this.output.close();
    this.errorWritableAndUnblock(new TypeError("The transform stream was terminated"));
  }

  // ------------------------------------------------------------------------------------------------------------------

  errorWritableAndUnblock(reason) {
    this.clearTransformer();
    if (this.writable.state === "writable") this.input.fail(reason);
    if (this.backpressure) this.setBackpressure(false);
  }

  clearTransformer() {
    this.transformer = IDENTITY;
  }

  transform(chunk) {
    this.onFailed ??= (reason) => {
      this.error(reason);
      throw reason;
    };
    return callAsync2(this.transformer.transform, this.transformer, chunk, this).catch(this.onFailed);
  }
}

/** What is left of a transformer that must not be called again. */
const IDENTITY = {
  transform(chunk, controller) {
    controller.enqueue(chunk);
  },
  flush() {},
  cancel() {},
};

class InputSide {
  constructor(owner) {
    this.owner = owner;
  }

  write(chunk) {
    const { owner } = this;
    if (!owner.backpressure) return owner.transform(chunk);
    return owner.backpressureChange.promise.then(() => {
      const { state, error } = owner.writable;
      if (state === "erroring") throw error;
      return owner.transform(chunk);
    });
  }

  abort(reason) {
    const { owner } = this;
    return finish(owner, () => owner.transformer.cancel(reason), {
      done() {
        if (owner.readable.state === "errored") throw owner.readable.error;
        owner.output.error(reason);
      },
      failed(error) {
        owner.output.error(error);
      },
    });
  }

  close() {
    const { owner } = this;
    return finish(owner, () => owner.transformer.flush(owner), {
      done() {
        if (owner.readable.state === "errored") throw owner.readable.error;
        owner.output.close();
      },
      failed(error) {
        owner.output.error(error);
      },
    });
  }
}

class OutputSide {
  constructor(owner) {
    this.owner = owner;
  }

  pull() {
    this.owner.setBackpressure(false);
    return this.owner.backpressureChange.promise;
  }

  cancel(reason) {
    const { owner } = this;
    const { writable } = owner;
    const unblock = (error) => {
      if (writable.state === "writable") owner.input.fail(error);
      if (owner.backpressure) owner.setBackpressure(false);
    };
    return finish(owner, () => owner.transformer.cancel(reason), {
      done() {
        if (writable.state === "errored") throw writable.error;
        unblock(reason);
      },
      failed: unblock,
    });
  }
}

/** Runs the transformer's last call once; `after` carries its outcome to the other side. */
function finish(owner, last, after) {
  if (owner.finishing !== undefined) return owner.finishing;
  const outcome = new Deferred();
  owner.finishing = outcome.promise;
  const called = callAsync(last);
  owner.clearTransformer();
  called.then(
    () => {
      try {
        after.done();
        outcome.resolve(undefined);
      } catch (error) {
        outcome.reject(error);
      }
    },
    (error) => {
      after.failed(error);
      outcome.reject(error);
    },
  );
  return outcome.promise;
}

/** A transform over one of the prelude's own transformers, which needs no `start`. */
export function createTransform(transformer, writableMark = 1, readableMark = 0) {
  const transform = new Transform(transformer);
  transform.open(writableMark, undefined, readableMark, undefined);
  transform.begin(undefined);
  return transform;
}
