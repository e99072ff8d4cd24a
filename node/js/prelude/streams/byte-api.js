// ReadableByteStreamController and ReadableStreamBYOBRequest: what a worker's byte source is given.
//
// **Owns** the checks of the two interfaces. **Must not know** how buffers move. **Enter at** `openWorkerByteStream`.

import { INTERNAL, requireArguments, requireInternal, toEnforcedRange, webClass } from "../errors.js";
import { ByteController } from "./byte-controller.js";

let invalidate;

export class ReadableStreamBYOBRequest {
  #controller;
  #view;

  static {
    invalidate = (request) => {
      request.#controller = undefined;
      request.#view = null;
    };
  }

  constructor(token = undefined, controller = undefined, view = undefined) {
    requireInternal(token);
    this.#controller = controller;
    this.#view = view;
  }

  get view() { return this.#view; }

  respond(bytesWritten) {
    requireArguments(arguments.length, 1, "respond");
    const written = toEnforcedRange(bytesWritten, Number.MAX_SAFE_INTEGER, "bytesWritten");
    this.#valid();
    if (this.#view.buffer.detached) throw new TypeError("The view's buffer is detached");
    this.#controller.respond(written);
  }

  respondWithNewView(view) {
    requireView(view);
    this.#valid();
    if (view.buffer.detached) throw new TypeError("The view's buffer is detached");
    this.#controller.respondWithNewView(view);
  }

  #valid() {
    if (this.#controller === undefined) throw new TypeError("This request has been answered");
  }
}
webClass(ReadableStreamBYOBRequest);

/** The controller's end of a byobRequest. */
class RequestLink {
  constructor(request) {
    this.request = request;
  }
  invalidate() {
    invalidate(this.request);
  }
}

function requireView(view) {
  if (!ArrayBuffer.isView(view)) throw new TypeError("The chunk is not a view on an ArrayBuffer");
}

export class ReadableByteStreamController {
  #controller;

  constructor(token = undefined, controller = undefined) {
    requireInternal(token);
    this.#controller = controller;
  }

  get byobRequest() {
    const controller = this.#controller;
    const first = controller.pending[0];
    if (controller.byobRequest === null && first !== undefined) {
      const view = new Uint8Array(first.buffer, first.byteOffset + first.filled, first.byteLength - first.filled);
      controller.byobRequest = new RequestLink(new ReadableStreamBYOBRequest(INTERNAL, controller, view));
    }
    return controller.byobRequest?.request ?? null;
  }

  get desiredSize() { return this.#controller.desiredSize; }

  close() {
    if (!this.#controller.canEnqueue) throw new TypeError("The stream can not be closed: it is closed or errored");
    this.#controller.close();
  }

  enqueue(chunk) {
    requireArguments(arguments.length, 1, "enqueue");
    const controller = this.#controller;
    requireView(chunk);
    if (chunk.byteLength === 0) throw new TypeError("The chunk is empty");
    if (!controller.canEnqueue) throw new TypeError("The stream can not take a chunk: it is closed or errored");
    controller.enqueue(chunk);
  }

  error(reason = undefined) { this.#controller.error(reason); }
}
webClass(ReadableByteStreamController);

/** Sets up `stream` over a worker's byte source. */
export function openWorkerByteStream(stream, source, highWaterMark, autoAllocateChunkSize) {
  if (autoAllocateChunkSize === 0) throw new TypeError("autoAllocateChunkSize must not be 0");
  const controller = new ByteController(stream, source, highWaterMark, autoAllocateChunkSize);
  source.shell = new ReadableByteStreamController(INTERNAL, controller);
  controller.begin(source.start());
}
