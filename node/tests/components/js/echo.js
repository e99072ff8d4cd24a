// The test component of `componentize-js`: a fetch handler over StarlingMonkey, calling WASI interfaces beside the web APIs.
import { getEnvironment } from 'wasi:cli/environment@0.2.10';
import { get as getConfig } from 'wasi:config/store@0.2.0-rc.1';
import { open } from 'wasi:keyvalue/store@0.2.0-draft';
import { increment } from 'wasi:keyvalue/atomics@0.2.0-draft';

const routes = {
  '/': () => Response.json({ greeting: greeting(), made_with: 'componentize-js' }),
  '/echo': async (request) =>
    Response.json({
      method: request.method,
      url: request.url,
      header: request.headers.get('x-test'),
      body: await request.text(),
    }),
  '/pipe': (request) => new Response(request.body, { headers: { 'content-type': 'application/octet-stream' } }),
  '/config': () => Response.json({ greeting: getConfig('GREETING') ?? null }),
  '/count': (request) => {
    const bucket = open('COUNTERS');
    const key = new URL(request.url).searchParams.get('key') ?? 'visits';
    return Response.json({ count: Number(increment(bucket, key, 1n)) });
  },
  '/note': async (request) => {
    const bucket = open('COUNTERS');
    if (request.method === 'PUT') bucket.set('note', new TextEncoder().encode(await request.text()));
    const note = bucket.get('note');
    return Response.json({ note: note ? new TextDecoder().decode(note) : null, exists: bucket.exists('note') });
  },
  '/missing-bucket': () => {
    try {
      open('NOWHERE');
    } catch (error) {
      return Response.json({ tag: error.payload?.tag ?? String(error) });
    }
    return Response.json({ tag: null });
  },
  '/backend': async () => {
    const answer = await fetch('http://BACKEND.binding/greet?from=component', {
      method: 'POST',
      body: 'to the backend',
    });
    return Response.json({ status: answer.status, body: await answer.text() });
  },
  '/log': () => {
    console.log('a line from the component');
    console.error('and one from stderr');
    return new Response('logged');
  },
  '/spin': () => {
    for (;;) {}
  },
};

function greeting() {
  return Object.fromEntries(getEnvironment()).GREETING ?? null;
}

addEventListener('fetch', (event) => {
  const route = routes[new URL(event.request.url).pathname];
  event.respondWith(route ? route(event.request) : new Response('no such route', { status: 404 }));
});
