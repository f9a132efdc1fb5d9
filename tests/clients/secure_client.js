"use strict";
// Node's `ws` and headless Chromium over TLS with an access token: the token as a subprotocol, which is
// all that a page can do, and our own page opened with `?token=…`.

const assert = require("node:assert");
const fs = require("node:fs");
const WebSocket = require("ws");
const { chromium } = require("playwright-core");

const { SECURE_HOST, TOKEN, CERTIFICATE, CHROMIUM } = process.env;
const REGISTER = JSON.stringify({ type: "register", filters: {} });
const URL_ = `wss://${SECURE_HOST}/ws`;

/** Settles after so many messages, or rejects with the close. Runs here and in a page. */
function listen(Socket, url, protocols, options, register, count) {
  return new Promise((resolve, reject) => {
    const socket = options ? new Socket(url, protocols, options) : new Socket(url, protocols);
    let heard = 0;
    socket.onopen = () => socket.send(register);
    socket.onmessage = () => {
      heard += 1;
      if (heard === count) {
        resolve(socket.protocol);
        socket.close(1000);
      }
    };
    socket.onerror = () => reject(new Error("socket error"));
    socket.onclose = event => reject(new Error("closed with " + event.code));
  });
}

async function node() {
  const options = { ca: fs.readFileSync(CERTIFICATE) };
  assert.strictEqual(await listen(WebSocket, URL_, ["bearer", TOKEN], options, REGISTER, 100), "bearer");
  await assert.rejects(listen(WebSocket, URL_, ["bearer", "x".repeat(64)], options, REGISTER, 1));
  console.log("Node: ok");
}

async function browser() {
  const engine = await chromium.launch({ executablePath: CHROMIUM || "chromium", args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const context = await engine.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(`https://${SECURE_HOST}/?token=${TOKEN}`);
    for (const end = Date.now() + 30000; (await page.$$("#events tr")).length < 20; await page.waitForTimeout(50)) {
      assert.ok(Date.now() < end, "the page shows events");
    }
    const inPage = `(${listen})(WebSocket, ${JSON.stringify(URL_)}, ["bearer", ${JSON.stringify(TOKEN)}], null, ${JSON.stringify(REGISTER)}, 100)`;
    assert.strictEqual(await page.evaluate(inPage), "bearer");
    await page.goto(`https://${SECURE_HOST}/`);
    await page.waitForTimeout(500);
    assert.strictEqual((await page.$$("#events tr")).length, 0, "nothing without the token");
    console.log("Chromium: ok");
  } finally {
    await engine.close();
  }
}

node().then(browser).catch(error => {
  console.error(error);
  process.exit(1);
});
