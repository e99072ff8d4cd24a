// The smallest worker: it says which version of itself answered.
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    return Response.json({ greeting: env.GREETING, path: pathname, version: env.VERSION?.id });
  },
};
