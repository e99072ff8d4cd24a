const ORDERS = [
  { id: 1, user: "demo", item: "tea" },
  { id: 2, user: "demo", item: "a lighthouse" },
  { id: 3, user: "somebody else", item: "rope" },
];

export default {
  async fetch(request, env) {
    const user = request.headers.get("x-user");
    return Response.json({ stage: env.STAGE, user, orders: ORDERS.filter((order) => order.user === user) });
  },
};
