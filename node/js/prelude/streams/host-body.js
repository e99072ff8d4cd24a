// Readable streams over bodies that the platform knows: those the host sends, and constants.
//
// **Owns** the short cuts: a stream that no worker has touched passes through by its id or value, and reading all of one
// does not go through a queue. **Must not know** Request or Response. **Enter at** `createHostReadable`, `readAllBytes`,
// `pumpToHost`.
//
// What the platform knows is `stream.body`: `{ id }` for a host body, `{ constant }` for a string or bytes, and `length`
// where it is known.

import { host, OP, op, start, startWith } from "../host.js";
import { addAbortAlgorithm, removeAbortAlgorithm } from "../abort.js";
import { pieceEnd } from "../bytes.js";
import { atEnd, currentEvent } from "../event-context.js";
import { toBytes } from "../errors.js";
import { ByteController } from "./byte-controller.js";
import { acquireReader, cancelReadable, Readable, Reader } from "./readable.js";
import { readableOf, shellOf } from "./readable-stream.js";

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
  return {
    pull: (controller) => new Promise((resolve, reject) => {
      readPiece(id, (value) => {
        if (value === null) controller.finish();
        else controller.enqueueOwned(new Uint8Array(value));
        resolve(undefined);
      }, reject);
    }),
    cancel(reason) {
      unfollow(id);
      op(OP.BODY_CANCEL, id, describe(reason));
      return Promise.resolve(undefined);
    },
  };
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

/** A piece of host body `id` as an ArrayBuffer, or null at its end. */
export function readHostBody(id) {
  return new Promise((resolve, reject) => readPiece(id, resolve, reject));
}

function readPiece(id, resolve, reject) {
  const entry = followed.get(id);
  if (entry?.reason !== undefined) {
    reject(entry.reason);
    return;
  }
  startWith(OP.BODY_READ, (value) => {
    if (value instanceof Error) {
      reject(entry?.reason ?? value);
    } else {
      if (value === null) unfollow(id);
      resolve(value);
    }
  }, [id]);
}

function openConstant({ constant }) {
  return {
    pull(controller) {
      const bytes = typeof constant === "string" ? new Uint8Array(host.utf8Encode(constant)) : constant.slice();
      if (bytes.byteLength > 0) controller.enqueueOwned(bytes);
      controller.finish();
    },
    cancel: () => Promise.resolve(undefined),
  };
}

/** A reason as text for the host's logs: workers may cancel with anything. */
function describe(reason) {
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

/** All bytes of the stream, which ends locked and disturbed. A TypeError when it is locked, or for chunks of other kinds. */
export function readAllBytes(shell) {
  const stream = readableOf(shell);
  if (untouched(stream)) {
    const { constant, id } = stream.body;
    if (constant !== undefined) {
      seal(stream);
      return Promise.resolve(typeof constant === "string" ? new Uint8Array(host.utf8Encode(constant)) : constant.slice());
    }
    if (id !== undefined) {
      seal(stream);
      return readHostChunks(id).then(join);
    }
  }
  return readChunks(stream).then(join);
}

async function readHostChunks(id) {
  const chunks = [];
  for (;;) {
    const value = await readHostBody(id);
    if (value === null) return chunks;
    chunks.push(new Uint8Array(value));
  }
}

/** Reads without a promise for each chunk. */
async function readChunks(stream) {
  const reader = acquireReader(stream);
  const chunks = [];
  const { promise, resolve, reject } = Promise.withResolvers();
  let looping = false;
  let more = false;
  const request = {
    onChunk(chunk) {
      if (!(chunk instanceof Uint8Array)) {
        const reason = new TypeError("The body's stream has a chunk that is not a Uint8Array");
        cancelReadable(stream, reason).catch(() => {});
        reject(reason);
        return;
      }
      chunks.push(chunk);
      more = true;
      if (!looping) read();
    },
    onClose: () => resolve(chunks),
    onError: reject,
  };
  // A loop, not recursion: a full queue answers at once, chunk after chunk.
  function read() {
    looping = true;
    do {
      more = false;
      reader.read(request);
    } while (more);
    looping = false;
  }
  read();
  return promise;
}

function join(chunks) {
  if (chunks.length === 1) return chunks[0];
  let length = 0;
  for (const chunk of chunks) length += chunk.byteLength;
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

// BOUND: what one BODY_WRITE carries; the host has the same number.
const PIECE_BYTES_MAX = 64 * 1024;
// UTF-16 units of a string that are sent at once: at most as many bytes as a piece may have.
const PIECE_UNITS_MAX = PIECE_BYTES_MAX / 4;

/**
 * Sends the stream into host body `id`, as fast as the host takes it. Resolves at the end; rejects, with the host told,
 * when the stream fails. Cancels the stream, and resolves, when the host no longer wants it.
 */
export async function pumpToHost(shell, id) {
  const stream = readableOf(shell);
  const reader = acquireReader(stream);
  for (;;) {
    let chunk;
    try {
      chunk = await readBytes(reader);
    } catch (error) {
      op(OP.BODY_ABORT, id, describe(error));
      throw error;
    }
    try {
      if (chunk === undefined) {
        await start(OP.BODY_END, id);
        return;
      }
      await write(id, chunk);
    } catch (error) {
      cancelReadable(stream, error).catch(() => {});
      if (isDisinterest(error)) return;
      op(OP.BODY_ABORT, id, describe(error));
      throw error;
    }
  }
}

/** As `pumpToHost`, for a string or bytes. */
export async function pumpConstant(content, id) {
  try {
    if (typeof content === "string") {
      for (let at = 0; at < content.length; ) {
        const end = pieceEnd(content, at + PIECE_UNITS_MAX);
        await start(OP.BODY_WRITE, id, content.slice(at, end));
        at = end;
      }
    } else {
      await write(id, content);
    }
    await start(OP.BODY_END, id);
  } catch (error) {
    if (!isDisinterest(error)) throw error;
  }
}

/** Resolves when the host has all of the bytes. */
function write(id, bytes) {
  if (bytes.byteLength === 0) return undefined;
  return bytes.byteLength <= PIECE_BYTES_MAX ? start(OP.BODY_WRITE, id, bytes) : writePieces(id, bytes);
}

async function writePieces(id, bytes) {
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES_MAX) {
    await start(OP.BODY_WRITE, id, bytes.subarray(at, at + PIECE_BYTES_MAX));
  }
}

/** Whoever read the body has gone away: that is no failure of the worker's. */
function isDisinterest(error) {
  return error.name === "AbortError";
}

/** The next chunk as bytes, undefined at the end. */
function readBytes(reader) {
  return new Promise((resolve, reject) => {
    reader.read({
      onChunk(chunk) {
        try {
          resolve(toBytes(chunk, "The body's chunk"));
        } catch (error) {
          cancelReadable(reader.stream, error).catch(() => {});
          reject(error);
        }
      },
      onClose: () => resolve(undefined),
      onError: reject,
    });
  });
}
