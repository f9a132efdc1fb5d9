"use strict";
// "Monitor Incoming Payments with WebSocket" in headless Chromium, as its reader types it: connect, ping, a
// dispatcher, subscribe to an account, and read what a payment really delivered.

const assert = require("node:assert");
const http = require("node:http");
const { chromium } = require("playwright-core");

const XRPL_URL = process.env.XRPL_URL || "ws://127.0.0.1:8080/xrpl";
const PATIENCE = 60000; // ms

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];

const TUTORIAL = `<!doctype html><title>tutorial</title><script>
const log = { connected: false, raw: [], unhandled: [], errors: [] };
const socket = new WebSocket(${JSON.stringify(XRPL_URL)});
socket.addEventListener("open", () => {
  log.connected = true;
  socket.send(JSON.stringify({ id: "on_open_ping_1", command: "ping" }));
});
socket.addEventListener("message", event => log.raw.push(event.data));

const waiting = {};
let number = 0;
function ask(request) {
  request.id = request.id || "autoid_" + number++;
  const answer = new Promise(resolve => { waiting[request.id] = resolve; });
  socket.send(JSON.stringify(request));
  return answer;
}
const handlers = {
  response(data) {
    if (!("id" in data)) log.errors.push(data);
    else if (waiting[data.id]) waiting[data.id](data);
    else if (data.id !== "on_open_ping_1") log.errors.push(data);
  },
};
socket.addEventListener("message", event => {
  const data = JSON.parse(event.data);
  if (handlers[data.type]) handlers[data.type](data);
  else log.unhandled.push(data);
});

const opened = () => new Promise(resolve => {
  if (socket.readyState === 1) resolve();
  else socket.addEventListener("open", resolve);
});

// Somebody who is paid: the tutorial's reader brings an address along, this page finds one.
async function findAccount() {
  const paid = new Promise(resolve => {
    handlers.transaction = tx => {
      if (tx.transaction.TransactionType === "Payment" && tx.engine_result === "tesSUCCESS") resolve(tx.transaction.Destination);
    };
  });
  await ask({ command: "subscribe", streams: ["transactions"] });
  const address = await paid;
  await ask({ command: "unsubscribe", streams: ["transactions"] });
  return address;
}

async function monitor() {
  await opened();
  const pong = await ask({ command: "ping" });
  const address = await findAccount();
  let payments = 0;
  const received = new Promise(resolve => {
    handlers.transaction = tx => {
      if (tx.meta.TransactionResult !== "tesSUCCESS" || tx.transaction.TransactionType !== "Payment") return;
      if (tx.transaction.Destination !== address) return;
      payments++;
      const delivered = tx.meta.delivered_amount;
      // Drops of XRP as a text, or a token's amount.
      if (typeof delivered === "string" || delivered.value) resolve({ delivered, amount: tx.transaction.Amount });
    };
  });
  const subscribed = await ask({ command: "subscribe", accounts: [address] });
  const first = await received;
  return { pong, subscribed, address, first, payments, log };
}
window.result = monitor();
</script>`;

async function run() {
  const server = http.createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end(TUTORIAL);
  });
  await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", error => complaints.push(error.message));
  await page.goto("http://127.0.0.1:" + server.address().port + "/");
  const late = new Promise((_, reject) => setTimeout(reject, PATIENCE, new Error("the tutorial is too late")).unref());
  const { pong, subscribed, address, first, log } = await Promise.race([page.evaluate(() => window.result), late]);
  await browser.close();
  server.close();
  assert.deepStrictEqual(complaints, []);
  assert.deepStrictEqual(pong, { id: pong.id, result: {}, status: "success", type: "response" });
  assert.deepStrictEqual(subscribed, { id: subscribed.id, result: {}, status: "success", type: "response" });
  assert.ok(log.connected && JSON.parse(log.raw[0]).id === "on_open_ping_1");
  assert.deepStrictEqual([log.errors, log.unhandled], [[], []]);
  console.log(address + " was paid " + JSON.stringify(first.delivered));
}

run().catch(error => {
  console.error(error);
  process.exit(1);
});
