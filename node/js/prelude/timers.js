// `setTimeout` and its family.
//
// **Owns** the numbers that tenant code sees for timers. **Must not know** time: the host counts. **Enter at** `setTimeout`.

import { OP, forget, host, isInFlight, op, startWith } from "./host.js";
import { addAbortAlgorithm, isAbortSignal, removeAbortAlgorithm } from "./abort.js";
import { webClass } from "./errors.js";
import { reportError } from "./errors-report.js";
import { DONE } from "./streams/promises.js";

const { promise, react, settle } = host;

// Longest delay: more does not fit the platform's 32 bits and would fire at once elsewhere.
const DELAY_MAX_MS = 0x7fffffff;

// Timer number -> id of the host's operation. BOUND: the host bounds operations in flight; those of an event go with it.
const running = new Map();
let nextNumber = 1;

function delayOf(delay) {
  const ms = Math.trunc(Number(delay));
  return ms > 0 ? Math.min(ms, DELAY_MAX_MS) : 0;
}

function callbackOf(name, callback, count) {
  if (count < 1) {
    throw new TypeError(`Failed to execute '${name}': 1 argument required, but only 0 present.`);
  }
  if (typeof callback !== "function") {
    throw new TypeError(`Failed to execute '${name}': parameter 1 is not of type 'function'.`);
  }
  return callback;
}

function run(callback, args) {
  try {
    callback.apply(globalThis, args);
  } catch (error) {
    reportError(error);
  }
}

export function setTimeout(callback, delay = 0, ...args) {
  const task = callbackOf("setTimeout", callback, arguments.length);
  const number = nextNumber++;
  const id = startWith(
    OP.TIMER,
    () => {
      running.delete(number);
      run(task, args);
    },
    [delayOf(delay)],
    undefined,
    () => running.delete(number),
  );
  if (isInFlight(id)) running.set(number, id);
  return number;
}

export function setInterval(callback, delay = 0, ...args) {
  const task = callbackOf("setInterval", callback, arguments.length);
  const number = nextNumber++;
  // At least 1 ms, so that an interval of nothing leaves room for other events.
  const ms = Math.max(1, delayOf(delay));
  const arm = () => {
    const id = startWith(OP.TIMER, fire, [ms], undefined, () => running.delete(number));
    if (isInFlight(id)) running.set(number, id);
  };
  const fire = () => {
    arm();
    run(task, args);
  };
  arm();
  return number;
}

export function clearTimeout(number = 0) {
  const key = Number(number);
  const id = running.get(key);
  if (id === undefined) return;
  running.delete(key);
  forget(id);
  op(OP.TIMER_CLEAR, id);
}

export function clearInterval(number = 0) {
  clearTimeout(number);
}

export function queueMicrotask(callback) {
  const task = callbackOf("queueMicrotask", callback, arguments.length);
  react(
    DONE,
    () => {
      try {
        task();
      } catch (error) {
        reportError(error);
      }
    },
    undefined,
  );
}

export class Scheduler {
  // Resolves after some milliseconds; rejects with the signal's reason when it aborts first.
  wait(delay, options = undefined) {
    const outcome = promise();
    try {
      sleep(outcome, delayOf(delay), options?.signal);
    } catch (error) {
      settle(outcome, error, true);
    }
    return outcome;
  }
}

function sleep(outcome, ms, signal = null) {
  if (signal === null) {
    startWith(OP.TIMER, wake, [ms], outcome);
    return;
  }
  if (!isAbortSignal(signal)) {
    throw new TypeError("Failed to execute 'wait' on 'Scheduler': member signal is not of type AbortSignal.");
  }
  if (signal.aborted) throw signal.reason;
  const abort = (reason) => {
    forget(id);
    op(OP.TIMER_CLEAR, id);
    settle(outcome, reason, true);
  };
  const id = startWith(
    OP.TIMER,
    () => {
      removeAbortAlgorithm(signal, abort);
      settle(outcome, undefined, false);
    },
    [ms],
  );
  addAbortAlgorithm(signal, abort);
}

function wake(_, outcome) {
  settle(outcome, undefined, false);
}

webClass(Scheduler);

export const scheduler = new Scheduler();
