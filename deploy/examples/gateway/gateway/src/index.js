// Asks AUTH who the caller is, then passes the request on with the answer in a header that callers cannot forge.
export default {
  async fetch(request, env) {
    const auth = await env.AUTH.fetch("http://auth/verify", {
      headers: { authorization: request.headers.get("authorization") ?? "" },
    });
    if (!auth.ok) {
      return Response.json({ error: "give `authorization: Bearer demo-token`" }, { status: auth.status });
    }
    const { user } = await auth.json();
    const headers = new Headers(request.headers);
    headers.delete("authorization");
    headers.set("x-user", user);
    return env.ORDERS.fetch(new Request(request, { headers }));
  },
};
