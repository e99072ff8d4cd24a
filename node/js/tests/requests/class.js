// A default export that is a class: a new instance for each event.

import { WorkerEntrypoint } from "cloudflare:workers";

export default class extends WorkerEntrypoint {
  calls = 0;

  async fetch(request) {
    this.calls += 1;
    this.ctx.waitUntil(scheduler.wait(1).then(() => console.log("class background done")));
    return Response.json({ calls: this.calls, text: this.env.TEXT, method: request.method });
  }
}
