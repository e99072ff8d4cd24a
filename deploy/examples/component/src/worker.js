import { getEnvironment } from "wasi:cli/environment@0.2.10";

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/hello") {
    const hello = await fetch("http://HELLO.binding/from-a-component");
    return Response.json({ status: hello.status, hello: await hello.json() });
  }
  const { GREETING } = Object.fromEntries(getEnvironment());
  return Response.json({ greeting: GREETING, path: pathname });
}
