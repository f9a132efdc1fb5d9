"use strict";
// Headless Chromium: Flow's guide for the browser from a page of another origin, and our own page.

const assert = require("node:assert");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { chromium } = require("playwright-core");

const FLOW_URL = process.env.FLOW_URL || "ws://127.0.0.1:8080/ws";
const PAGE_URL = process.env.PAGE_URL || "http://127.0.0.1:8080/";
const PATIENCE = 30000; // ms

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

// What the guide shows: register in `onopen`, then branch on the type.
const GUIDE = `<!doctype html><title>guide</title><script src="flow_checks.js"></script><script>
const filters = { types: ["contract_event"], account_ids: [], asset_codes: ["USDC"], min_amount: "" };
const conversation = new flowChecks.Conversation(filters, 10);
window.result = new Promise((resolve, reject) => {
  const ws = new WebSocket(${JSON.stringify(FLOW_URL)});
  ws.onopen = () => {
    ws.send(JSON.stringify({ type: "register", filters }));
  };
  ws.onmessage = event => {
    try {
      if (conversation.take(event.data)) ws.close(1000);
    } catch (error) {
      reject(error);
    }
  };
  ws.onerror = () => reject(new Error("socket error"));
  ws.onclose = event => resolve({ code: event.code, events: conversation.events });
});
</script>`;

async function guide(context) {
  const server = http.createServer((request, response) => {
    const script = request.url === "/flow_checks.js";
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    response.end(script ? fs.readFileSync(path.join(__dirname, "flow_checks.js")) : GUIDE);
  });
  await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
  const page = await context.newPage();
  await page.goto("http://127.0.0.1:" + server.address().port + "/");
  const late = new Promise((_, reject) => setTimeout(reject, 40000, new Error("the guide's flow is too late")).unref());
  const result = await Promise.race([page.evaluate(() => window.result), late]);
  assert.strictEqual(result.code, 1000);
  assert.ok(result.events >= 10, "events: " + result.events);
  await page.close();
  server.close();
}

/** Waits until a function holds in the page. Playwright's own wait needs `eval`, which the page forbids. */
async function until(page, holds, argument) {
  for (const deadline = Date.now() + PATIENCE; !(await page.evaluate(holds, argument)); ) {
    if (Date.now() > deadline) throw new Error("never held: " + holds + " with " + argument);
    await page.waitForTimeout(50);
  }
}

const rowsAtLeast = count => document.querySelectorAll("#events tr").length >= count;

/** A page that fails the test on any error or warning of the browser. */
async function strictPage(context) {
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", error => complaints.push(error.message));
  page.on("console", message => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  return { page, complaints };
}

const types = page => page.$$eval("#events tr", rows => [...new Set(rows.map(row => row.dataset.type))].sort());

async function livePage(context) {
  const { page, complaints } = await strictPage(context);
  const outside = [];
  page.on("request", request => {
    if (!request.url().startsWith(PAGE_URL) && !request.url().startsWith("data:")) outside.push(request.url());
  });
  await page.goto(PAGE_URL);
  await until(page, rowsAtLeast, 30);
  assert.strictEqual(await page.getAttribute("#state", "data-state"), "live");
  assert.ok((await types(page)).includes("contract_event"), "events of several types");
  const ids = await page.$$eval("#events tr", rows => rows.map(row => row.dataset.id));
  assert.strictEqual(new Set(ids).size, ids.length, "each event once");
  await until(page, () => Number(document.getElementById("pace").textContent) > 0);

  // Filters go to the server: the answer shows them, and only what fits comes.
  await page.check("input[value=trade]");
  await page.fill("input[name=asset]", "USDC");
  await page.fill("input[name=amount]", "0.0000001");
  await page.click("button[type=submit]");
  const inForce = "Filters in force: type trade; asset USDC; at least 0.0000001";
  await until(page, text => document.getElementById("answer").textContent === text, inForce);
  await until(page, rowsAtLeast, 3);
  assert.deepStrictEqual(await types(page), ["trade"]);
  const lines = await page.$$eval("#events tr", rows => rows.map(row => row.cells[3].textContent));
  for (const line of lines) assert.match(line, /sold .*\d.* to .* for .*\d/);
  for (const line of lines) assert.match(line, /USDC/);

  // A filter that is no filter is told, and the old ones stay.
  await page.fill("input[name=amount]", "1e3");
  await page.click("button[type=submit]");
  await until(page, () => document.getElementById("answer").className === "problem");
  assert.match(await page.textContent("#answer"), /^invalid_filter: filters\.min_amount: /);
  assert.deepStrictEqual(await types(page), ["trade"]);

  assert.deepStrictEqual(complaints, []);
  assert.deepStrictEqual(outside, [], "the page loads nothing else");
  await page.close();
}

/** What a live ledger seldom shows, from a server of the test's own: hostile texts, floods, breaks, a lost connection. */
async function pageOnItsOwn(context) {
  const { page, complaints } = await strictPage(context);
  const registers = [];
  const sockets = [];
  const html = "<img src=x onerror='document.title=\"broken\"'>";
  await page.routeWebSocket(/\/ws$/, socket => {
    sockets.push(socket);
    socket.onMessage(text => {
      const { filters } = JSON.parse(text);
      registers.push(filters);
      socket.send(JSON.stringify({ type: "registered", message: html, filters }));
    });
    socket.send(JSON.stringify({ type: "welcome" }));
  });
  await page.goto(PAGE_URL);
  await until(page, () => document.getElementById("answer").textContent !== "");

  const event = { type: html, id: html, ledger: html, ledger_closed_at: html };
  const payment = { type: "payment", id: "p", ledger: 7, from: html, to: html, amount: "1234567.8900000", asset_code: html, asset: html };
  const gap = { type: "gap", network: "n", from_ledger: 3, to_ledger: 6, reason: html };
  for (const message of [event, payment, gap]) sockets[0].send(JSON.stringify(message));
  await until(page, () => document.querySelectorAll("#events tr").length === 3);
  assert.strictEqual(await page.$$eval("img", images => images.length), 0, "text stays text");
  assert.strictEqual(await page.title(), "ledgercast");
  assert.strictEqual(await page.textContent("#events tr[data-type=gap] td:last-child"), "ledgers 3 to 6: " + html + " ");
  assert.match(await page.textContent("#events tr[data-type=payment]"), /1\u202f234\u202f567\.89/);

  for (let number = 0; number < 1000; number++) {
    sockets[0].send(JSON.stringify({ type: "ledger", id: number + "-ledger", ledger: number, transaction_count: 1, operation_count: 2 }));
  }
  await until(page, () => document.querySelector("[data-count=ledger]").textContent === "1000");
  assert.strictEqual(await page.$$eval("#events tr", rows => rows.length), 200, "rows are bounded");
  assert.strictEqual(await page.getAttribute("#events tr", "data-id"), "999-ledger", "the newest is on top");

  await page.fill("input[name=account]", "GABC");
  await page.click("button[type=submit]");
  await until(page, () => document.getElementById("answer").textContent.includes("GABC"));
  await sockets[0].close({ code: 1001, reason: "server is shutting down" });
  for (const deadline = Date.now() + PATIENCE; registers.length < 3 && Date.now() < deadline; ) await page.waitForTimeout(50);
  assert.strictEqual(sockets.length, 2, "connects again");
  assert.deepStrictEqual(registers[2].account_ids, ["GABC"], "with the filters that were in force");
  assert.deepStrictEqual(complaints, []);
  await page.close();
}

(async () => {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "ledgercast-chromium-"));
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: FLAGS });
  try {
    for (const check of [guide, livePage, pageOnItsOwn]) {
      await check(context);
      console.log(check.name + ": ok");
    }
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
})().catch(error => {
  console.error(error);
  process.exit(1);
});
