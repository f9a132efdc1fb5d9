"use strict";
// The unmodified ilp-plugin-bells under the direction of a test: a line of JSON for each thing that its user sees.
//
// With ACCOUNT, USERNAME and PASSWORD it is one account's plugin. With EVERYBODY=1 they are an administrator's, and
// the plugin's factory listens on all accounts that it makes plugins for (ACCOUNTS, a JSON list of names).

const Plugin = require("ilp-plugin-bells");

const { ACCOUNT, USERNAME, PASSWORD, EVERYBODY, ACCOUNTS } = process.env;
const PATIENCE = 10000; // ms

const say = (event, value) => process.stdout.write(JSON.stringify({ event, value }) + "\n");

function listen(plugin, name) {
  for (const event of ["connect", "disconnect"]) plugin.on(event, () => say(event, name));
  for (const direction of ["incoming", "outgoing"]) {
    for (const what of ["transfer", "prepare", "fulfill", "reject", "cancel"]) {
      plugin.on(direction + "_" + what, transfer => say(direction + "_" + what, { name, transfer }));
    }
  }
}

async function main() {
  if (EVERYBODY) {
    const factory = new Plugin.Factory({ adminUsername: USERNAME, adminPassword: PASSWORD, adminAccount: ACCOUNT });
    await factory.connect({ timeout: PATIENCE });
    for (const name of JSON.parse(ACCOUNTS)) listen(await factory.create({ username: name }), name);
    say("ready");
    return;
  }
  const plugin = new Plugin({ account: ACCOUNT, username: USERNAME, password: PASSWORD });
  listen(plugin, null);
  await plugin.connect({ timeout: PATIENCE });
  say("ready", plugin.getInfo());
  say("balance", await plugin.getBalance());
  // A ledger that is only watched takes no transfer, and says so in words that the plugin knows.
  const transfer = { id: "2b9b5d25-3f39-4dbe-b5ac-92d2ac35f2f8", to: plugin.getInfo().prefix + "bob", amount: "1" };
  await plugin.sendTransfer(transfer).then(() => say("sent"), error => say("refused", error.name));
}

main().catch(error => {
  say("error", String(error.message || error));
  process.exit(1);
});
// It ends with whoever started it.
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
