//! Components written by hand, one for each way in which a guest can behave.
//!
//! **Owns** a small core module with `wasi:http` calls as functions, made into a component. **Must not know** the host.
//! **Enter at** [`component`].

use bytes::Bytes;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = include_str!("guest.wit");

/// Function bodies for `handle(request, out)`. `$answer out` sets a response and returns its stream; `$write stream`
/// writes the 13 bytes `hello, wasi!\n`; `$finish stream` ends the body. `$upload` sends a request to the service binding
/// BACKEND and returns its body's stream; `$wait` waits for the answer to it. A guest writes one body at a time.
pub(super) const HELLO: &str = "(local $s i32) (local.set $s (call $answer (local.get $out)))
    (call $write (local.get $s)) (call $finish (local.get $s))";
pub(super) const LOOP_FOR_EVER: &str = "(loop $again (br $again))";
pub(super) const LOOP_AFTER_A_CHUNK: &str = "(call $write (call $answer (local.get $out))) (loop $again (br $again))";
pub(super) const TRAP: &str = "unreachable";
pub(super) const TRAP_AFTER_A_CHUNK: &str = "(call $write (call $answer (local.get $out))) unreachable";
pub(super) const RETURN_WITHOUT_FINISHING: &str = "(call $write (call $answer (local.get $out)))";
pub(super) const RETURN_WITHOUT_ANSWER: &str = "";
pub(super) const WORK_AFTER_THE_ANSWER: &str =
    "(local $s i32) (local $i i32) (local.set $s (call $answer (local.get $out)))
    (call $write (local.get $s)) (call $finish (local.get $s))
    (loop $again (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 10000000))))";
pub(super) const LOOP_AFTER_THE_ANSWER: &str = "(local $s i32) (local.set $s (call $answer (local.get $out)))
    (call $write (local.get $s)) (call $finish (local.get $s)) (loop $again (br $again))";
pub(super) const ALLOCATE_FOR_EVER: &str = "(loop $again
    (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) (br $again))";
pub(super) const RECURSE_FOR_EVER: &str = "(call $recurse)";
pub(super) const STREAM_FOR_EVER: &str = "(local $s i32) (local.set $s (call $answer (local.get $out)))
    (loop $again (call $write (local.get $s)) (br $again))";
pub(super) const CALL_THEN_ANSWER: &str = "(local $s i32) (call $finish (call $upload)) (call $wait)
    (local.set $s (call $answer (local.get $out))) (call $write (local.get $s)) (call $finish (local.get $s))";
pub(super) const UPLOAD_FOR_EVER: &str = "(local $s i32) (local.set $s (call $upload))
    (loop $again (call $write (local.get $s)) (br $again))";
pub(super) const UPLOAD_FOR_EVER_AFTER_A_CHUNK: &str = "(local $s i32)
    (call $write (call $answer (local.get $out))) (local.set $s (call $upload))
    (loop $again (call $write (local.get $s)) (br $again))";
pub(super) const UPLOAD_THEN_ANSWER: &str = "(local $s i32) (local.set $s (call $upload))
    (call $write (local.get $s)) (call $finish (local.get $s)) (call $wait)
    (local.set $s (call $answer (local.get $out))) (call $write (local.get $s)) (call $finish (local.get $s))";

/// A component whose handler does what `body` says.
pub(super) fn component(body: &str) -> Bytes {
    encode("guest", &module(body))
}

/// A component that imports what no host offers.
pub(super) fn stranger() -> Bytes {
    encode(
        "stranger",
        r#"(module (import "acme:gpu/device@1.0.0" "draw" (func))
             (memory (export "memory") 1)
             (func (export "wasi:http/incoming-handler@0.2.0#handle") (param i32 i32))
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#,
    )
}

fn encode(world: &str, module: &str) -> Bytes {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("guest.wit", WIT).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap().into()
}

fn module(body: &str) -> String {
    format!(
        r#"(module
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $response_body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $body_write (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $body_finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set"
    (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query"
    (func $set_path (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority"
    (func $set_authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.body" (func $request_body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe"
    (func $subscribe (param i32) (result i32)))
  (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle (param i32 i32 i32 i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $stream_write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $stream_drop (param i32)))
  (memory (export "memory") 1)
  (global $body (mut i32) (i32.const 0))
  (global $pending (mut i32) (i32.const 0))
  (data (i32.const 1024) "hello, wasi!\n")
  (data (i32.const 1040) "BACKEND.binding")
  (data (i32.const 1056) "/")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 2048))
  (func $answer (param $out i32) (result i32)
    (local $response i32)
    (local.set $response (call $response (call $fields)))
    (call $response_body (local.get $response) (i32.const 16))
    (global.set $body (i32.load (i32.const 20)))
    (call $set (local.get $out) (i32.const 0) (local.get $response)
      (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (call $body_write (global.get $body) (i32.const 16))
    (i32.load (i32.const 20)))
  (func $write (param $stream i32)
    (call $stream_write (local.get $stream) (i32.const 1024) (i32.const 13) (i32.const 16)))
  (func $finish (param $stream i32)
    (call $stream_drop (local.get $stream))
    (call $body_finish (global.get $body) (i32.const 0) (i32.const 0) (i32.const 16)))
  (func $upload (result i32)
    (local $request i32)
    (local.set $request (call $request (call $fields)))
    (drop (call $set_authority (local.get $request) (i32.const 1) (i32.const 1040) (i32.const 15)))
    (drop (call $set_path (local.get $request) (i32.const 1) (i32.const 1056) (i32.const 1)))
    (call $request_body (local.get $request) (i32.const 16))
    (global.set $body (i32.load (i32.const 20)))
    (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 16))
    (global.set $pending (i32.load (i32.const 24)))
    (call $body_write (global.get $body) (i32.const 16))
    (i32.load (i32.const 20)))
  (func $wait
    (call $block (call $subscribe (global.get $pending))))
  (func $recurse (call $recurse) (call $recurse))
  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $request i32) (param $out i32) {body}))"#
    )
}
