// Errors that nobody caught.
//
// **Owns** how they reach `error` and `unhandledrejection` listeners, and the log. **Must not know** requests. **Enter at**
// `reportError`, `reportException`.
//
// ```text
// rejected --handled before the drain--> forgotten
//     `--drain--> `unhandledrejection` --not prevented--> logged; handled later --> `rejectionhandled`
// ```

import { OP, currentRequestId, host, op } from "./host.js";
import { setFailureReporter } from "./event-context.js";
import { inspect } from "./inspect.js";
import { ErrorEvent, PromiseRejectionEvent } from "./event-types.js";
import { dispatchTrusted, hasListeners, setExceptionReporter } from "./events.js";
import { globalTarget } from "./global-target.js";

const EXCEPTION = 5;
// BOUND: what one LOG operation carries; the host cuts at the same length.
const MESSAGE_MAX = 16 * 1024;

// `Name: text` of an error, or the inspected value of anything else that was thrown.
export function errorText(error) {
  if (!(error instanceof Error)) return inspect(error).slice(0, MESSAGE_MAX);
  let text;
  try {
    text = error.message === "" || error.message === undefined ? `${error.name}` : `${error.name}: ${error.message}`;
  } catch {
    text = "Error";
  }
  return text.slice(0, MESSAGE_MAX);
}

// The lines of a stack that belong to the worker. A frame of the prelude is named `skerry:`.
export function workerStack(error) {
  const lines = stackLines(error).filter(isWorkerFrame);
  return lines.length === 0 ? undefined : lines.join("\n").slice(0, MESSAGE_MAX);
}

// The first of them.
export function workerFrame(error) {
  return stackLines(error).find(isWorkerFrame);
}

function stackLines(error) {
  try {
    const stack = error?.stack;
    return typeof stack === "string" ? stack.split("\n") : [];
  } catch {
    return [];
  }
}

function isWorkerFrame(line) {
  // Most frames are the prelude's, and every line of a log asks: no regular expression here.
  return !line.includes("skerry:") && line.trimStart().startsWith("at ") && !line.includes("(native)") && !line.includes("<anonymous>)");
}

// Logs an exception on behalf of a request (-1: none).
export function reportException(error, requestId) {
  op(OP.LOG, EXCEPTION, requestId, errorText(error), workerStack(error));
}

// The global `reportError`: tells `error` listeners, then the log.
export function reportError(error) {
  if (arguments.length < 1) {
    throw new TypeError("Failed to execute 'reportError': 1 argument required, but only 0 present.");
  }
  const event = new ErrorEvent("error", { error, message: errorText(error), cancelable: true });
  // What an `error` listener throws goes to the log only, or it would be told about itself.
  if (hasListeners(globalTarget, "error")) dispatchTrusted(globalTarget, event, (thrown) => reportException(thrown, currentRequestId()));
  if (!event.defaultPrevented) reportException(error, currentRequestId());
}

// Rejections since the last drain: promise -> { reason, context }. BOUND: emptied at every drain.
const fresh = new Map();
// Promises reported as unhandled, to tell when they are handled after all.
const reported = new WeakSet();

function track(promise, reason, isHandled) {
  if (!isHandled) {
    fresh.set(promise, { reason, context: host.getContext() });
  } else if (!fresh.delete(promise) && reported.delete(promise) && hasListeners(globalTarget, "rejectionhandled")) {
    dispatchTrusted(globalTarget, new PromiseRejectionEvent("rejectionhandled", { promise, reason }));
  }
}

// Called each time no microtask is left.
export function drained() {
  if (fresh.size === 0) return;
  const rejections = [...fresh];
  fresh.clear();
  for (const [promise, { reason, context }] of rejections) {
    reported.add(promise);
    host.setContext(context);
    const event = new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
    if (hasListeners(globalTarget, "unhandledrejection")) dispatchTrusted(globalTarget, event);
    if (!event.defaultPrevented) reportException(reason, currentRequestId());
  }
  host.setContext(undefined);
}

export function installErrorReports() {
  host.setRejectionTracker?.(track);
  host.setDrained?.(drained);
  host.setJobErrorHandler?.(reportError);
  setExceptionReporter(reportError);
  setFailureReporter(reportException);
}
