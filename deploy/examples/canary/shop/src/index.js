export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (env.FAULTY && pathname === "/broken") {
      throw new Error("the new checkout does not work yet");
    }
    return Response.json({ path: pathname, faulty: env.FAULTY });
  },
};
