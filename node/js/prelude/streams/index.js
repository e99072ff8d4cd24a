// The stream interfaces that workers see.
//
// **Owns** the list. **Must not know** anything else. **Enter at** the class you need.

export { ReadableByteStreamController, ReadableStreamBYOBRequest } from "./byte-api.js";
export { ReadableStreamDefaultController } from "./default-controller.js";
export { FixedLengthStream, IdentityTransformStream } from "./identity.js";
export { ByteLengthQueuingStrategy, CountQueuingStrategy } from "./queue.js";
export { ReadableStream } from "./readable-stream.js";
export { ReadableStreamBYOBReader, ReadableStreamDefaultReader } from "./readers.js";
export { TransformStream, TransformStreamDefaultController } from "./transform-stream.js";
export { WritableStream, WritableStreamDefaultController, WritableStreamDefaultWriter } from "./writable-stream.js";
