"""The test component of `componentize-py`: CPython answering `wasi:http` requests through its own bindings."""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

from componentize_py_types import Err, Ok
from poll_loop import PollLoop, Sink, Stream, send
from wit_world import exports
from wit_world.imports import atomics, batch, environment, wasi_config_store, wasi_keyvalue_store
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    Method_Get,
    Method_Post,
    Method_Put,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
)

METHODS = {Method_Get: "GET", Method_Post: "POST", Method_Put: "PUT"}


class IncomingHandler(exports.IncomingHandler):
    """Answers each request on an event loop of its own, as an instance lives for one request."""

    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        loop = PollLoop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(answer(request, response_out))


async def answer(request: IncomingRequest, response_out: ResponseOutparam) -> None:
    url = urlsplit(request.path_with_query() or "/")
    route = ROUTES.get(url.path)
    if route is None:
        await respond(response_out, 404, {"error": "no such route"})
    else:
        await respond(response_out, 200, await route(request, parse_qs(url.query)))


async def hello(request, query):
    return {"greeting": dict(environment.get_environment()).get("GREETING"), "made_with": "componentize-py"}


async def echo(request, query):
    headers = {name: value.decode() for name, value in request.headers().entries()}
    return {
        "method": METHODS.get(type(request.method())),
        "path": request.path_with_query(),
        "header": headers.get("x-test"),
        "body": (await read(request.consume())).decode(),
    }


async def config(request, query):
    return {"greeting": wasi_config_store.get("GREETING"), "all": dict(wasi_config_store.get_all())}


async def count(request, query):
    bucket = wasi_keyvalue_store.open("COUNTERS")
    return {"count": atomics.increment(bucket, query.get("key", ["visits"])[0], 1)}


async def notes(request, query):
    bucket = wasi_keyvalue_store.open("COUNTERS")
    batch.set_many(bucket, [("a", b"one"), ("b", b"two")])
    found = batch.get_many(bucket, ["a", "missing", "b"])
    page = bucket.list_keys(None)
    batch.delete_many(bucket, ["a", "b"])
    return {
        "found": [None if pair is None else [pair[0], pair[1].decode()] for pair in found],
        "keys": page.keys,
        "left": [bucket.exists("a"), bucket.exists("b")],
    }


async def missing_bucket(request, query):
    try:
        wasi_keyvalue_store.open("NOWHERE")
    except Err as error:
        return {"error": type(error.value).__name__}
    return {"error": None}


async def backend(request, query):
    outgoing = OutgoingRequest(Fields.from_list([]))
    outgoing.set_method(Method_Post())
    outgoing.set_scheme(Scheme_Http())
    outgoing.set_authority("BACKEND.binding")
    outgoing.set_path_with_query("/greet?from=component")
    body = outgoing.body()
    pending = asyncio.ensure_future(send(outgoing))
    sink = Sink(body)
    await sink.send(b"to the backend")
    sink.close()
    incoming = await pending
    return {"status": incoming.status(), "body": (await read(incoming.consume())).decode()}


async def log(request, query):
    print("a line from the component")
    print("and one from stderr", file=sys.stderr)
    return {"logged": True}


async def crash(request, query):
    raise RuntimeError("the component gave up")


ROUTES = {
    "/": hello,
    "/echo": echo,
    "/config": config,
    "/count": count,
    "/notes": notes,
    "/missing-bucket": missing_bucket,
    "/backend": backend,
    "/log": log,
    "/crash": crash,
}


async def read(body) -> bytes:
    stream = Stream(body)
    parts = []
    while (part := await stream.next()) is not None:
        parts.append(part)
    return b"".join(parts)


async def respond(response_out: ResponseOutparam, status: int, value) -> None:
    response = OutgoingResponse(Fields.from_list([("content-type", b"application/json")]))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    sink = Sink(body)
    await sink.send(json.dumps(value).encode())
    sink.close()
