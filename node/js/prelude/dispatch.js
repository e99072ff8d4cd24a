// Events of the host.
//
// **Owns** the way from an event to a handler, and from what it returns to the host. **Must not know** what handlers do. **Enter at**
// `dispatch`.
//
// ```text
// FETCH -> handler -> a Response at once        -> RESPOND            -> (holds released) DONE
//                  -> a promise, then a Response -> RESPOND            -> DONE
//                  -> the promise of a fetch     -> HAND_ON
//                  -> throws, rejects, no Response -> FAIL             -> DONE
// ```
// This is the hot path: a handler that returns a `Response` is answered within the same call, without a promise, and
// nothing is built that the handler does not look at.

import { EVENT, OP, complete, host, op } from "./host.js";
import * as body from "./body.js";
import { flow, lengthOf, sendable } from "./body.js";
import { callHandler, usesListeners } from "./entry.js";
import { errorText, workerStack } from "./errors-report.js";
import { cancel, drop, end, holdUntil, isLastHold, last, openEvent, release, requestIdOf } from "./event-context.js";
import { dispatchTrusted } from "./events.js";
import { handOn } from "./fetch.js";
import { FetchEvent, ScheduledEvent, responseOf } from "./fetch-event.js";
import { globalTarget } from "./global-target.js";
import { incomingRequest } from "./request.js";
import { bodyCoding, headOf, isResponse, rareOf, statusOf } from "./response.js";
import { makeController } from "./scheduled.js";
import { arrive, bindSocket } from "./websocket.js";

const { FETCH, SCHEDULED, COMPLETE, CANCEL, SOCKET, END } = EVENT;
const { setContext, promiseState, promiseResult, react } = host;

const FULFILLED = 1;
// BOUND: bytes, or UTF-16 units, of a body that leaves whole with its answer: the frame that carries it takes as much again
// of the isolate's memory.
const WHOLE_MAX = 4 * 1024 * 1024;

export function dispatch(kind, a, b, c, d, e, f, g) {
  switch (kind) {
    case FETCH:
      onFetch(a, b, c, d, e, f, g);
      break;
    case COMPLETE:
      complete(a, b);
      break;
    case SCHEDULED:
      onScheduled(a, b, c);
      break;
    case CANCEL:
      cancel(a);
      break;
    case SOCKET:
      arrive(a, b, c);
      break;
    case END:
      end(a);
      break;
    default:
      throw new Error(`The host sent an event of an unknown kind: ${kind}`);
  }
}

// `meta` is JSON, { entrypoint, props as JSON text }, where there is something to say.
function onFetch(requestId, method, url, block, content, cf, meta) {
  const { entrypoint, props } = meta === undefined ? NO_META : JSON.parse(meta);
  const context = openEvent(requestId, props);
  setContext(context);
  let result;
  try {
    const request = incomingRequest(context, method, url, block, content, cf);
    if (usesListeners("fetch")) result = respondByEvent(context, request);
    else result = callHandler("fetch", entrypoint, request, context);
  } catch (error) {
    fail(context, error);
    return;
  }
  if (isResponse(result)) respond(context, result);
  else if (handOn(context, result)) drop(context);
  else settle(context, result, onResponse);
}

const NO_META = Object.freeze({});

function respondByEvent(context, request) {
  const event = new FetchEvent("fetch", context, request);
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
// is allocated for them; a promise that is fulfilled already, as that of an async handler without `await`, needs none.
function settle(context, result, then) {
  if (promiseState(result) === FULFILLED) {
    then(promiseResult(result));
    return;
  }
  last(context);
  // Not `then`: nobody waits for what the reaction itself comes to.
  react(result, then, onFailure);
}

function onResponse(response) {
  const context = host.getContext();
  if (isResponse(response)) respond(context, response);
  else fail(context, new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'."));
}

function onFailure(error) {
  fail(host.getContext(), error);
}

function onDone() {
  release(host.getContext());
}

function respond(context, response) {
  // Whether the answer is the event's end, which then needs no DONE.
  let over = false;
  try {
    const status = statusOf(response);
    const head = headOf(response);
    const rare = rareOf(response);
    let statusText = "";
    let socketId;
    if (rare !== undefined) {
      if (rare.type === "error") throw new TypeError("Response.error() can not be sent to a client.");
      if (rare.statusText !== undefined) ({ statusText } = rare);
      if (rare.webSocket !== undefined) socketId = bindSocket(rare.webSocket, context);
    }
    let content = sendable(response, bodyCoding(head, rare));
    if (lengthOf(content) > WHOLE_MAX) content = flow(content);
    if (body.pump !== undefined) holdUntil(context, body.pump);
    over = isLastHold(context);
    if (op(OP.RESPOND, requestIdOf(context), status, statusText, head, content, socketId, over) === false) {
      // The host has no room for the body as a whole.
      over = false;
      const id = flow(content);
      holdUntil(context, body.pump);
      op(OP.RESPOND, requestIdOf(context), status, statusText, head, id, socketId, over);
    }
  } catch (error) {
    fail(context, error);
    return;
  }
  if (over) drop(context);
  else release(context);
}

function fail(context, error) {
  op(OP.FAIL, requestIdOf(context), errorText(error), workerStack(error));
  release(context);
}

function onScheduled(requestId, cron, scheduledTimeMs) {
  const context = openEvent(requestId, undefined);
  setContext(context);
  let result;
  try {
    if (usesListeners("scheduled")) scheduleByEvent(context, cron, scheduledTimeMs);
    else result = callHandler("scheduled", undefined, makeController(cron, scheduledTimeMs), context);
  } catch (error) {
    fail(context, error);
    return;
  }
  settle(context, result, onDone);
}

function scheduleByEvent(context, cron, scheduledTimeMs) {
  let thrown;
  dispatchTrusted(globalTarget, new ScheduledEvent("scheduled", context, cron, scheduledTimeMs), (error) => {
    thrown ??= { error };
  });
  if (thrown !== undefined) throw thrown.error;
}
