"use strict";
// Flow's guide for Node, with its library `ws` and its calls: the registration goes out in `open`,
// before the welcome was read.

const WebSocket = require("ws");
const { flowChecks } = require("./flow_checks.js");

const filters = { types: ["contract_event"], account_ids: [], asset_codes: ["USDC"], min_amount: "" };
const conversation = new flowChecks.Conversation(filters, 10);

function fail(why) {
  console.error(why);
  process.exit(1);
}

const late = setTimeout(() => fail("too late; heard " + conversation.heard + ", events " + conversation.events), 40000);
const ws = new WebSocket(process.env.FLOW_URL || "ws://127.0.0.1:8080/ws");

ws.on("open", () => {
  ws.send(JSON.stringify({ type: "register", filters }));
});

ws.on("message", data => {
  try {
    if (conversation.take(String(data))) ws.close(1000);
  } catch (error) {
    fail(error.message);
  }
});

ws.on("error", error => fail(error.message));

ws.on("close", code => {
  if (code !== 1000) fail("closed with " + code);
  clearTimeout(late);
  console.log(conversation.events + " USDC contract events, each as filtered; closed with 1000");
});
