// Answers 200 with the user, or 401.
export default {
  async fetch(request, env) {
    const given = request.headers.get("authorization") ?? "";
    if (given !== `Bearer ${env.TOKEN}`) {
      return Response.json({ error: "unknown token" }, { status: 401 });
    }
    return Response.json({ user: "demo" });
  },
};
