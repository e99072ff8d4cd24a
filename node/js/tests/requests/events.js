// The older syntax: listeners instead of exports.

addEventListener("fetch", (event) => {
  const path = event.request.url.split("/")[3];
  if (path === "silent") return;
  if (path === "throws") throw new RangeError("thrown by a listener");
  if (path === "late") {
    event.waitUntil(scheduler.wait(1).then(() => console.log("event background done")));
    event.respondWith(scheduler.wait(1).then(() => new Response("late")));
    return;
  }
  event.respondWith(new Response(`event ${path}`));
  try {
    event.respondWith(new Response("again"));
  } catch (error) {
    console.log(error.name);
  }
});

addEventListener("scheduled", (event) => event.waitUntil(scheduler.wait(1).then(() => console.log(`cron ${event.cron}`))));
