// The global object that workers see.
//
// **Owns** which names there are and how they are defined. **Must not know** what any of them does. **Enter at** `installGlobals`,
// run once at build time.

import { AbortController, AbortSignal } from "./abort.js";
import { Blob, File } from "./blob.js";
import { CompressionStream, DecompressionStream } from "./compression.js";
import { console } from "./console.js";
import { Crypto, CryptoKey, DigestStream, SubtleCrypto, crypto } from "./crypto.js";
import { atob, btoa } from "./base64.js";
import { TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream } from "./encoding.js";
import { CloseEvent, CustomEvent, ErrorEvent, MessageEvent, PromiseRejectionEvent } from "./event-types.js";
import { Event, EventTarget } from "./events.js";
import { reportError } from "./errors-report.js";
import { ExecutionContext } from "./event-context.js";
import { ExtendableEvent, FetchEvent, ScheduledEvent } from "./fetch-event.js";
import { fetch } from "./fetch.js";
import { FormData } from "./form-data.js";
import { addEventListener, dispatchEvent, removeEventListener } from "./global-target.js";
import { Headers } from "./headers.js";
import { KVNamespace } from "./kv.js";
import { Navigator, navigator } from "./navigator.js";
import { Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, performance } from "./performance.js";
import { Request } from "./request.js";
import { Response } from "./response.js";
import { ScheduledController } from "./scheduled.js";
import { Fetcher } from "./service.js";
import * as streams from "./streams/index.js";
import { structuredClone } from "./structured-clone.js";
import { Scheduler, clearInterval, clearTimeout, queueMicrotask, scheduler, setInterval, setTimeout } from "./timers.js";
import { URL, URLSearchParams } from "./url.js";
import { WebSocket, WebSocketPair } from "./websocket.js";

const classes = {
  AbortController, AbortSignal, Blob, CloseEvent, CompressionStream, Crypto, CryptoKey, CustomEvent, DecompressionStream,
  DigestStream, ErrorEvent, Event, EventTarget, ExecutionContext, ExtendableEvent, FetchEvent, Fetcher, File, FormData,
  Headers, KvNamespace: KVNamespace, MessageEvent, Navigator, Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, PromiseRejectionEvent, Request, Response,
  ScheduledController, ScheduledEvent, Scheduler, SubtleCrypto, TextDecoder, TextDecoderStream, TextEncoder,
  TextEncoderStream, URL, URLSearchParams, WebSocket, WebSocketPair, ...streams,
};

const functions = {
  addEventListener, atob, btoa, clearInterval, clearTimeout, dispatchEvent, fetch, queueMicrotask, removeEventListener,
  reportError, setInterval, setTimeout, structuredClone,
};

const objects = { console, crypto, navigator, performance, scheduler };

// Interfaces are not enumerable, functions are: WebIDL. `caches` is left out until there is one: libraries look for it.
export function installGlobals() {
  for (const [name, value] of Object.entries(classes)) define(name, { value, writable: true });
  for (const [name, value] of Object.entries(functions)) define(name, { value, writable: true, enumerable: true });
  for (const [name, value] of Object.entries(objects)) define(name, { value, writable: true, enumerable: true });
  define("self", { value: globalThis, writable: true, enumerable: true });
  define("origin", { value: "null", writable: true, enumerable: true });
  define("Cloudflare", { value: Object.freeze({ compatibilityFlags: Object.freeze({}) }), writable: true });
  Object.defineProperty(globalThis, Symbol.toStringTag, { value: "ServiceWorkerGlobalScope", configurable: true });
  delete globalThis.__host;
}

function define(name, descriptor) {
  Object.defineProperty(globalThis, name, { configurable: true, ...descriptor });
}
