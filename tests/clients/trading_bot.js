"use strict";
// A bot that trades on a simple rule, written for the XRP Ledger with xrpl.js and for nothing else: it follows what XRP
// is paid, buys when payments grow and sells when they shrink. It prints a line for each decision, for a number of
// ledgers. tests/recording.rs runs it on a market as it happens and on the same market recorded.

const { Client } = require("xrpl");

const XRPL_URL = process.env.XRPL_URL || "ws://127.0.0.1:8080/xrpl";
const LEDGERS = Number(process.env.LEDGERS || 8);
const SLOW = 8; // payments
const FAST = 2;

const average = (values, count) => values.slice(-count).reduce((sum, value) => sum + value, 0n) / BigInt(count);

async function main() {
  const client = new Client(XRPL_URL);
  const paid = [];
  let [position, first, left, ledgers] = [null, null, 0, 0];

  function decide({ tx_json, meta, ledger_index, hash }) {
    const amount = meta.delivered_amount;
    if (tx_json.TransactionType !== "Payment" || typeof amount !== "string") return;
    paid.push(BigInt(amount));
    if (paid.length < SLOW) return;
    const wanted = average(paid, FAST) > average(paid, SLOW) ? "long" : "short";
    if (wanted === position) return;
    position = wanted;
    console.log(JSON.stringify({ ledger: ledger_index, hash, go: wanted, at: String(paid.at(-1)) }));
  }

  function through() {
    if (left > 0 || first === null || (ledgers += 1) < LEDGERS) return;
    console.log(JSON.stringify({ first, ledgers, payments: paid.length }));
    process.exit(0);
  }

  client.on("error", (...error) => console.error("error", ...error));
  client.on("ledgerClosed", ledger => {
    first ??= ledger.ledger_index;
    left = ledger.txn_count;
    if (left === 0) through();
  });
  client.on("transaction", message => {
    decide(message);
    left -= 1;
    through();
  });
  await client.connect();
  await client.request({ command: "subscribe", streams: ["ledger", "transactions"] });
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
