"use strict";
// The rippled API as xrpl.js 5 sees it: connect, heartbeat, streams, accounts, books, errors, the calls that a
// dashboard makes, a reconnect, and the end.

const assert = require("node:assert");
const { Client, RippledError } = require("xrpl");

const XRPL_URL = process.env.XRPL_URL || "ws://127.0.0.1:8080/xrpl";
const PATIENCE = 60000; // ms
const LEDGERS = 6;

const late = setTimeout(() => fail(new Error("too late")), PATIENCE);

function fail(error) {
  console.error(error);
  process.exit(1);
}

const once = (emitter, event) => new Promise(resolve => emitter.once(event, (...values) => resolve(values)));
const pause = time => new Promise(resolve => setTimeout(resolve, time));

async function refused(client, request, error) {
  await assert.rejects(client.request(request), thrown => {
    assert.ok(thrown instanceof RippledError, thrown);
    assert.strictEqual(thrown.data.error, error);
    assert.strictEqual(thrown.data.status, "error");
    return true;
  });
}

// Whole ledgers: no index missing, as many transactions as each says, in the order of execution.
async function streams(client) {
  const ledgers = [];
  const problems = [];
  client.on("ledgerClosed", ledger => ledgers.push({ ledger, transactions: [] }));
  client.on("transaction", message => {
    const current = ledgers[ledgers.length - 1];
    if (!current || message.ledger_index !== current.ledger.ledger_index) problems.push(message);
    else current.transactions.push(message);
  });
  const answer = await client.request({ command: "subscribe", streams: ["ledger", "transactions"] });
  assert.strictEqual(typeof answer.result.ledger_index, "number");
  assert.strictEqual(answer.result.type, undefined);
  while (ledgers.length <= LEDGERS) await pause(50);
  const gone = await client.request({ command: "unsubscribe", streams: ["ledger", "transactions"] });
  assert.deepStrictEqual(gone.result, {});
  const count = ledgers.length;
  await pause(1500);
  assert.strictEqual(ledgers.length, count, "nothing comes after the answer");
  client.removeAllListeners("ledgerClosed");
  client.removeAllListeners("transaction");

  assert.deepStrictEqual(problems, []);
  assert.strictEqual(ledgers[0].ledger.ledger_index, answer.result.ledger_index + 1);
  for (const [at, { ledger, transactions }] of ledgers.entries()) {
    if (at > 0) assert.strictEqual(ledger.ledger_index, ledgers[at - 1].ledger.ledger_index + 1);
    assert.strictEqual(transactions.length, ledger.txn_count, "ledger " + ledger.ledger_index);
    assert.deepStrictEqual(transactions.map(message => message.meta.TransactionIndex), [...transactions.keys()]);
    for (const message of transactions) {
      assert.strictEqual(message.validated, true);
      assert.strictEqual(message.ledger_hash, ledger.ledger_hash);
      assert.strictEqual(message.tx_json.date, ledger.ledger_time);
      assert.match(message.hash, /^[0-9A-F]{64}$/);
      assert.strictEqual(message.tx_json.hash, undefined);
      assert.strictEqual(message.engine_result, message.meta.TransactionResult);
    }
  }
  return ledgers.flatMap(({ transactions }) => transactions);
}

// Every message tells of the account, and each as the server has it.
async function account(client, transactions) {
  const isPayment = message => message.tx_json.TransactionType === "Payment" && message.engine_result === "tesSUCCESS";
  const payments = transactions.filter(isPayment);
  assert.ok(payments.length > 0, "payments among " + transactions.length);
  const counts = new Map();
  for (const { tx_json } of payments) counts.set(tx_json.Destination, (counts.get(tx_json.Destination) || 0) + 1);
  const [address] = [...counts].sort((a, b) => b[1] - a[1])[0];
  const seen = [];
  client.on("transaction", message => seen.push(message));
  await client.request({ command: "subscribe", accounts: [address] });
  while (seen.length < 2) await pause(50);
  await client.request({ command: "unsubscribe", accounts: [address] });
  client.removeAllListeners("transaction");
  for (const message of seen) {
    assert.ok(JSON.stringify(message.meta).includes(address), "the account is affected");
    const { result } = await client.request({ command: "tx", transaction: message.hash });
    // The stream's own: the ledger's time, and what the maker of an offer can still pay.
    const { date, owner_funds, ...told } = message.tx_json;
    const { date: _, ledger_index: __, ctid: ___, ...kept } = result.tx_json;
    assert.deepStrictEqual(told, kept);
    assert.deepStrictEqual(message.meta, result.meta);
  }
  const info = await client.request({ command: "account_info", account: address, ledger_index: "validated" });
  assert.strictEqual(info.result.account_data.Account, address);
  assert.match(await client.getXrpBalance(address) + "", /^\d+(\.\d+)?$/);
}

async function books(client, transactions) {
  const offer = transactions.find(message => message.tx_json.TransactionType === "OfferCreate"
    && message.engine_result === "tesSUCCESS");
  assert.ok(offer, "an offer among " + transactions.length);
  const side = amount => (typeof amount === "string" ? { currency: "XRP" } : { currency: amount.currency, issuer: amount.issuer });
  const book = { taker_pays: side(offer.tx_json.TakerPays), taker_gets: side(offer.tx_json.TakerGets) };
  const { result } = await client.request({ command: "subscribe", books: [{ ...book, snapshot: true, both: true }] });
  assert.ok(Array.isArray(result.bids) && Array.isArray(result.asks));
  await client.request({ command: "unsubscribe", books: [{ ...book, both: true }] });
  const changes = [];
  client.connection.on("bookChanges", message => changes.push(message));
  await client.request({ command: "subscribe", streams: ["book_changes"] });
  while (!changes.some(message => message.changes.length > 0)) await pause(50);
  await client.request({ command: "unsubscribe", streams: ["book_changes"] });
}

async function errors(client) {
  await refused(client, { command: "subscribe", streams: ["ledger", "bogus"] }, "malformedStream");
  await refused(client, { command: "subscribe", accounts: ["x"] }, "actMalformed");
  await refused(client, { command: "subscribe", streams: ["validations"] }, "notSupported");
  await refused(client, { command: "no_such_command" }, "unknownCmd");
  await refused(client, { command: "submit", tx_blob: "00" }, "notSupported");
  await refused(client, { command: "stop" }, "noPermission");
  await refused(client, { command: "account_info", account: "rrrrrrrrrrrrrrrrrrrrBZbvji" }, "actNotFound");
}

// Too many requests in a second close the connection; the client comes back by itself, and subscribes anew.
async function reconnect(client) {
  const disconnected = once(client, "disconnected");
  const pings = [...Array(200)].map(() => client.request({ command: "ping" }).catch(error => error));
  const [code] = await disconnected;
  assert.strictEqual(code, 1008);
  await once(client, "connected");
  await Promise.all(pings);
  const closed = once(client, "ledgerClosed");
  await client.request({ command: "subscribe", streams: ["ledger"] });
  await closed;
}

async function run() {
  // A heartbeat every 400 ms: the server's answers keep the connection.
  const client = new Client(XRPL_URL, { timeout: 400, connectionTimeout: 10000 });
  const complaints = [];
  client.on("error", (...values) => complaints.push(values));
  await client.connect();
  assert.strictEqual(client.isConnected(), true);
  const info = await client.request({ command: "server_info" });
  assert.ok(info.result.info.build_version && info.result.info.complete_ledgers);
  assert.strictEqual(client.buildVersion, info.result.info.build_version);
  const version = await client.request({ command: "version" });
  assert.deepStrictEqual(version.result.version, { first: 1, last: 2, good: 2 });

  const transactions = await streams(client);
  await account(client, transactions);
  await books(client, transactions);
  await errors(client);
  assert.strictEqual(client.isConnected(), true);
  assert.deepStrictEqual(complaints, []);
  await reconnect(client);
  // Waits for our echo of its close code 4000.
  await client.disconnect();
  assert.strictEqual(client.isConnected(), false);
  clearTimeout(late);
  console.log(transactions.length + " transactions of whole ledgers, an account, books, errors, a reconnect");
}

run().catch(fail);
