// The events of the older `addEventListener` syntax.
//
// **Owns** `FetchEvent` and `ScheduledEvent`. **Must not know** how an answer reaches the host. **Enter at** `FetchEvent`.

import { domException, webClass } from "./errors.js";
import { holdUntil } from "./event-context.js";
import { Event } from "./events.js";

let responseOf;

export class ExtendableEvent extends Event {
  #context;

  constructor(type, context = undefined) {
    super(type);
    this.#context = context;
  }

  waitUntil(promise) {
    if (arguments.length < 1) {
      throw new TypeError("Failed to execute 'waitUntil' on 'ExtendableEvent': 1 argument required, but only 0 present.");
    }
    if (this.#context === undefined) throw domException("The event was not made by the platform.", "InvalidStateError");
    holdUntil(this.#context, promise);
  }

  passThroughOnException() {
    this.#context;
  }
}

webClass(ExtendableEvent);

export class FetchEvent extends ExtendableEvent {
  #request;
  #response;
  #responded = false;

  static {
    // undefined until somebody responded.
    responseOf = (event) => (event.#responded ? { response: event.#response } : undefined);
  }

  constructor(type, context, request) {
    super(type, context);
    this.#request = request;
  }

  get request() {
    return this.#request;
  }

  respondWith(response) {
    if (arguments.length < 1) {
      throw new TypeError("Failed to execute 'respondWith' on 'FetchEvent': 1 argument required, but only 0 present.");
    }
    if (this.#responded) {
      throw domException("FetchEvent.respondWith() has already been called; it can only be called once.", "InvalidStateError");
    }
    if (this.eventPhase === Event.NONE) {
      throw domException("Too late to call FetchEvent.respondWith(). It must be called synchronously in the event handler.", "InvalidStateError");
    }
    this.#responded = true;
    this.#response = response;
    this.stopImmediatePropagation();
  }
}

webClass(FetchEvent);

export class ScheduledEvent extends ExtendableEvent {
  #cron;
  #scheduledTime;

  constructor(type, context, cron, scheduledTime) {
    super(type, context);
    this.#cron = cron;
    this.#scheduledTime = scheduledTime;
  }

  get cron() {
    return this.#cron;
  }

  get scheduledTime() {
    return this.#scheduledTime;
  }
}

webClass(ScheduledEvent);

export { responseOf };
