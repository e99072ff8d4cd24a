// WebSocketPair inside one isolate; sockets of the host are tested with real requests (tests/web_api.rs).

import { deepEqual, equal, ok, settle, test, throws } from "./harness.js";

function opened() {
  const [a, b] = Object.values(new WebSocketPair());
  a.accept();
  b.accept();
  return [a, b];
}

function record(socket) {
  const seen = [];
  socket.addEventListener("message", (event) => seen.push(event.data));
  socket.addEventListener("close", (event) => seen.push(["close", event.code, event.reason, event.wasClean]));
  return seen;
}

test("a pair has two ends, 0 and 1", () => {
  const pair = new WebSocketPair();
  deepEqual(Object.keys(pair), ["0", "1"]);
  ok(pair[0] instanceof WebSocket && pair[1] instanceof WebSocket);
  const [a, b] = pair;
  equal(a, pair[0]);
  equal(b, pair[1]);
});

test("messages cross in order, text and binary", async () => {
  const [a, b] = opened();
  const seen = record(b);
  a.send("one");
  a.send(new Uint8Array([1, 2]).subarray(1));
  a.send("thrée");
  await settle();
  equal(seen[0], "one");
  ok(seen[1] instanceof ArrayBuffer);
  deepEqual([...new Uint8Array(seen[1])], [2]);
  equal(seen[2], "thrée");
});

test("messages wait for accept", async () => {
  const [a, b] = Object.values(new WebSocketPair());
  a.accept();
  const seen = record(b);
  a.send("early");
  await settle();
  deepEqual(seen, []);
  b.accept();
  await settle();
  deepEqual(seen, ["early"]);
});

test("send before accept and after close throws", () => {
  const [a, b] = Object.values(new WebSocketPair());
  throws(() => a.send("x"), TypeError, "You must call one of accept()");
  throws(() => a.close(), TypeError, "accept()");
  a.accept();
  b.accept();
  a.close(1000, "done");
  throws(() => a.send("x"), TypeError, "Can't call WebSocket send() after close().");
});

test("close reaches the other end and is answered", async () => {
  const [a, b] = opened();
  const [seenA, seenB] = [record(a), record(b)];
  equal(a.readyState, WebSocket.OPEN);
  a.close(4001, "why");
  equal(a.readyState, WebSocket.CLOSING);
  await settle();
  deepEqual(seenB, [["close", 4001, "why", true]]);
  deepEqual(seenA, [["close", 4001, "why", true]]);
  equal(a.readyState, WebSocket.CLOSED);
  equal(b.readyState, WebSocket.CLOSED);
  a.close();
});

test("close without a code is 1005", async () => {
  const [a, b] = opened();
  const seen = record(b);
  a.close();
  await settle();
  deepEqual(seen, [["close", 1005, "", true]]);
});

test("close codes and reasons are checked", () => {
  const [a] = opened();
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 5000, "x"]) {
    throws(() => a.close(code), TypeError, "Invalid WebSocket close code");
  }
  throws(() => a.close(undefined, "x"), TypeError, "you must also specify a code");
  throws(() => a.close(1000, "é".repeat(62)), "SyntaxError");
});

test("on-handlers and listeners both run, and a handler can be replaced", async () => {
  const [a, b] = opened();
  const seen = [];
  b.onmessage = () => seen.push("old");
  b.onmessage = (event) => seen.push(`on ${event.data}`);
  b.addEventListener("message", () => seen.push("listener"));
  a.send("x");
  await settle();
  deepEqual(seen, ["on x", "listener"]);
  equal(typeof b.onmessage, "function");
  b.onmessage = null;
  equal(b.onmessage, null);
});

test("the constants are those of the platform", () => {
  deepEqual([WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED], [0, 1, 2, 3]);
  equal(WebSocket.READY_STATE_OPEN, 1);
  equal(new WebSocketPair()[0].OPEN, 1);
  equal(new WebSocketPair()[0].url, null);
});

test("a bad address is a SyntaxError before anything is sent", () => {
  throws(() => new WebSocket("nowhere"), "SyntaxError");
  throws(() => new WebSocket("ftp://a.example"), "SyntaxError");
  throws(() => new WebSocket("ws://a.example/#x"), "SyntaxError");
  throws(() => new WebSocket("ws://a.example", ["a", "a"]), "SyntaxError");
  throws(() => new WebSocket(), TypeError);
});
