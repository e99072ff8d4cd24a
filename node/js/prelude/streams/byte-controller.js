// The byte stream controller: a queue of bytes, and buffers lent by BYOB readers.
//
// **Owns** the pull-into descriptors and the byte queue (Streams §4.7, §4.10.11). **Must not know** the public objects.
// **Enter at** `ByteController`.
//
// A descriptor's life: a BYOB read (or a default read with `autoAllocateChunkSize`) lends a buffer; the source fills it
// through `byobRequest`, or chunks are copied into it from the queue; once `minimumFill` bytes are there it is committed
// to the read that lent it. A released reader leaves the first descriptor behind, because its source may be filling it.

import { Controller } from "./default-controller.js";
import { closeReadable, waitingReadIntos, waitingReads } from "./readable.js";

class PullInto {
  constructor(buffer, byteOffset, byteLength, minimumFill, elementSize, View, lender) {
    this.buffer = buffer;
    this.bufferByteLength = buffer.byteLength;
    this.byteOffset = byteOffset;
    this.byteLength = byteLength;
    this.filled = 0;
    this.minimumFill = minimumFill;
    this.elementSize = elementSize;
    this.View = View;
    // "default", "byob", or "none" once the reader that lent the buffer is gone.
    this.lender = lender;
  }

  /** The filled part, as the kind of view that was lent. The buffer changes hands. */
  toView() {
    return new this.View(this.buffer.transfer(), this.byteOffset, this.filled / this.elementSize);
  }
}

const TYPED_ARRAYS = [
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array,
  BigUint64Array, Float32Array, Float64Array, ...(typeof Float16Array === "function" ? [Float16Array] : []),
];
const TYPED_ARRAY_NAMES = new Map(TYPED_ARRAYS.map((View) => [View.name, View]));
const typedArrayName = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;

/** The intrinsic constructor of a view, whatever its `constructor` property says. */
export function viewConstructor(view) {
  return TYPED_ARRAY_NAMES.get(typedArrayName.call(view)) ?? DataView;
}

export class ByteController extends Controller {
  constructor(stream, source, highWaterMark, autoAllocateChunkSize) {
    super(stream, source, highWaterMark);
    this.autoAllocateChunkSize = autoAllocateChunkSize;
    // Entries are Uint8Arrays, each the sole owner of its buffer.
    this.chunks = [];
    this.queued = 0;
    this.pending = [];
    // The public byobRequest, which the shell in byte-api.js keeps; told when it is no longer valid.
    this.byobRequest = null;
  }

  get isByte() {
    return true;
  }

  dropQueue() {
    this.invalidateByobRequest();
    this.pending = [];
    this.chunks = [];
    this.queued = 0;
  }

  invalidateByobRequest() {
    if (this.byobRequest === null) return;
    this.byobRequest.invalidate();
    this.byobRequest = null;
  }

  releaseSteps() {
    if (this.pending.length === 0) return;
    this.pending.length = 1;
    this.pending[0].lender = "none";
  }

  // Reading ---------------------------------------------------------------------------------------------------------

  pullSteps(request) {
    if (this.queued > 0) {
      this.answerFromQueue(request);
      return;
    }
    const size = this.autoAllocateChunkSize;
    if (size !== undefined) {
      let buffer;
      try {
        buffer = new ArrayBuffer(size);
      } catch (error) {
        request.onError(error);
        return;
      }
      this.pending.push(new PullInto(buffer, 0, size, 1, 1, Uint8Array, "default"));
    }
    this.stream.reader.requests.push(request);
    this.pullIfNeeded();
  }

  pullInto(view, min, request) {
    const View = viewConstructor(view);
    const elementSize = View === DataView ? 1 : View.BYTES_PER_ELEMENT;
    const { byteOffset, byteLength } = view;
    let buffer;
    try {
      buffer = view.buffer.transfer();
    } catch (error) {
      request.onError(error);
      return;
    }
    const lent = new PullInto(buffer, byteOffset, byteLength, min * elementSize, elementSize, View, "byob");
    const { stream } = this;
    if (this.pending.length === 0) {
      if (stream.state === "closed") {
        request.onClose(lent.toView());
        return;
      }
      if (this.queued > 0) {
        if (this.fillFromQueue(lent)) {
          const view = lent.toView();
          this.afterDequeue();
          request.onChunk(view);
          return;
        }
        if (this.closeRequested) {
          const reason = new TypeError("The stream ended inside an element of the view");
          this.error(reason);
          request.onError(reason);
          return;
        }
      }
    }
    this.pending.push(lent);
    stream.reader.requests.push(request);
    this.pullIfNeeded();
  }

  answerFromQueue(request) {
    const chunk = this.chunks.shift();
    this.queued -= chunk.byteLength;
    this.afterDequeue();
    request.onChunk(chunk);
  }

  afterDequeue() {
    if (this.queued === 0 && this.closeRequested) {
      this.clearSource();
      closeReadable(this.stream);
    } else {
      this.pullIfNeeded();
    }
  }

  // Filling -----------------------------------------------------------------------------------------------------------

  /** Takes a worker's chunk; its buffer is transferred away from the worker. */
  enqueue(view) {
    if (!this.canEnqueue) return;
    const { buffer, byteOffset, byteLength } = view;
    if (buffer.detached) throw new TypeError("The chunk's buffer is detached");
    const chunk = new Uint8Array(buffer.transfer(), byteOffset, byteLength);
    const first = this.pending[0];
    if (first !== undefined) {
      if (first.buffer.detached) throw new TypeError("The lent buffer is detached");
      this.invalidateByobRequest();
      first.buffer = first.buffer.transfer();
    }
    this.enqueueOwned(chunk);
  }

  /** Takes bytes that nobody else holds: what the prelude's own sources produce. */
  enqueueOwned(chunk) {
    if (!this.canEnqueue) return;
    const { stream } = this;
    this.reclaim();
    if (waitingReads(stream) > 0) {
      this.answerReadsFromQueue();
      if (waitingReads(stream) > 0) {
        if (this.pending.length > 0) this.pending.shift();
        stream.reader.requests.shift().onChunk(chunk);
      } else {
        this.addChunk(chunk);
      }
    } else {
      this.addChunk(chunk);
      if (waitingReadIntos(stream) > 0) this.commitAll(this.fillPendingFromQueue());
    }
    this.pullIfNeeded();
  }

  addChunk(chunk) {
    this.chunks.push(chunk);
    this.queued += chunk.byteLength;
  }

  /** Ends the stream once the queue is empty. BYOB reads that still wait are answered by `respond(0)`. */
  close() {
    if (!this.canEnqueue) return;
    if (this.queued > 0) {
      this.closeRequested = true;
      return;
    }
    const first = this.pending[0];
    if (first !== undefined && first.filled % first.elementSize !== 0) {
      const reason = new TypeError("The stream ended inside an element of the view");
      this.error(reason);
      throw reason;
    }
    this.clearSource();
    closeReadable(this.stream);
  }

  /** As `close`, but an end inside an element, which errors the stream, is nobody's exception: false then. */
  end() {
    try {
      this.close();
    } catch {
      return false;
    }
    return true;
  }

  /** As `end`, and gives lent buffers back: for sources that never look at `byobRequest`. */
  finish() {
    this.reclaim();
    if (waitingReads(this.stream) > 0) this.answerReadsFromQueue();
    else if (waitingReadIntos(this.stream) > 0) this.commitAll(this.fillPendingFromQueue());
    if (!this.end()) return;
    if (this.stream.state === "closed" && this.pending.length > 0) this.respond(0);
  }

  respond(written) {
    const first = this.pending[0];
    if (this.stream.state === "closed") {
      if (written !== 0) throw new TypeError("Nothing can be written to a closed stream");
    } else {
      if (written === 0) throw new TypeError("At least one byte must be written");
      if (first.filled + written > first.byteLength) throw new RangeError("More bytes than the view has");
    }
    first.buffer = first.buffer.transfer();
    this.respondFilled(written);
  }

  respondWithNewView(view) {
    const first = this.pending[0];
    const { byteLength, byteOffset, buffer } = view;
    if (this.stream.state === "closed") {
      if (byteLength !== 0) throw new TypeError("Nothing can be written to a closed stream");
    } else if (byteLength === 0) {
      throw new TypeError("At least one byte must be written");
    }
    if (first.byteOffset + first.filled !== byteOffset) throw new RangeError("The view does not begin where it should");
    if (first.bufferByteLength !== buffer.byteLength) throw new RangeError("The view's buffer has another length");
    if (first.filled + byteLength > first.byteLength) throw new RangeError("The view is longer than what was lent");
    first.buffer = buffer.transfer();
    this.respondFilled(byteLength);
  }

  respondFilled(written) {
    const first = this.pending[0];
    this.invalidateByobRequest();
    if (this.stream.state === "closed") this.respondClosed(first);
    else this.respondReadable(first, written);
    this.pullIfNeeded();
  }

  respondClosed(first) {
    if (first.lender === "none") this.pending.shift();
    this.commitAll(this.pending.splice(0, waitingReadIntos(this.stream)));
  }

  respondReadable(first, written) {
    first.filled += written;
    if (first.lender === "none") {
      this.returnToQueue(first);
      this.commitAll(this.fillPendingFromQueue());
      return;
    }
    if (first.filled < first.minimumFill) return;
    this.pending.shift();
    const odd = first.filled % first.elementSize;
    if (odd > 0) {
      const end = first.byteOffset + first.filled;
      this.addChunk(new Uint8Array(first.buffer.slice(end - odd, end)));
      first.filled -= odd;
    }
    const filled = this.fillPendingFromQueue();
    this.commit(first);
    this.commitAll(filled);
  }

  // Descriptors -------------------------------------------------------------------------------------------------------

  /** Whose reader has gone: what was written into it belongs to whoever reads next. */
  /** What a reader that was released has left behind goes to the next one. */
  reclaim() {
    const first = this.pending[0];
    if (first !== undefined && first.lender === "none") this.returnToQueue(first);
  }

  returnToQueue(first) {
    if (first.filled > 0) {
      this.addChunk(new Uint8Array(first.buffer.slice(first.byteOffset, first.byteOffset + first.filled)));
    }
    this.pending.shift();
  }

  /** Copies from the queue; true when the descriptor has what it needs. */
  fillFromQueue(lent) {
    const most = lent.filled + Math.min(this.queued, lent.byteLength - lent.filled);
    const aligned = most - (most % lent.elementSize);
    const ready = aligned >= lent.minimumFill;
    let left = (ready ? aligned : most) - lent.filled;
    const target = new Uint8Array(lent.buffer);
    while (left > 0) {
      const head = this.chunks[0];
      const count = Math.min(left, head.byteLength);
      target.set(count === head.byteLength ? head : head.subarray(0, count), lent.byteOffset + lent.filled);
      if (count === head.byteLength) this.chunks.shift();
      else this.chunks[0] = head.subarray(count);
      this.queued -= count;
      lent.filled += count;
      left -= count;
    }
    return ready;
  }

  /** Fills waiting descriptors; those that became ready leave `pending` and are returned, to be committed. */
  fillPendingFromQueue() {
    const filled = [];
    while (this.pending.length > 0 && this.queued > 0) {
      if (this.fillFromQueue(this.pending[0])) filled.push(this.pending.shift());
    }
    return filled;
  }

  answerReadsFromQueue() {
    const { requests } = this.stream.reader;
    while (requests.length > 0 && this.queued > 0) this.answerFromQueue(requests.shift());
  }

  commitAll(list) {
    for (const lent of list) this.commit(lent);
  }

  commit(lent) {
    const request = this.stream.reader.requests.shift();
    const view = lent.toView();
    if (this.stream.state === "closed") request.onClose(view);
    else request.onChunk(view);
  }
}
