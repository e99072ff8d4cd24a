// ReadableStreamDefaultController: a queue of any chunks between a source and a reader.
//
// **Owns** when a source is pulled. **Must not know** bytes. **Enter at** `createReadable` (for the prelude) and
// `DefaultController`.

import { INTERNAL, requireInternal, webClass } from "../errors.js";
import { host } from "../host.js";
import { resolvedWith } from "./promises.js";
import { SizedQueue } from "./queue.js";
import { closeReadable, errorReadable, isReadFrom, Readable, waitingReads } from "./readable.js";
import { IDLE_SOURCE } from "./source.js";

const { react } = host;

/** What both kinds of controller share: starting and pulling the source. */
export class Controller {
  constructor(stream, source, highWaterMark) {
    this.stream = stream;
    this.source = source;
    this.highWaterMark = highWaterMark;
    this.started = false;
    this.pulling = false;
    this.pullAgain = false;
    this.closeRequested = false;
    // The reactions to a pull, made at the first and kept: a closure for each would cost as much as the pull.
    this.onPulled = undefined;
    this.onFailed = undefined;
    stream.controllerMade = this;
  }

  /** Waits for the source's `start` result, then begins to pull. */
  begin(startResult) {
    react(
      resolvedWith(startResult),
      () => {
        this.started = true;
        this.pullIfNeeded();
      },
      (reason) => this.error(reason),
    );
  }

  pullIfNeeded() {
    if (this.pulling) {
      if (!this.pullAgain && this.shouldPull()) this.pullAgain = true;
      return;
    }
    if (!this.shouldPull()) return;
    do {
      this.pulling = true;
      this.pullAgain = false;
      const pulled = this.source.pull(this);
      if (pulled !== undefined) {
        this.onPulled ??= () => this.pulled();
        this.onFailed ??= (reason) => this.error(reason);
        react(pulled, this.onPulled, this.onFailed);
        return;
      }
      this.pulling = false;
    } while (this.pullAgain && this.shouldPull());
  }

  pulled() {
    this.pulling = false;
    if (!this.pullAgain) return;
    this.pullAgain = false;
    this.pullIfNeeded();
  }

  shouldPull() {
    const { stream } = this;
    if (stream.state !== "readable" || this.closeRequested || !this.started) return false;
    return isReadFrom(stream) || this.desiredSize > 0;
  }

  get desiredSize() {
    const { state } = this.stream;
    if (state === "readable") return this.highWaterMark - this.queued;
    return state === "closed" ? 0 : null;
  }

  get canEnqueue() {
    return !this.closeRequested && this.stream.state === "readable";
  }

  /** Lets go of the source, so that what it holds can be collected while the stream is still referenced. */
  clearSource() {
    this.source = IDLE_SOURCE;
  }

  cancelSteps(reason) {
    this.dropQueue();
    const told = this.source.cancel(reason);
    this.clearSource();
    return told;
  }

  error(reason) {
    if (this.stream.state !== "readable") return;
    this.dropQueue();
    this.clearSource();
    errorReadable(this.stream, reason);
  }
}

export class DefaultController extends Controller {
  constructor(stream, source, highWaterMark, size) {
    super(stream, source, highWaterMark);
    this.size = size;
    this.queue = new SizedQueue();
  }

  get isByte() {
    return false;
  }

  get queued() {
    return this.queue.total;
  }

  pullSteps(request) {
    const { queue } = this;
    if (queue.length === 0) {
      this.stream.reader.requests.push(request);
      this.pullIfNeeded();
      return;
    }
    const chunk = queue.shift();
    if (this.closeRequested && queue.length === 0) {
      this.clearSource();
      closeReadable(this.stream);
    } else {
      this.pullIfNeeded();
    }
    request.onChunk(chunk);
  }

  releaseSteps() {}

  dropQueue() {
    this.queue.reset();
  }

  clearSource() {
    super.clearSource();
    this.size = undefined;
  }

  enqueue(chunk) {
    if (!this.canEnqueue) return;
    if (waitingReads(this.stream) > 0) {
      this.stream.reader.requests.shift().onChunk(chunk);
    } else {
      try {
        this.queue.push(chunk, this.size === undefined ? 1 : this.size.call(undefined, chunk));
      } catch (error) {
        this.error(error);
        throw error;
      }
    }
    this.pullIfNeeded();
  }

  close() {
    if (!this.canEnqueue) return;
    this.closeRequested = true;
    if (this.queue.length > 0) return;
    this.clearSource();
    closeReadable(this.stream);
  }
}

/** A readable over one of the prelude's own sources, which needs no `start`. */
export function createReadable(source, highWaterMark = 1, size = undefined) {
  const stream = new Readable();
  const controller = new DefaultController(stream, source, highWaterMark, size);
  controller.begin(undefined);
  return stream;
}

/** The object that a worker's source is given. */
export class ReadableStreamDefaultController {
  #controller;

  constructor(token = undefined, controller = undefined) {
    requireInternal(token);
    this.#controller = controller;
  }

  get desiredSize() { return this.#controller.desiredSize; }

  close() {
    if (!this.#controller.canEnqueue) throw new TypeError("The stream can not be closed: it is closed or errored");
    this.#controller.close();
  }

  enqueue(chunk = undefined) {
    if (!this.#controller.canEnqueue) throw new TypeError("The stream can not take a chunk: it is closed or errored");
    this.#controller.enqueue(chunk);
  }

  error(reason = undefined) { this.#controller.error(reason); }
}
webClass(ReadableStreamDefaultController);

/** Sets up `stream` over a worker's source. */
export function openWorkerReadable(stream, source, highWaterMark, size) {
  const controller = new DefaultController(stream, source, highWaterMark, size);
  source.shell = new ReadableStreamDefaultController(INTERNAL, controller);
  controller.begin(source.start());
}
