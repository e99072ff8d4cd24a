import { Hono } from "hono";

type Bindings = { GREETING: string };

const app = new Hono<{ Bindings: Bindings }>();

app.get("/", (c) => c.text(c.env.GREETING));
app.get("/hello/:name", (c) => c.json({ greeting: `${c.env.GREETING}, ${c.req.param("name")}` }));

export default app;
