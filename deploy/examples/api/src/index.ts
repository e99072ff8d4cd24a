import { Hono } from "hono";

/** The part of a KV namespace that this worker uses. */
interface KV {
  get(key: string): Promise<string | null>;
  put(key: string, value: string, options?: { metadata?: unknown; expirationTtl?: number }): Promise<void>;
  delete(key: string): Promise<void>;
  list(options?: { prefix?: string }): Promise<{ keys: { name: string; metadata?: unknown }[] }>;
}

interface Bindings {
  NOTES: KV;
  MAX_NOTE_BYTES: number;
}

const app = new Hono<{ Bindings: Bindings }>();

app.get("/notes", async (c) => {
  const { keys } = await c.env.NOTES.list();
  return c.json(keys.map(({ name, metadata }) => ({ id: name, metadata })));
});

app.get("/notes/:id", async (c) => {
  const note = await c.env.NOTES.get(c.req.param("id"));
  return note === null ? c.json({ error: "no such note" }, 404) : c.text(note);
});

app.put("/notes/:id", async (c) => {
  const text = await c.req.text();
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > c.env.MAX_NOTE_BYTES) {
    return c.json({ error: `a note has at most ${c.env.MAX_NOTE_BYTES} bytes, this one has ${bytes}` }, 413);
  }
  await c.env.NOTES.put(c.req.param("id"), text, { metadata: { bytes } });
  return c.json({ id: c.req.param("id"), bytes }, 201);
});

app.delete("/notes/:id", async (c) => {
  await c.env.NOTES.delete(c.req.param("id"));
  return c.body(null, 204);
});

app.notFound((c) => c.json({ error: "try GET /notes, or PUT /notes/NAME with a text" }, 404));

export default app;
