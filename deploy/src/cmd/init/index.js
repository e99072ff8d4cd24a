export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    return Response.json({ greeting: env.GREETING, path: url.pathname });
  },
};
