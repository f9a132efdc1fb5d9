"use strict";
// MaticVigil's guide for the browser in headless Chromium, word for word: register, heartbeat, events and
// transactions, and the connection that it makes again when it was closed with 1000.

const assert = require("node:assert");
const http = require("node:http");
const { chromium } = require("playwright-core");

const VIGIL_URL = process.env.VIGIL_URL || "ws://127.0.0.1:8080/vigil/ws";
const VIGIL_KEY = process.env.VIGIL_KEY || "demo-key";
const PATIENCE = 60000; // ms

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];

// What is not the guide's: its service is ours, and what it logs is kept.
const AROUND = `
const frames = [], logged = [], codes = [];
const Real = WebSocket;
window.WebSocket = class extends Real {
  constructor(url) {
    if (url !== "wss://mainnet.maticvigil.com/ws") throw new Error("the guide's address: " + url);
    super(${JSON.stringify(VIGIL_URL)});
    this.addEventListener("message", event => frames.push(event.data));
    this.addEventListener("close", event => codes.push(event.code));
  }
};
for (const level of ["log", "warn", "error"]) console[level] = (...words) => logged.push({ level, words });
`;

const GUIDE = `
var wsConnection;
var wsTries = 5;
var timeout = 1000;
var wsSessionID;

initWS(KEY); //pass the read key.

function initWS(key){
	console.log('tries', wsTries);
	if (wsTries <= 0){
		console.error('unable to estabilish WS after 5 tries!');
		wsConnection = null;
		wsTries = 5;
		wsSessionID = null;
		return;
	}
	wsConnection = new WebSocket('wss://mainnet.maticvigil.com/ws');
	wsConnection.onopen = function () {
		wsConnection.send(JSON.stringify({
			'command': 'register',
			'key': key
		}));
	};

	// Log errors
	wsConnection.onerror = function (error) {
		wsTries--;
		console.error('WebSocket Error ', error);
	};

	// Log messages from the server
	wsConnection.onmessage = function (d) {
		try {
			var data = JSON.parse(d.data);
			if (data.command){
			 	if (data.command == 'register:nack'){
					console.error('bad auth from WS');
					closeWS();
				}
				if (data.command == 'register:ack'){
					wsSessionID = data.sessionID;
					console.log('got sessionID', wsSessionID);
					heartbeat();
				}
				return;
			}
			if (data.type){
				if (data.type == 'event'){
					console.log('event', data);
					//now do something with the event.
				} else {
					console.log('tx', data);
					//now do something with the tx data.
				}
				return;
			}
			console.warn('got unrecognized json data', data);
		}
		catch (e){
			console.error('got non json data', d.data, e);
		}
	};
	wsConnection.onclose = function(e){
		console.error('websocket error', e);
		if (e.code != 1000){
			closeWS();
		} else {
			setTimeout(function(){
				initWS(key);
			}, timeout);
		}
	};
}

function closeWS(){
	if (wsConnection){
		console.log('closing ws');
		wsSessionID = null;
		wsConnection.onclose = function(){
			wsConnection = null;
		};
		wsConnection.close();
	}
}

function heartbeat() {
	if (!wsSessionID || !wsConnection || wsConnection.readyState !== 1){
		return;
	}
	wsConnection.send(JSON.stringify({
		command: "heartbeat",
		sessionID: wsSessionID
	}));
	setTimeout(heartbeat, 30000);
}
`;

/** The guide's page, opened with a key. */
async function open(browser, key) {
  const html = `<!doctype html><title>guide</title><script>${AROUND}const KEY = ${JSON.stringify(key)};${GUIDE}</script>`;
  const server = http.createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end(html);
  });
  await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
  const page = await browser.newPage();
  page.on("pageerror", error => { throw error; });
  await page.goto("http://127.0.0.1:" + server.address().port + "/");
  server.close();
  return page;
}

/** Waits until a function holds in the page. */
const until = (page, holds, argument) => page.waitForFunction(holds, argument, { timeout: PATIENCE });

/** Every number is exact in this language. */
function exact(value) {
  if (typeof value === "number") assert.ok(Number.isSafeInteger(value), String(value));
  else if (value && typeof value === "object") Object.values(value).forEach(exact);
}

async function events(browser) {
  const page = await open(browser, VIGIL_KEY);
  await until(page, () => {
    const of = word => logged.filter(one => one.words[0] === word);
    return of("event").length >= 30 && of("tx").length >= 15 && of("tx").some(one => one.words[1].type === "otm");
  });
  const { frames: texts, logged: lines } = await page.evaluate(() => ({ frames, logged }));
  const messages = texts.map(text => JSON.parse(text));
  const { sessionID } = messages[0];
  assert.deepStrictEqual(messages[0], { command: "register:ack", sessionID }, "the first frame");
  const commands = messages.filter(message => message.command);
  assert.deepStrictEqual(commands[1], { command: "heartbeat", sessionID }, "the echo of the heartbeat");
  assert.deepStrictEqual(lines.filter(line => line.level !== "log"), [], "no complaints");
  exact(messages);
  const logs = messages.filter(message => message.type === "event");
  for (const [at, log] of logs.entries()) {
    if (at > 0) assert.strictEqual(log.maticvigil_event_id, logs[at - 1].maticvigil_event_id + 1);
  }
  const places = logs.map(log => [log.blockNumber, log.logIndex]);
  for (const [at, [block, index]] of places.entries()) {
    if (at > 0) assert.ok(block > places[at - 1][0] || (block === places[at - 1][0] && index > places[at - 1][1]));
  }

  // Closed with 1000, it comes back after a second, to another session.
  await page.evaluate(key => wsConnection.send(JSON.stringify({ command: "unregister", key })), VIGIL_KEY);
  await until(page, () => logged.filter(one => one.words[0] === "got sessionID").length === 2);
  const sessions = await page.evaluate(() => logged.filter(one => one.words[0] === "got sessionID").map(one => one.words[1]));
  assert.notStrictEqual(sessions[0], sessions[1]);
  assert.deepStrictEqual(await page.evaluate(() => codes), [1000]);
  await page.close();
  return logs.length + " events among " + messages.length + " messages";
}

async function wrongKey(browser) {
  const page = await open(browser, VIGIL_KEY + "?");
  await until(page, () => codes.length === 1);
  // Longer than it waits before it connects again, which it must not do.
  await page.waitForTimeout(1500);
  const { texts, errors } = await page.evaluate(() => ({
    texts: frames, errors: logged.filter(one => one.level === "error").map(one => one.words[0]),
  }));
  assert.deepStrictEqual(texts, ['{"command":"register:nack"}']);
  assert.deepStrictEqual(errors, ["bad auth from WS"]);
  await page.close();
  return "refused";
}

async function run() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
  try {
    for (const check of [events, wrongKey]) console.log(check.name + ": " + (await check(browser)));
  } finally {
    await browser.close();
  }
}

run().catch(error => {
  console.error(error);
  process.exit(1);
});
