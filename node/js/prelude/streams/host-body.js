// Readable streams over bodies that the platform knows: those the host sends, and constants.
//
// **Owns** the short cuts: a stream that no worker has touched passes through by its id or value, and reading all of one
// does not go through a queue. **Must not know** Request or Response. **Enter at** `createHostReadable`, `readAllBytes`.
//
// What the platform knows is `stream.body`: `{ id }` for a host body, `{ constant }` for a string or bytes, and `length`
// where it is known.

import { attempt, host, OP, op } from "../host.js";
import { addAbortAlgorithm, removeAbortAlgorithm } from "../abort.js";
import { concat, utf8Length } from "../bytes.js";
import { atEnd, currentEvent } from "../event-context.js";
import { ByteController } from "./byte-controller.js";
import { Deferred, DONE, handled } from "./promises.js";
import { ReadLoop } from "./read-loop.js";
import { cancelReadable, Readable, Reader } from "./readable.js";
import { readableOf, shellOf } from "./readable-stream.js";

const { promise, settle } = host;

/** A byte stream of host body `id`. Nothing is read before somebody reads. */
export function createHostReadable(id) {
  return lazyReadable({ id, constant: undefined, length: undefined }, openHost);
}

/** A byte stream of one chunk. The bytes must not be changed by anybody else. */
export function createBytesReadable(bytes) {
  return lazyReadable({ id: undefined, constant: bytes, length: bytes.byteLength }, openConstant);
}

/** A byte stream of a string, in UTF-8. */
export function createTextReadable(text) {
  return lazyReadable({ id: undefined, constant: text, length: undefined }, openConstant);
}

function lazyReadable(body, open) {
  const stream = new Readable();
  stream.body = body;
  stream.open = () => openByteStream(stream, open(body));
  return shellOf(stream);
}

/** The prelude's sources have no `start`, so the first read may pull at once. */
function openByteStream(stream, source) {
  const controller = new ByteController(stream, source, 0, undefined);
  controller.started = true;
  return controller;
}

function openHost({ id }) {
  return new HostSource(id);
}

class HostSource {
  constructor(id) {
    this.id = id;
    this.controller = undefined;
    // Of the pull that waits for a piece.
    this.pulled = undefined;
  }

  pull(controller) {
    this.controller = controller;
    let piece;
    try {
      piece = takePiece(this.id, onPiece, this);
    } catch (error) {
      controller.error(error);
      return undefined;
    }
    if (piece === undefined) return (this.pulled = promise());
    this.give(piece);
    return undefined;
  }

  give(piece) {
    if (piece === null) this.controller.finish();
    else this.controller.enqueueOwned(new Uint8Array(piece));
  }

  cancel(reason) {
    cancelHostBody(this.id, reason);
    return DONE;
  }
}

function cancelHostBody(id, reason) {
  unfollow(id);
  op(OP.BODY_CANCEL, id, describe(reason));
}

function onPiece(piece, source, reason = piece) {
  const { pulled } = source;
  if (piece instanceof Error) {
    settle(pulled, reason, true);
    return;
  }
  source.give(piece);
  settle(pulled, undefined, false);
}

// Host bodies that a signal can cut off: id -> { signal, cutOff, reason (once it has) }. BOUND: the host's; each goes at its
// end, or with its event.
const followed = new Map();

/** Cuts host body `id` off when `signal` aborts: what is read of it from then on fails with the signal's reason. */
export function followSignal(id, signal) {
  const entry = { signal, cutOff: undefined, reason: undefined };
  entry.cutOff = (reason) => {
    entry.reason = reason;
    op(OP.BODY_CANCEL, id, describe(reason));
  };
  followed.set(id, entry);
  atEnd(currentEvent(), () => unfollow(id));
  if (signal.aborted) entry.cutOff(signal.reason);
  else addAbortAlgorithm(signal, entry.cutOff);
}

function unfollow(id) {
  const entry = followed.get(id);
  if (entry === undefined) return;
  followed.delete(id);
  removeAbortAlgorithm(entry.signal, entry.cutOff);
}

/** A promise of a piece of host body `id`, an ArrayBuffer, or of null at its end. */
export function readHostBody(id) {
  const outcome = promise();
  try {
    const piece = takePiece(id, onRead, outcome);
    if (piece !== undefined) settle(outcome, piece, false);
  } catch (error) {
    settle(outcome, error, true);
  }
  return outcome;
}

function onRead(piece, outcome, reason = piece) {
  if (piece instanceof Error) settle(outcome, reason, true);
  else settle(outcome, piece, false);
}

/**
 * As `readHostBody`, at once where a piece has arrived; else undefined, and `then(piece or Error, state, reason)` is called,
 * with the reason of the signal that cut the body off, if one did. Throws what went wrong at once.
 */
function takePiece(id, then, state) {
  const entry = followed.get(id);
  if (entry !== undefined) return takeFollowed(id, entry, then, state);
  return attempt(OP.BODY_READ, then, [id], state);
}

function takeFollowed(id, entry, then, state) {
  if (entry.reason !== undefined) throw entry.reason;
  const piece = attempt(OP.BODY_READ, (value) => {
    if (value === null) unfollow(id);
    then(value, state, entry.reason);
  }, [id]);
  if (piece === null) unfollow(id);
  return piece;
}

function openConstant({ constant }) {
  return {
    pull(controller) {
      const bytes = typeof constant === "string" ? new Uint8Array(host.utf8Encode(constant)) : constant.slice();
      if (bytes.byteLength > 0) controller.enqueueOwned(bytes);
      controller.finish();
    },
    cancel: () => DONE,
  };
}

/** A reason as text for the host's logs: workers may cancel with anything. */
export function describe(reason) {
  try {
    return `${reason}`;
  } catch {
    return "";
  }
}

function untouched(stream) {
  return stream.body !== undefined && !stream.disturbed && stream.reader === undefined && stream.state === "readable";
}

/** The id of a host body that nobody has read from or locked, else undefined. */
export function hostBodyId(shell) {
  const stream = readableOf(shell);
  return untouched(stream) ? stream.body.id : undefined;
}

/** As `hostBodyId`, and the body is the caller's: the stream is disturbed, locked, and will produce nothing. */
export function takeHostBody(shell) {
  const id = hostBodyId(shell);
  if (id !== undefined) seal(readableOf(shell));
  return id;
}

/** The string or bytes of a constant stream that nobody has read from or locked, else undefined. */
export function constantOf(shell) {
  const stream = readableOf(shell);
  return untouched(stream) ? stream.body.constant : undefined;
}

/** As `constantOf`, and the stream is disturbed and locked. */
export function takeConstant(shell) {
  const constant = constantOf(shell);
  if (constant !== undefined) seal(readableOf(shell));
  return constant;
}

/** How many bytes the stream will have, where that is known and none was read, else undefined. */
export function knownLength(shell) {
  const stream = readableOf(shell);
  return stream.disturbed ? undefined : stream.body?.length;
}

// Holds the lock of every sealed stream: nobody reads through it.
const SEAL = new Reader(new Readable(), false);

function seal(stream) {
  stream.reader = SEAL;
  stream.disturbed = true;
  stream.state = "closed";
}

export function isDisturbed(shell) {
  return readableOf(shell).disturbed;
}

export function isLocked(shell) {
  return readableOf(shell).reader !== undefined;
}

/** Cancels a stream that this file's callers do not want, whoever holds its lock. */
export function discard(shell, reason) {
  return cancelReadable(readableOf(shell), reason);
}

/**
 * All bytes of the stream, which ends locked and disturbed. A TypeError when it is locked, or for chunks of other kinds.
 *
 * With `limit`, `{ bytes, error }`, a stream that has more bytes is canceled with `error(length)`, and so is the promise
 * rejected: with the length of all of it where that is known, else of what was read.
 */
export function readAllBytes(shell, limit = undefined) {
  const stream = readableOf(shell);
  if (untouched(stream)) {
    const { constant, id } = stream.body;
    const length = limit === undefined ? undefined : lengthOf(stream.body);
    if (length !== undefined && length > limit.bytes) return refuse(stream, limit.error(length));
    if (constant !== undefined) {
      seal(stream);
      return Promise.resolve(typeof constant === "string" ? new Uint8Array(host.utf8Encode(constant)) : constant.slice());
    }
    if (id !== undefined) {
      seal(stream);
      return readAllOfHostBody(id, undefined, limit);
    }
  }
  return readChunks(stream, limit).then(concat);
}

function lengthOf({ constant, length }) {
  return typeof constant === "string" ? utf8Length(constant) : length;
}

function refuse(stream, reason) {
  handled(cancelReadable(stream, reason));
  seal(stream);
  return Promise.reject(reason);
}

/**
 * All bytes of host body `id`: what `decode`, where it is given, makes of each piece, and of null at the end. `limit` is that of
 * `readAllBytes`.
 */
export async function readAllOfHostBody(id, decode = undefined, limit = undefined) {
  const chunks = new Chunks(limit);
  for (;;) {
    const piece = await readHostBody(id);
    let excess;
    if (decode !== undefined) excess = chunks.add(decode(piece));
    else if (piece !== null) excess = chunks.add(new Uint8Array(piece));
    if (excess !== undefined) {
      if (piece !== null) cancelHostBody(id, excess);
      throw excess;
    }
    if (piece === null) return concat(chunks.list);
  }
}

async function readChunks(stream, limit) {
  const collector = new Collector(stream, limit);
  collector.read();
  return collector.all.promise;
}

/** What has been read, up to a limit. */
class Chunks {
  constructor(limit) {
    this.limit = limit;
    this.length = 0;
    this.list = [];
  }

  /** Past the limit nothing is kept, and its error returned. */
  add(chunk) {
    this.list.push(chunk);
    this.length += chunk.byteLength;
    if (this.limit === undefined || this.length <= this.limit.bytes) return undefined;
    this.list = [];
    return this.limit.error(this.length);
  }
}

/** Reads without a promise for each chunk. */
class Collector extends ReadLoop {
  constructor(stream, limit) {
    super(stream);
    this.chunks = new Chunks(limit);
    this.all = new Deferred();
  }

  onChunk(chunk) {
    const reason = chunk instanceof Uint8Array ? this.chunks.add(chunk) : notBytes();
    if (reason === undefined) {
      this.read();
      return;
    }
    this.cancel(reason);
    this.all.reject(reason);
  }

  onClose() {
    this.all.resolve(this.chunks.list);
  }

  onError(reason) {
    this.all.reject(reason);
  }
}

function notBytes() {
  return new TypeError("The body's stream has a chunk that is not a Uint8Array");
}
