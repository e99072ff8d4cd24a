import { deepEqual, equal, ok, rejects, test, throws } from "./harness.js";

const bytes = (...values) => new Uint8Array(values);

test("TextEncoder encodes UTF-8, lone surrogates as U+FFFD", () => {
  const encoder = new TextEncoder();
  equal(encoder.encoding, "utf-8");
  deepEqual(encoder.encode("aé€😀"), bytes(0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80));
  deepEqual(encoder.encode("\ud800"), bytes(0xef, 0xbf, 0xbd));
  deepEqual(encoder.encode("\udc00x"), bytes(0xef, 0xbf, 0xbd, 0x78));
  deepEqual(encoder.encode("\u0000"), bytes(0));
  deepEqual(encoder.encode(), bytes());
  deepEqual(encoder.encode(undefined), bytes());
  deepEqual(encoder.encode(null), new TextEncoder().encode("null"));
  deepEqual(encoder.encode(12), bytes(0x31, 0x32));
  throws(() => encoder.encode(Symbol("s")), TypeError);
  throws(() => TextEncoder.prototype.encode.call({}, "a"), TypeError);
  equal(String(encoder), "[object TextEncoder]");
});

test("a long text of another encoding is decoded in steps", () => {
  // A step ends inside a character.
  const long = new Uint8Array(300 * 1024 + 1).fill(0x82);
  for (let i = 2; i < long.length; i += 2) long[i] = 0xa0;
  long[0] = 0x61;
  equal(new TextDecoder("shift_jis").decode(long), "a" + "\u3042".repeat(150 * 1024));
});

test("encodeInto writes whole characters and says how far it came", () => {
  const encoder = new TextEncoder();
  const target = new Uint8Array(4);
  deepEqual(encoder.encodeInto("a€€", target), { read: 2, written: 4 });
  deepEqual(target, bytes(0x61, 0xe2, 0x82, 0xac));
  deepEqual(encoder.encodeInto("😀", new Uint8Array(3)), { read: 0, written: 0 });
  deepEqual(encoder.encodeInto("😀", new Uint8Array(4)), { read: 2, written: 4 });
  deepEqual(encoder.encodeInto("\ud800", new Uint8Array(9)), { read: 1, written: 3 });
  deepEqual(encoder.encodeInto("", new Uint8Array(0)), { read: 0, written: 0 });
  const part = new Uint8Array(6);
  deepEqual(encoder.encodeInto("xyz", part.subarray(2, 4)), { read: 2, written: 2 });
  deepEqual(part, bytes(0, 0, 0x78, 0x79, 0, 0));
  throws(() => encoder.encodeInto("a", new Uint16Array(1)), TypeError);
  throws(() => encoder.encodeInto("a", new ArrayBuffer(1)), TypeError);
});

test("labels are trimmed, case-insensitive and canonical", () => {
  equal(new TextDecoder().encoding, "utf-8");
  equal(new TextDecoder(" UTF8\n").encoding, "utf-8");
  equal(new TextDecoder("latin1").encoding, "windows-1252");
  equal(new TextDecoder("ASCII").encoding, "windows-1252");
  equal(new TextDecoder("utf-16").encoding, "utf-16le");
  equal(new TextDecoder("shift-jis").encoding, "shift_jis");
  equal(new TextDecoder("gb2312").encoding, "gbk");
  throws(() => new TextDecoder("nope"), RangeError);
  throws(() => new TextDecoder("utf-8\u00a0"), RangeError);
  throws(() => new TextDecoder("replacement"), RangeError);
  throws(() => new TextDecoder("iso-2022-kr"), RangeError);
  throws(() => new TextDecoder("utf-8", 1), TypeError);
});

test("decode takes buffers and any view, in their part of the memory", () => {
  const decoder = new TextDecoder();
  const data = new TextEncoder().encode("hello");
  equal(decoder.decode(data), "hello");
  equal(decoder.decode(data.buffer), "hello");
  equal(decoder.decode(new DataView(data.buffer, 1, 3)), "ell");
  equal(decoder.decode(data.subarray(2)), "llo");
  equal(decoder.decode(new Uint16Array([0x6261])), "ab");
  equal(decoder.decode(), "");
  throws(() => decoder.decode("text"), TypeError);
  throws(() => decoder.decode({}), TypeError);
  throws(() => TextDecoder.prototype.decode.call({}, data), TypeError);
});

test("malformed UTF-8 becomes one U+FFFD for each maximal part", () => {
  const decode = (...values) => new TextDecoder().decode(bytes(...values));
  equal(decode(0xff), "\ufffd");
  equal(decode(0xc3), "\ufffd");
  equal(decode(0xe2, 0x82), "\ufffd");
  equal(decode(0xe2, 0x82, 0x61), "\ufffda");
  equal(decode(0xf0, 0x9f, 0x98), "\ufffd");
  equal(decode(0xc0, 0x80), "\ufffd\ufffd");
  equal(decode(0xe0, 0x80, 0x80), "\ufffd\ufffd\ufffd");
  equal(decode(0xed, 0xa0, 0x80), "\ufffd\ufffd\ufffd");
  equal(decode(0xf4, 0x90, 0x80, 0x80), "\ufffd\ufffd\ufffd\ufffd");
  equal(decode(0x80, 0x80), "\ufffd\ufffd");
  equal(decode(0xf5, 0x80), "\ufffd\ufffd");
});

test("fatal decoders throw on the same, and can be used again", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  equal(decoder.fatal, true);
  for (const bad of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc0, 0x80]]) {
    throws(() => decoder.decode(bytes(...bad)), TypeError);
  }
  equal(decoder.decode(bytes(0x61)), "a");
});

test("the byte order mark goes unless it is asked for", () => {
  const marked = bytes(0xef, 0xbb, 0xbf, 0x61);
  equal(new TextDecoder().decode(marked), "a");
  equal(new TextDecoder("utf-8", { ignoreBOM: true }).decode(marked), "\ufeffa");
  equal(new TextDecoder().decode(bytes(0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf)), "\ufeff");
  const decoder = new TextDecoder();
  equal(decoder.decode(marked), "a");
  equal(decoder.decode(marked), "a");
  equal(new TextDecoder("utf-16le").decode(bytes(0xff, 0xfe, 0x61, 0)), "a");
});

test("streaming gives the same text however the bytes are cut", () => {
  const text = "\ufeffaé€😀 \u{10ffff}z";
  const data = new TextEncoder().encode(text);
  for (let size = 1; size <= data.length; size++) {
    const decoder = new TextDecoder();
    let got = "";
    for (let at = 0; at < data.length; at += size) got += decoder.decode(data.subarray(at, at + size), { stream: true });
    got += decoder.decode();
    equal(got, text.slice(1), `pieces of ${size}`);
  }
});

test("streaming gives the same errors however the bytes are cut", () => {
  const data = bytes(0x61, 0xe2, 0x82, 0x41, 0xf0, 0x9f, 0x98, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0xc3, 0xe0, 0x80, 0xff, 0xf0, 0x9f);
  const whole = new TextDecoder().decode(data);
  for (let size = 1; size <= data.length; size++) {
    const decoder = new TextDecoder();
    let got = "";
    for (let at = 0; at < data.length; at += size) got += decoder.decode(data.subarray(at, at + size), { stream: true });
    got += decoder.decode();
    equal(got, whole, `pieces of ${size}`);
  }
});

test("a character cut by the end of a stream is U+FFFD, or an error when fatal", () => {
  const decoder = new TextDecoder();
  equal(decoder.decode(bytes(0xe2, 0x82), { stream: true }), "");
  equal(decoder.decode(), "\ufffd");
  equal(decoder.decode(bytes(0x61)), "a");
  const fatal = new TextDecoder("utf-8", { fatal: true });
  equal(fatal.decode(bytes(0xe2, 0x82), { stream: true }), "");
  throws(() => fatal.decode(), TypeError);
  equal(fatal.decode(bytes(0x61)), "a");
});

test("a decoder keeps its own copy of a cut character", () => {
  const decoder = new TextDecoder();
  const data = bytes(0xc3);
  decoder.decode(data, { stream: true });
  data[0] = 0x61;
  equal(decoder.decode(bytes(0xa9)), "é");
});

test("a byte order mark in pieces goes, one in the middle stays", () => {
  const decoder = new TextDecoder();
  equal(decoder.decode(bytes(0xef), { stream: true }), "");
  equal(decoder.decode(bytes(0xbb), { stream: true }), "");
  equal(decoder.decode(bytes(0xbf, 0x61), { stream: true }), "a");
  equal(decoder.decode(bytes(0xef, 0xbb, 0xbf)), "\ufeff");
});

test("other encodings decode, in pieces too", () => {
  equal(new TextDecoder("windows-1252").decode(bytes(0x80, 0xe9)), "€é");
  equal(new TextDecoder("utf-16le").decode(bytes(0x3d, 0xd8, 0x00, 0xde)), "😀");
  equal(new TextDecoder("utf-16be").decode(bytes(0x00, 0x61)), "a");
  equal(new TextDecoder("shift_jis").decode(bytes(0x82, 0xa0)), "あ");
  equal(new TextDecoder("euc-kr").decode(bytes(0xb0, 0xa1)), "가");
  equal(new TextDecoder("big5").decode(bytes(0xa4, 0xa4)), "中");
  equal(new TextDecoder("koi8-r").decode(bytes(0xc1)), "а");
  const decoder = new TextDecoder("shift_jis");
  equal(decoder.decode(bytes(0x82), { stream: true }), "");
  equal(decoder.decode(bytes(0xa0), { stream: true }), "あ");
  equal(decoder.decode(), "");
  equal(decoder.decode(bytes(0x41)), "A");
  throws(() => new TextDecoder("utf-16le", { fatal: true }).decode(bytes(0x00)), TypeError);
});

async function through(transform, chunks) {
  const writer = transform.writable.getWriter();
  const written = (async () => {
    for (const chunk of chunks) await writer.write(chunk);
    await writer.close();
  })();
  written.catch(() => {});
  const got = [];
  for await (const chunk of transform.readable) got.push(chunk);
  await written;
  return got;
}

test("TextEncoderStream joins surrogates that were split", async () => {
  const stream = new TextEncoderStream();
  equal(stream.encoding, "utf-8");
  const got = await through(stream, ["a\ud83d", "\ude00b", "", 5]);
  deepEqual(got.flatMap((chunk) => [...chunk]), [0x61, 0xf0, 0x9f, 0x98, 0x80, 0x62, 0x35]);
  deepEqual((await through(new TextEncoderStream(), ["x\ud83d"])).flatMap((c) => [...c]), [0x78, 0xef, 0xbf, 0xbd]);
  deepEqual((await through(new TextEncoderStream(), ["\ud83d", "x"])).flatMap((c) => [...c]), [0xef, 0xbf, 0xbd, 0x78]);
  deepEqual(await through(new TextEncoderStream(), []), []);
});

test("TextDecoderStream joins characters that were split", async () => {
  const stream = new TextDecoderStream();
  deepEqual([stream.encoding, stream.fatal, stream.ignoreBOM], ["utf-8", false, false]);
  deepEqual(await through(stream, [bytes(0x61, 0xe2), bytes(0x82), bytes(0xac, 0x62)]), ["a", "€b"]);
  deepEqual(await through(new TextDecoderStream(), [bytes(0xe2)]), ["\ufffd"]);
  deepEqual(await through(new TextDecoderStream("utf-16be"), [bytes(0), bytes(0x61)]), ["a"]);
  await rejects(through(new TextDecoderStream("utf-8", { fatal: true }), [bytes(0xff)]), TypeError);
  await rejects(through(new TextDecoderStream("utf-8", { fatal: true }), [bytes(0xe2)]), TypeError);
  await rejects(through(new TextDecoderStream(), ["text"]), TypeError);
  throws(() => new TextDecoderStream("nope"), RangeError);
});

test("atob and btoa are exact", () => {
  equal(btoa("hello\xff"), "aGVsbG//");
  equal(btoa(""), "");
  throws(() => btoa("€"), "InvalidCharacterError");
  throws(() => btoa(), TypeError);
  equal(atob(" aGVs\tbG8= \n"), "hello");
  equal(atob("YQ"), "a");
  equal(atob("YR"), "a");
  for (const bad of ["a", "YQ=", "YQ===", "=", "Y=Q=", "é", "YQ==YQ==", "-_"]) throws(() => atob(bad), "InvalidCharacterError");
  equal(atob(null), "\x9e\xe9e");
  throws(() => atob(), TypeError);
  ok(true);
});
