// Requests that change nothing may be sent twice; so when the canary fails, only they are sent to production too.
const REPEATABLE = ["GET", "HEAD"];

export default {
  async fetch(request, env) {
    if (Math.random() * 100 >= env.CANARY_PERCENT) {
      return marked(await env.PRODUCTION.fetch(request), "production");
    }
    if (!REPEATABLE.includes(request.method)) {
      return marked(await env.CANARY.fetch(request), "canary");
    }
    let answer;
    try {
      answer = await env.CANARY.fetch(request.clone());
    } catch (error) {
      console.warn("the canary failed", String(error));
    }
    if (answer !== undefined && answer.status < 500) {
      return marked(answer, "canary");
    }
    return marked(await env.PRODUCTION.fetch(request), "production after the canary failed");
  },
};

function marked(answer, by) {
  const headers = new Headers(answer.headers);
  headers.set("x-answered-by", by);
  return new Response(answer.body, { status: answer.status, headers });
}
