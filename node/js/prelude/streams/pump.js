// Bodies on their way to the host.
//
// **Owns** when a stream is read for the host, how large the pieces are, and who hears of a failure. **Must not know** Request or
// Response. **Enter at** `pumpToHost`, `pumpConstant`.
//
//   Reading --chunk--> Writing --the host has all of it--> Reading
//      |                  `--failure | nobody reads the body any more--> over
//      `--end | failure | a chunk that is not bytes--> over
//
// - Reading: one read is under way.  - Writing: what is left of the chunk waits for room at the host.  - over: the host has
//   the end, or the reason for there being none; a stream that still runs is cancelled.

import { attempt, host, OP, op, start } from "../host.js";
import { pieceEnd } from "../bytes.js";
import { toBytes } from "../errors.js";
import { describe } from "./host-body.js";
import { DONE } from "./promises.js";
import { ReadLoop } from "./read-loop.js";
import { readableOf } from "./readable-stream.js";

const { getContext, setContext, promise, react, settle } = host;

// BOUND: what one BODY_WRITE carries; the host has the same number.
const PIECE_BYTES_MAX = 64 * 1024;
// UTF-16 units of a string that are sent at once: at most as many bytes as a piece may have.
const PIECE_UNITS_MAX = PIECE_BYTES_MAX / 4;

/**
 * Sends the stream into host body `id`, as fast as the host takes it, once the caller has said what the body is for. Resolves at
 * the end; rejects, with the host told, when the stream fails. Cancels the stream, and resolves, when the host no longer wants
 * it.
 */
export function pumpToHost(shell, id) {
  const pump = new Pump(readableOf(shell), id);
  react(DONE, () => pump.read(), undefined);
  return pump.over;
}

class Pump extends ReadLoop {
  constructor(stream, id) {
    super(stream);
    this.id = id;
    // Of the write, with the piece.
    this.args = [id, undefined];
    this.over = promise();
    // Chunks may come from code that runs for another event.
    this.context = getContext();
    this.bytes = undefined;
    // Where in `bytes` the next piece begins.
    this.at = 0;
  }

  onChunk(chunk) {
    const outer = getContext();
    setContext(this.context);
    try {
      this.bytes = toBytes(chunk, "The body's chunk");
      this.at = 0;
      this.write();
    } catch (error) {
      // Whoever enqueues this chunk may enqueue more, and close: that must not fail.
      react(DONE, () => this.failed(error), undefined);
    } finally {
      setContext(outer);
    }
  }

  /** Writes what is left of the chunk, as long as the host has room. */
  write() {
    while (this.at < this.bytes.byteLength) {
      this.args[1] = this.nextPiece();
      if (attempt(OP.BODY_WRITE, onWritten, this.args, this) === undefined) return;
    }
    this.bytes = this.args[1] = undefined;
    this.read();
  }

  nextPiece() {
    const { bytes, at } = this;
    this.at = Math.min(at + PIECE_BYTES_MAX, bytes.byteLength);
    return at === 0 && this.at === bytes.byteLength ? bytes : bytes.subarray(at, this.at);
  }

  failed(error) {
    if (isDisinterest(error)) settle(this.over, undefined, false);
    else this.onError(error);
    this.cancel(error);
  }

  onClose() {
    op(OP.BODY_END, this.id);
    settle(this.over, undefined, false);
  }

  onError(reason) {
    op(OP.BODY_ABORT, this.id, describe(reason));
    settle(this.over, reason, true);
  }
}

function onWritten(value, pump) {
  try {
    if (value instanceof Error) throw value;
    pump.write();
  } catch (error) {
    pump.failed(error);
  }
}

/** Sends a string or bytes into host body `id`, piece by piece, from now on. Resolves as `pumpToHost` does. */
export async function pumpConstant(content, id) {
  const isText = typeof content === "string";
  try {
    for (let at = 0; at < content.length; ) {
      const end = isText ? pieceEnd(content, at + PIECE_UNITS_MAX) : at + PIECE_BYTES_MAX;
      await start(OP.BODY_WRITE, id, isText ? content.slice(at, end) : content.subarray(at, end));
      at = end;
    }
    op(OP.BODY_END, id);
  } catch (error) {
    if (!isDisinterest(error)) throw error;
  }
}

/** Whoever read the body has gone away: that is no failure of the worker's. */
function isDisinterest(error) {
  return error.name === "AbortError";
}
