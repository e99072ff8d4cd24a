// The state of one readable stream and what every kind of reader and controller does to it.
//
// **Owns** `readable → closed | errored` and the reader's waiting requests. **Must not know** queues or sources: those are
// the controller's. **Enter at** `Readable`.
//
//   readable --close--> closed
//      `-------error--> errored
//
// A request is an object with `onChunk(chunk)`, `onClose(view?)`, `onError(reason)`, one of which is called once.

import { host } from "../host.js";
import { LazyPromise } from "./promises.js";

const { promise, settle } = host;

export class Readable {
  constructor() {
    this.state = "readable";
    this.error = undefined;
    this.reader = undefined;
    this.disturbed = false;
    // The object that workers see, made when they first see it.
    this.shell = undefined;
    this.controllerMade = undefined;
    // For a stream that has no controller yet: makes it.
    this.open = undefined;
    // What the platform knows about the content: see host-body.js.
    this.body = undefined;
  }

  get controller() {
    return (this.controllerMade ??= this.open());
  }
}

/** A reader's side of the stream, default or BYOB. */
export class Reader {
  constructor(stream, byob) {
    this.stream = stream;
    this.byob = byob;
    this.requests = [];
    this.closed = new LazyPromise();
    stream.reader = this;
    if (stream.state === "closed") this.closed.resolve();
    else if (stream.state === "errored") this.closed.reject(stream.error);
  }

  /** The spec's ReadableStreamDefaultReaderRead. */
  read(request) {
    const stream = this.stream;
    stream.disturbed = true;
    if (stream.state === "readable") stream.controller.pullSteps(request);
    else if (stream.state === "closed") request.onClose(undefined);
    else request.onError(stream.error);
  }

  /** The spec's ReadableStreamBYOBReaderRead. */
  readInto(view, min, request) {
    const stream = this.stream;
    stream.disturbed = true;
    if (stream.state === "errored") request.onError(stream.error);
    else stream.controller.pullInto(view, min, request);
  }

  release() {
    const { stream } = this;
    if (stream === undefined) return;
    const reason = new TypeError("The reader was released");
    this.closed.replaceByRejection(reason);
    stream.controllerMade?.releaseSteps();
    stream.reader = undefined;
    this.stream = undefined;
    this.failRequests(reason);
  }

  takeRequests() {
    const requests = this.requests;
    this.requests = [];
    return requests;
  }

  failRequests(reason) {
    for (const request of this.takeRequests()) request.onError(reason);
  }
}

/** Takes the lock. */
export function acquireReader(stream, byob = false) {
  if (stream.reader !== undefined) throw new TypeError("The stream is locked to a reader");
  if (byob && !stream.controller.isByte) throw new TypeError("The stream is not a byte stream");
  return new Reader(stream, byob);
}

/** Whether reads of any kind wait. */
export function isReadFrom(stream) {
  const { reader } = stream;
  return reader !== undefined && reader.requests.length > 0;
}

/** How many default reads wait. */
export function waitingReads(stream) {
  const reader = stream.reader;
  return reader === undefined || reader.byob ? 0 : reader.requests.length;
}

/** How many BYOB reads wait. */
export function waitingReadIntos(stream) {
  const reader = stream.reader;
  return reader !== undefined && reader.byob ? reader.requests.length : 0;
}

export function closeReadable(stream) {
  stream.state = "closed";
  const reader = stream.reader;
  if (reader === undefined) return;
  reader.closed.resolve();
  // BYOB reads are answered by the controller, which has their buffers to give back.
  if (!reader.byob) for (const request of reader.takeRequests()) request.onClose(undefined);
}

export function errorReadable(stream, reason) {
  stream.state = "errored";
  stream.error = reason;
  const reader = stream.reader;
  if (reader === undefined) return;
  reader.closed.reject(reason);
  reader.failRequests(reason);
}

/** Loses interest in the stream: a promise of the source having been told. */
export function cancelReadable(stream, reason) {
  stream.disturbed = true;
  if (stream.state === "closed") return Promise.resolve(undefined);
  if (stream.state === "errored") return Promise.reject(stream.error);
  const { controller, reader } = stream;
  closeReadable(stream);
  if (reader?.byob) for (const request of reader.takeRequests()) request.onClose(undefined);
  return controller.cancelSteps(reason).then(() => undefined);
}

/** `reader.cancel` and friends: as `cancelReadable`, a rejection when the reader was released. */
export function cancelByReader(reader, reason) {
  if (reader.stream === undefined) return Promise.reject(new TypeError("The reader was released"));
  return cancelReadable(reader.stream, reason);
}

/** The promise of a `read()` call. */
export class PromiseRequest {
  constructor() {
    this.promise = promise();
  }

  onChunk(value) {
    settle(this.promise, { value, done: false }, false);
  }

  onClose(value) {
    settle(this.promise, { value, done: true }, false);
  }

  onError(reason) {
    settle(this.promise, reason, true);
  }
}

/** A rejection for a call on an object of the wrong kind. */
export function wrongReceiver(what) {
  return Promise.reject(new TypeError(`Illegal invocation: this is not a ${what}`));
}

