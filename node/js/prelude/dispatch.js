// Events of the host.
//
// Owns the way from an event to a handler, and from what it returns to the host. Must not know what handlers do. Enter at
// `dispatch`.
//
// ```text
// FETCH -> handler -> a Response at once        -> RESPOND            -> (holds released) DONE
//                  -> a promise, then a Response -> RESPOND            -> DONE
//                  -> throws, rejects, no Response -> FAIL             -> DONE
// ```
// This is the hot path: a handler that returns a `Response` is answered within the same call, without a promise, and
// nothing is built that the handler does not look at.

import { EVENT, OP, complete, host, op } from "./host.js";
import * as body from "./body.js";
import { sendable } from "./body.js";
import { makeContext, makeController } from "./context.js";
import { callHandler, usesListeners } from "./entry.js";
import { errorText, reportException, workerStack } from "./errors-report.js";
import { dispatchTrusted } from "./events.js";
import { FetchEvent, ScheduledEvent, responseOf } from "./fetch-event.js";
import { globalTarget } from "./global-target.js";
import { cancel, holdUntil, openState, release } from "./request-state.js";
import { incomingRequest } from "./request.js";
import { bodyCodingOf, isResponse, listOf, socketOf, statusOf, statusTextOf } from "./response.js";
import { arrive, bindSocket } from "./websocket.js";

const FULFILLED = 1;

export function dispatch(kind, a, b, c, d, e, f, g) {
  switch (kind) {
    case EVENT.FETCH:
      onFetch(a, b, c, d, e, f, g);
      break;
    case EVENT.COMPLETE:
      complete(a, b);
      break;
    case EVENT.SCHEDULED:
      onScheduled(a, b, c);
      break;
    case EVENT.CANCEL:
      cancel(a);
      break;
    case EVENT.SOCKET:
      arrive(a, b, c);
      break;
    default:
      throw new Error(`The host sent an event of an unknown kind: ${kind}`);
  }
}

// `meta` is JSON: { entrypoint, props } where there is something to say.
function onFetch(requestId, method, url, headers, content, cf, meta) {
  const state = openState(requestId);
  host.setContext(state);
  const request = incomingRequest(state, method, url, headers, content, cf);
  let result;
  try {
    result = usesListeners("fetch") ? respondByEvent(state, request) : callFetch(state, request, meta);
  } catch (error) {
    fail(state, error);
    return;
  }
  if (isResponse(result)) respond(state, result);
  else settle(result, onResponse);
}

function callFetch(state, request, meta) {
  if (meta === undefined) return callHandler("fetch", undefined, request, makeContext(state, undefined));
  const { entrypoint, props } = JSON.parse(meta);
  return callHandler("fetch", entrypoint ?? undefined, request, makeContext(state, props));
}

function respondByEvent(state, request) {
  const event = new FetchEvent("fetch", state, request);
  let thrown;
  dispatchTrusted(globalTarget, event, (error) => {
    thrown ??= { error };
  });
  const responded = responseOf(event);
  if (responded !== undefined) return responded.response;
  if (thrown !== undefined) throw thrown.error;
  throw new Error("No fetch handler called respondWith().");
}

// Continues with what a handler's promise settles with. The reactions find their event in the async context, so nothing
// is allocated for them.
function settle(result, then) {
  if (host.promiseState !== undefined && host.promiseState(result) === FULFILLED) {
    then(host.promiseResult(result));
    return;
  }
  Promise.resolve(result).then(then, onFailure);
}

function onResponse(response) {
  const state = host.getContext();
  if (isResponse(response)) respond(state, response);
  else fail(state, new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'."));
}

function onFailure(error) {
  fail(host.getContext(), error);
}

function onDone() {
  release(host.getContext());
}

function respond(state, response) {
  try {
    const status = statusOf(response);
    if (status === 0) throw new TypeError("Response.error() can not be sent to a client.");
    const socket = socketOf(response);
    const socketId = socket === undefined ? undefined : bindSocket(socket, state);
    const content = sendable(response, bodyCodingOf(response));
    const { pump } = body;
    if (pump !== undefined) holdUntil(state, pump, reportException);
    op(OP.RESPOND, state.requestId, status, statusTextOf(response), listOf(response), content, socketId);
  } catch (error) {
    fail(state, error);
    return;
  }
  release(state);
}

function fail(state, error) {
  op(OP.FAIL, state.requestId, errorText(error), workerStack(error));
  release(state);
}

function onScheduled(requestId, cron, scheduledTimeMs) {
  const state = openState(requestId);
  host.setContext(state);
  let result;
  try {
    if (usesListeners("scheduled")) {
      const event = new ScheduledEvent("scheduled", state, cron, scheduledTimeMs);
      dispatchTrusted(globalTarget, event, (error) => {
        throw error;
      });
    } else {
      result = callHandler("scheduled", undefined, makeController(cron, scheduledTimeMs), makeContext(state, undefined));
    }
  } catch (error) {
    fail(state, error);
    return;
  }
  settle(result, onDone);
}
