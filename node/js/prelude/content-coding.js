// Bodies that are compressed on the wire.
//
// **Owns** the decoding of a body on its way in and the encoding of one on its way out. **Must not know** headers or requests.
// **Enter at** `codingOf`, `createDecodedReadable`, `takeCoded`, `decodeWhole`, `decoderOf`, `encodeWhole`, `encodeStream`.
//
// A compressed body that nobody reads is handed on as it is: its stream remembers the host's body id.

import { OP, op } from "./host.js";
import { utf8 } from "./bytes.js";
import { openZlib, zlib } from "./codec.js";
import { ReadableStream } from "./streams/index.js";
import { describe, isDisturbed, isLocked, readHostBody } from "./streams/host-body.js";

const FORMATS = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["br", "brotli"],
  ["deflate", "deflate"],
]);

const NOTHING = new Uint8Array(0);

// Streams that decode a host body: stream -> { bodyId, format }.
const coded = new WeakMap();

// The format of a Content-Encoding we understand, else undefined (then a body is passed as it is).
export function codingOf(contentEncoding) {
  return contentEncoding === null ? undefined : FORMATS.get(contentEncoding.trim().toLowerCase());
}

// A byte stream of the decoded content of a host body.
export function createDecodedReadable(bodyId, format) {
  let decoder;
  const stream = new ReadableStream(
    {
      type: "bytes",
      async pull(controller) {
        decoder ??= openZlib(format, false);
        for (;;) {
          const chunk = await readHostBody(bodyId);
          const last = chunk === null;
          const out = zlib(decoder, chunk ?? NOTHING, last);
          if (out.byteLength > 0) controller.enqueue(out);
          if (last) {
            controller.close();
            controller.byobRequest?.respond(0);
            return;
          }
          if (out.byteLength > 0) return;
        }
      },
      cancel(reason) {
        if (decoder !== undefined) op(OP.DROP, decoder);
        op(OP.BODY_CANCEL, bodyId, describe(reason));
      },
    },
    { highWaterMark: 0 },
  );
  coded.set(stream, { bodyId, format });
  return stream;
}

// The host body behind a decoding stream that nobody has read, provided that it is wanted in the same format. The
// caller owns the body from then on and locks the stream.
export function takeCoded(stream, format) {
  const entry = coded.get(stream);
  if (entry === undefined || entry.format !== format || isDisturbed(stream) || isLocked(stream)) return undefined;
  coded.delete(stream);
  stream.getReader();
  return entry.bodyId;
}

// The content of a whole array of compressed bytes.
export function decodeWhole(content, format) {
  return zlib(openZlib(format, false), content, true);
}

// A function that decodes a body piece by piece; the last piece is null, its end.
export function decoderOf(format) {
  const decoder = openZlib(format, false);
  return (piece) => zlib(decoder, piece ?? NOTHING, piece === null);
}

// Compresses a whole string or array of bytes.
export function encodeWhole(content, format) {
  return zlib(openZlib(format, true), typeof content === "string" ? utf8(content) : content, true);
}

// A stream of the compressed content of a stream. Each chunk is compressed as it comes.
export function encodeStream(stream, format) {
  const reader = stream.getReader();
  let encoder;
  return new ReadableStream(
    {
      type: "bytes",
      async pull(controller) {
        encoder ??= openZlib(format, true);
        for (;;) {
          const { done, value } = await reader.read();
          const chunk = done ? NOTHING : typeof value === "string" ? utf8(value) : value;
          const out = zlib(encoder, chunk, done);
          if (out.byteLength > 0) controller.enqueue(out);
          if (done) {
            controller.close();
            return;
          }
          if (out.byteLength > 0) return;
        }
      },
      cancel(reason) {
        if (encoder !== undefined) op(OP.DROP, encoder);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
