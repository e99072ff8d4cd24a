// The prelude's side of the crossing (OPS.md).
//
// **Owns** op and event numbers and the table of operations in flight. **Must not know** what any operation means. **Enter at** `op`
// and `start`. A test compares the numbers with OPS.md and `src/runtime/ops.rs`.

export const host = globalThis.__host;
const { promise, settle, stamp } = host;

// What the host tells us.
export const EVENT = Object.freeze({ FETCH: 1, SCHEDULED: 2, COMPLETE: 3, CANCEL: 4, SOCKET: 5, END: 6 });

// What we ask of the host; 100 and above may answer later, by COMPLETE.
export const OP = Object.freeze({
  LOG: 1,
  RESPOND: 2,
  FAIL: 3,
  DONE: 4,
  LOAD_FAILED: 5,
  LOADED: 6,
  NOW: 7,
  RANDOM: 8,
  HAND_ON: 9,
  URL_PARSE: 10,
  URL_SET: 11,
  DOMAIN_TO_ASCII: 12,
  DIGEST: 20,
  HMAC_SIGN: 21,
  HMAC_VERIFY: 22,
  TIMING_SAFE_EQUAL: 23,
  DIGEST_NEW: 24,
  DIGEST_WRITE: 25,
  DIGEST_END: 26,
  HMAC_NEW: 27,
  ENCODING_FOR_LABEL: 30,
  DECODER_NEW: 31,
  DECODER_WRITE: 32,
  ZLIB_NEW: 33,
  ZLIB_WRITE: 34,
  DROP: 35,
  BODY_NEW: 40,
  BODY_CANCEL: 41,
  BODY_ABORT: 42,
  TIMER_CLEAR: 43,
  ABORT: 44,
  BODY_END: 45,
  SOCKET_NEW: 50,
  SOCKET_SEND: 51,
  SOCKET_CLOSE: 52,
  TIMER: 100,
  FETCH: 101,
  SERVICE_FETCH: 102,
  BODY_READ: 103,
  BODY_WRITE: 104,
  KV_GET: 110,
  KV_PUT: 111,
  KV_DELETE: 112,
  KV_LIST: 113,
});

// A synchronous operation: returns the reply, throws an error reply.
export const op = host.op;

// Operations in flight by id: copies of OPERATION. `complete(value, state)` is called with the value, or an Error, that the host
// answered; `dropped()` when the event ends first. `again`, { code, args }, is there while the operation waits to be begun
// anew. `before` and `after` chain those of one event, so that they go with it at no cost for an event without any.
// BOUND: the host refuses operations past its per-isolate limit, and drops those of an event when it ends, as we do.
const pending = new Map();
const OPERATION = {
  id: 0,
  complete: undefined,
  state: undefined,
  dropped: undefined,
  context: undefined,
  again: undefined,
  after: undefined,
  before: undefined,
};
let nextId = 1;

// Where an event keeps the first of its chain (null: it is over): functions of the file that owns events.
let firstOf;
let setFirst;

export function setChainOf(read, write) {
  firstOf = read;
  setFirst = write;
}

// Takes an operation out of the table and returns it.
function remove(id) {
  const entry = pending.get(id);
  if (entry === undefined) return undefined;
  pending.delete(id);
  const { before, after } = entry;
  if (before === undefined) setFirst(entry.context, after);
  else before.after = after;
  if (after !== undefined) after.before = before;
  return entry;
}

// Forgets the operations of an event that is over: the host never completes them.
export function dropChain(first) {
  for (let entry = first; entry !== undefined; ) {
    const { after } = entry;
    pending.delete(entry.id);
    // The engine frees at once what no cycle holds.
    entry.before = entry.after = undefined;
    entry.dropped?.();
    entry = after;
  }
}

function newId() {
  const id = nextId;
  nextId = id === 0x7fffffff ? 1 : id + 1;
  return id;
}

let requestIdOf = () => -1;

// Says how the id of the request is read from the async context. Called once, by the file that owns the context.
export function setRequestIdOf(read) {
  requestIdOf = read;
}

// Starts an asynchronous operation for the current request and settles with what it completes with.
export function start(code, ...args) {
  const outcome = promise();
  try {
    const value = attempt(code, settleWith, args, outcome);
    if (value !== undefined) settle(outcome, value, false);
  } catch (error) {
    settle(outcome, error, true);
  }
  return outcome;
}

function settleWith(value, outcome) {
  settle(outcome, value, value instanceof Error);
}

// As `start`, but calls `complete(value or Error, state)` in the context of the request and returns the op's id, by which it
// can be aborted. Throws when the host refuses to start it, as it does outside events. `dropped()` is called in place of
// `complete` when the event ends first. Not for operations that the host may do at once.
export function startWith(code, complete, args, state = undefined, dropped = undefined) {
  const id = newId();
  const context = host.getContext();
  const reply = host.opList(code, id, context === undefined ? -1 : requestIdOf(context), args);
  expect(id, context, complete, state, dropped, reply === false ? { code, args } : undefined);
  return id;
}

// As `startWith`, for an operation that the host may do at once: returns what it came to, or undefined, and then `complete` is
// called. Throws when it failed at once.
export function attempt(code, complete, args, state = undefined) {
  const id = newId();
  const context = host.getContext();
  const reply = host.opList(code, id, context === undefined ? -1 : requestIdOf(context), args);
  if (reply !== undefined && reply !== false) return reply;
  expect(id, context, complete, state, undefined, reply === false ? { code, args } : undefined);
  return undefined;
}

function expect(id, context, complete, state, dropped, again) {
  const first = firstOf(context);
  // Begun in the very delivery that ended the event: the host drops it, and nobody hears of it.
  if (first === null) return;
  const entry = stamp(OPERATION, id, complete, state, dropped, context, again, first);
  if (first !== undefined) first.before = entry;
  setFirst(context, entry);
  pending.set(id, entry);
}

// Whether the operation will complete or be dropped.
export function isInFlight(id) {
  return pending.has(id);
}

// Forgets an operation whose COMPLETE must not be heard (a cleared timer).
export function forget(id) {
  remove(id);
}

// A COMPLETE event.
export function complete(id, value) {
  if (value === false) {
    beginAgain(id);
    return;
  }
  const entry = remove(id);
  if (entry === undefined) return;
  host.setContext(entry.context);
  entry.complete(value, entry.state);
}

// The host had no room for what the operation sends, and has it now: the operation is begun anew, under its id.
function beginAgain(id) {
  const entry = pending.get(id);
  if (entry === undefined) return;
  const { code, args } = entry.again;
  host.setContext(entry.context);
  let value;
  try {
    value = host.opList(code, id, requestIdOf(entry.context), args);
  } catch (error) {
    value = error;
  }
  if (value === undefined) {
    entry.again = undefined;
  } else if (value !== false) {
    remove(id);
    entry.complete(value, entry.state);
  }
}

// Milliseconds since the epoch; stands still while JavaScript runs.
export function now() {
  return host.now();
}

// The request on whose behalf code runs now, or -1 at the top level.
export function currentRequestId() {
  const context = host.getContext();
  return context === undefined ? -1 : requestIdOf(context);
}
