// The events that carry something: CustomEvent, ErrorEvent, MessageEvent, CloseEvent, PromiseRejectionEvent.
//
// **Owns** their members. **Must not know** who fires them. **Enter at** the class you fire.

import { Event } from "./events.js";
import { requireArguments, toDictionary, toDOMString, toUSVString, webClass } from "./errors.js";

export class CustomEvent extends Event {
  #detail;
  constructor(type, init = undefined) {
    requireArguments(arguments.length, 1, "CustomEvent");
    super(type, init);
    this.#detail = init?.detail === undefined ? null : init.detail;
  }
  get detail() { return this.#detail; }
}
webClass(CustomEvent);

export class ErrorEvent extends Event {
  #message; #filename; #lineno; #colno; #error;
  constructor(type, init = undefined) {
    requireArguments(arguments.length, 1, "ErrorEvent");
    super(type, init);
    const { message = "", filename = "", lineno = 0, colno = 0, error } = toDictionary(init, "ErrorEventInit");
    this.#message = toDOMString(message);
    this.#filename = toUSVString(filename);
    this.#lineno = lineno >>> 0;
    this.#colno = colno >>> 0;
    this.#error = error;
  }
  get message() { return this.#message; }
  get filename() { return this.#filename; }
  get lineno() { return this.#lineno; }
  get colno() { return this.#colno; }
  get error() { return this.#error; }
}
webClass(ErrorEvent);

export class MessageEvent extends Event {
  #data; #origin; #lastEventId; #source; #ports;
  constructor(type, init = undefined) {
    requireArguments(arguments.length, 1, "MessageEvent");
    super(type, init);
    const { data = null, origin = "", lastEventId = "", source = null, ports = [] } = toDictionary(init, "MessageEventInit");
    this.#data = data;
    this.#origin = toUSVString(origin);
    this.#lastEventId = toDOMString(lastEventId);
    this.#source = source;
    this.#ports = Object.freeze([...ports]);
  }
  get data() { return this.#data; }
  get origin() { return this.#origin; }
  get lastEventId() { return this.#lastEventId; }
  get source() { return this.#source; }
  get ports() { return this.#ports; }
}
webClass(MessageEvent);

export class CloseEvent extends Event {
  #wasClean; #code; #reason;
  constructor(type, init = undefined) {
    requireArguments(arguments.length, 1, "CloseEvent");
    super(type, init);
    const { wasClean = false, code = 0, reason = "" } = toDictionary(init, "CloseEventInit");
    this.#wasClean = !!wasClean;
    this.#code = code & 0xffff;
    this.#reason = toUSVString(reason);
  }
  get wasClean() { return this.#wasClean; }
  get code() { return this.#code; }
  get reason() { return this.#reason; }
}
webClass(CloseEvent);

export class PromiseRejectionEvent extends Event {
  #promise; #reason;
  constructor(type, init) {
    requireArguments(arguments.length, 2, "PromiseRejectionEvent");
    super(type, init);
    if (init?.promise === undefined) throw new TypeError("PromiseRejectionEventInit.promise is required");
    this.#promise = init.promise;
    this.#reason = init.reason;
  }
  get promise() { return this.#promise; }
  get reason() { return this.#reason; }
}
webClass(PromiseRejectionEvent);
