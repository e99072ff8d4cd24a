// `WebSocket`, `WebSocketPair`, and their joints to the host's sockets.
//
// **Owns** the state of each end. **Must not know** requests, except that an open socket keeps its event open. **Enter at**
// `WebSocketPair`; `bindSocket` gives an end to the host, `hostSocket` makes an end of a host's socket.
//
// ```text
// an end's outgoing messages go to:  its peer (a pair inside the isolate), or a host socket
// waiting --accept--> open --close() or a close arrives--> closing --both seen--> closed
//    `-- bound: given to the host in a response; its peer then talks to the host socket
// ```
// - waiting: messages that arrive are kept until `accept`.  - an arriving close is answered at once, as RFC 6455 asks.

import { OP, host, op } from "./host.js";
import { copyOf, isBufferSource } from "./bytes.js";
import { domException, webClass, webConstants } from "./errors.js";
import { CloseEvent, ErrorEvent, MessageEvent } from "./event-types.js";
import { Event, EventTarget, dispatchTrusted, eventHandlers } from "./events.js";
import { atEnd, currentEvent, hold, isOpen, last, release, requestIdOf } from "./event-context.js";
import { hashOf, hrefOf, parseUrl, protocolOf } from "./url-parts.js";

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

const TEXT = 0;
const BINARY = 1;
const CLOSE = 2;
const ERROR = 3;

// BOUND: messages kept for an end that nobody has accepted. Past it the socket is broken, so that a forgotten `accept`
// can not fill the isolate's memory.
const WAITING_MAX = 1024;

const INTERNAL = {};

// Host socket id -> the end that its messages are for. BOUND: the host's; a socket goes with its event.
const sockets = new Map();

function register(id, socket, event) {
  sockets.set(id, socket);
  if (event !== undefined) atEnd(event, () => sockets.delete(id));
}

let isWebSocket;
let makePair;
let bindSocket;
let hostSocket;
let arrive;
let setConnector;
let connect;

export class WebSocket extends EventTarget {
  #readyState = OPEN;
  // Where outgoing messages go: one of the two.
  #peer;
  #socketId;
  // The socket that this one is joined with, when it was passed on in a response.
  #relay;
  #accepted = false;
  #bound = false;
  #waiting = [];
  // The async context of `accept`, in which events are dispatched, and the event kept open.
  #context;
  #held;
  #url = null;
  #protocol = "";
  #extensions = "";

  static {
    isWebSocket = (value) => typeof value === "object" && value !== null && #socketId in value;
    makePair = () => {
      const [a, b] = [new WebSocket(INTERNAL), new WebSocket(INTERNAL)];
      a.#peer = b;
      b.#peer = a;
      return [a, b];
    };
    bindSocket = (socket, event) => socket.#bind(event);
    hostSocket = (id, protocol) => {
      const socket = new WebSocket(INTERNAL);
      socket.#socketId = id;
      socket.#protocol = protocol ?? "";
      register(id, socket, currentEvent());
      return socket;
    };
    arrive = (id, type, data) => sockets.get(id)?.#arrive(type, data);
    setConnector = (connector) => {
      connect = connector;
    };
  }

  constructor(url, protocols = undefined) {
    super();
    if (url === INTERNAL) return;
    if (arguments.length < 1) {
      throw new TypeError("Failed to construct 'WebSocket': 1 argument required, but only 0 present.");
    }
    const { target, list } = checkAddress(`${url}`, protocols);
    this.#url = target;
    this.#readyState = CONNECTING;
    this.#accepted = true;
    this.#context = host.getContext();
    connect(target, list).then(
      ({ id, protocol }) => this.#connected(id, protocol),
      (error) => this.#broken(error),
    );
  }

  get readyState() {
    return this.#readyState;
  }

  get url() {
    return this.#url;
  }

  get protocol() {
    return this.#protocol;
  }

  get extensions() {
    return this.#extensions;
  }

  get binaryType() {
    return "arraybuffer";
  }

  set binaryType(value) {
    if (value !== "arraybuffer") throw domException("Only the binaryType 'arraybuffer' is supported.", "NotSupportedError");
  }

  get bufferedAmount() {
    return 0;
  }

  accept() {
    if (this.#bound) throw new TypeError("Can't accept() WebSocket that was already used in a response.");
    if (this.#accepted) return;
    this.#accepted = true;
    this.#context = host.getContext();
    if (this.#socketId !== undefined) this.#keepOpen(currentEvent());
    if (this.#waiting.length > 0) later(() => this.#drain());
  }

  send(message) {
    if (arguments.length < 1) throw new TypeError("Failed to execute 'send' on 'WebSocket': 1 argument required, but only 0 present.");
    if (this.#readyState === CONNECTING) throw domException("Still in CONNECTING state.", "InvalidStateError");
    if (!this.#accepted) {
      throw new TypeError("You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages.");
    }
    if (this.#readyState !== OPEN) throw new TypeError("Can't call WebSocket send() after close().");
    if (isBufferSource(message)) this.#put(BINARY, copyOf(message));
    else this.#put(TEXT, `${message}`.toWellFormed());
  }

  close(code = undefined, reason = undefined) {
    checkClose(code, reason);
    if (!this.#accepted && this.#readyState === OPEN && !this.#bound) {
      throw new TypeError("You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages.");
    }
    if (this.#readyState === CLOSING || this.#readyState === CLOSED) return;
    this.#readyState = CLOSING;
    this.#put(CLOSE, [code === undefined ? 1005 : Number(code), reason === undefined ? "" : `${reason}`]);
  }

  #put(type, data) {
    if (this.#socketId !== undefined) {
      if (type === CLOSE) op(OP.SOCKET_CLOSE, this.#socketId, data[0], data[1]);
      else op(OP.SOCKET_SEND, this.#socketId, data);
      return;
    }
    const peer = this.#peer;
    if (peer === undefined) return;
    if (peer.#accepted) later(() => peer.#arrive(type, type === BINARY ? data.buffer : data));
    else peer.#arrive(type, type === BINARY ? data.buffer : data);
  }

  #arrive(type, data) {
    if (!this.#accepted) {
      if (this.#waiting.length < WAITING_MAX) this.#waiting.push([type, data]);
      else this.#broken(new Error("Too many messages arrived before accept()."));
      return;
    }
    const before = host.getContext();
    host.setContext(this.#context);
    try {
      this.#happen(type, data);
    } finally {
      host.setContext(before);
    }
  }

  #happen(type, data) {
    if (this.#readyState === CLOSED) return;
    if (this.#relay !== undefined) return this.#passOn(type, data);
    if (type === TEXT || type === BINARY) {
      dispatchTrusted(this, new MessageEvent("message", { data }));
    } else if (type === CLOSE) {
      if (this.#readyState === OPEN) this.#put(CLOSE, data);
      this.#end(data[0], data[1], data[0] !== 1006);
    } else {
      this.#broken(new Error(data === undefined ? "WebSocket disconnected." : `${data}`));
    }
  }

  #broken(error) {
    if (this.#readyState === CLOSED) return;
    dispatchTrusted(this, new ErrorEvent("error", { error, message: error.message }));
    this.#end(1006, "", false);
  }

  #end(code, reason, wasClean) {
    this.#readyState = CLOSED;
    if (this.#socketId !== undefined) sockets.delete(this.#socketId);
    dispatchTrusted(this, new CloseEvent("close", { code, reason, wasClean }));
    if (this.#held === undefined) return;
    const held = this.#held;
    this.#held = undefined;
    release(held);
  }

  #drain() {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const [type, data] of waiting) this.#arrive(type, data);
  }

  #connected(id, protocol) {
    this.#socketId = id;
    this.#protocol = protocol;
    register(id, this, this.#context);
    this.#keepOpen(this.#context);
    this.#readyState = OPEN;
    dispatchTrusted(this, new Event("open"));
  }

  #keepOpen(event) {
    if (event === undefined || this.#held !== undefined || !isOpen(event)) return;
    hold(event);
    last(event);
    this.#held = event;
  }

  // Passes a socket of another worker or server on: a fresh socket of the host is joined with it, and its id returned.
  #join(event) {
    const [near, far] = makePair();
    this.#relay = far;
    far.#relay = this;
    this.#accepted = far.#accepted = true;
    this.#context = far.#context = event;
    this.#keepOpen(event);
    if (this.#waiting.length > 0) later(() => this.#drain());
    return near.#bind(event);
  }

  #passOn(type, data) {
    const to = this.#relay;
    if (type === TEXT || type === BINARY) {
      if (to.#readyState === OPEN) to.#put(type, type === BINARY ? new Uint8Array(data) : data);
      return;
    }
    const [code, reason] = type === CLOSE ? data : [1006, ""];
    if (to.#readyState === OPEN) {
      to.#readyState = CLOSING;
      to.#put(CLOSE, [code, reason]);
    }
    if (type === CLOSE && this.#readyState === OPEN) this.#put(CLOSE, data);
    this.#end(code, reason, code !== 1006);
  }

  // Gives this end to the host and returns the socket's id; from then on the peer talks to the host.
  #bind(event) {
    if (this.#accepted) throw new TypeError("Can't return WebSocket in a Response after calling accept().");
    if (this.#bound) throw new TypeError("Can't return WebSocket that was already used in a response.");
    this.#bound = true;
    if (this.#socketId !== undefined) return this.#join(event);
    const peer = this.#peer;
    const id = op(OP.SOCKET_NEW, requestIdOf(event));
    register(id, peer, event);
    peer.#socketId = id;
    peer.#peer = undefined;
    peer.#context ??= event;
    if (peer.#readyState !== CLOSED) peer.#keepOpen(event);
    for (const [type, data] of this.#waiting) peer.#put(type, data);
    this.#waiting = [];
    return id;
  }
}

webClass(WebSocket);
eventHandlers(WebSocket, "open", "message", "close", "error");

webConstants(WebSocket, { CONNECTING, OPEN, CLOSING, CLOSED });
// Cloudflare's older names.
webConstants(WebSocket, {
  READY_STATE_CONNECTING: CONNECTING,
  READY_STATE_OPEN: OPEN,
  READY_STATE_CLOSING: CLOSING,
  READY_STATE_CLOSED: CLOSED,
});

function later(task) {
  Promise.resolve().then(task);
}

function checkAddress(text, protocols) {
  const parts = parseUrl(text);
  if (parts === undefined) throw domException(`The URL '${text}' is invalid.`, "SyntaxError");
  const protocol = protocolOf(parts);
  const scheme = { "ws:": "ws:", "wss:": "wss:", "http:": "ws:", "https:": "wss:" }[protocol];
  if (scheme === undefined) {
    throw domException(`The URL's scheme must be either 'http', 'https', 'ws', or 'wss'. '${protocol}' is not allowed.`, "SyntaxError");
  }
  const hash = hashOf(parts);
  if (hash !== "") throw domException(`The URL contains a fragment identifier ('${hash}').`, "SyntaxError");
  const list = protocols === undefined ? [] : typeof protocols === "string" ? [protocols] : [...protocols];
  if (new Set(list).size !== list.length) throw domException("The list of protocols has duplicates.", "SyntaxError");
  return { target: scheme + hrefOf(parts).slice(protocol.length), list: list.map(String) };
}

function checkClose(code, reason) {
  if (code === undefined) {
    if (reason !== undefined) {
      throw new TypeError("If you specify a WebSocket close reason, you must also specify a code.");
    }
    return;
  }
  const number = Number(code);
  const reserved = number === 1004 || number === 1005 || number === 1006 || number === 1015;
  if (!(number >= 1000 && number < 5000) || reserved) throw new TypeError(`Invalid WebSocket close code: ${code}.`);
  if (reason !== undefined && host.utf8Encode(`${reason}`).byteLength > 123) {
    throw domException("WebSocket close reason must not be longer than 123 bytes.", "SyntaxError");
  }
}

// Two joined ends, `0` and `1`.
export class WebSocketPair {
  constructor() {
    [this[0], this[1]] = makePair();
  }

  [Symbol.iterator]() {
    return [this[0], this[1]][Symbol.iterator]();
  }
}

webClass(WebSocketPair);

// `arrive(socketId, type, data)` is the SOCKET event; `setConnector` is how `fetch.js` lends outgoing connections.
export { arrive, bindSocket, hostSocket, isWebSocket, setConnector };
