// What handlers are given beside the event: `ctx`, and the controller of a scheduled event.
//
// Owns those two classes. Must not know handlers. Enter at `ExecutionContext`.

import { webClass } from "./errors.js";
import { reportException } from "./errors-report.js";
import { currentState, holdUntil } from "./request-state.js";

// Marks a construction by the prelude itself; tenant code can not reach it.
const INTERNAL = {};

let makeContext;

export class ExecutionContext {
  #state;
  // JSON text of the caller's `props`, parsed when asked for.
  #props;

  static {
    makeContext = (state, props) => {
      const context = new ExecutionContext(INTERNAL);
      context.#state = state;
      context.#props = props;
      return context;
    };
  }

  constructor(token = undefined) {
    if (token !== INTERNAL) throw new TypeError("Illegal constructor");
  }

  waitUntil(promise) {
    if (arguments.length < 1) {
      throw new TypeError("Failed to execute 'waitUntil' on 'ExecutionContext': 1 argument required, but only 0 present.");
    }
    holdUntil(this.#state, promise, reportException);
  }

  // There is no origin behind a Skerry hostname to pass a request on to, so a failed request gets the error page.
  passThroughOnException() {
    this.#state;
  }

  get props() {
    if (typeof this.#props === "string") this.#props = JSON.parse(this.#props);
    this.#props ??= {};
    return this.#props;
  }
}

webClass(ExecutionContext);

let makeController;

export class ScheduledController {
  #cron;
  #scheduledTime;
  #noRetry = false;

  static {
    makeController = (cron, scheduledTime) => {
      const controller = new ScheduledController(INTERNAL);
      controller.#cron = cron;
      controller.#scheduledTime = scheduledTime;
      return controller;
    };
  }

  constructor(token = undefined) {
    if (token !== INTERNAL) throw new TypeError("Illegal constructor");
  }

  get cron() {
    return this.#cron;
  }

  get scheduledTime() {
    return this.#scheduledTime;
  }

  get type() {
    return "scheduled";
  }

  noRetry() {
    this.#noRetry = true;
  }
}

webClass(ScheduledController);

// `waitUntil` of `cloudflare:workers`: for the event on whose behalf code runs.
export function waitUntil(promise) {
  const state = currentState();
  if (state === undefined) throw new Error("waitUntil() can only be called while an event is handled.");
  holdUntil(state, promise, reportException);
}

export { makeContext, makeController };
