"use strict";
// What every Flow client may rely on. The Node test and the browser test share it; in the browser it
// runs as a plain script, hence the one global.

(function (scope) {
  const welcome = {
    type: "welcome",
    message: "Please send registration message to begin receiving events",
    format: { type: "register", filters: { types: [], account_ids: [], asset_codes: [], min_amount: "" } },
  };

  /** Equal as JSON, whatever the order of the keys. */
  function same(one, other) {
    const sorted = value =>
      value && typeof value === "object" && !Array.isArray(value)
        ? Object.fromEntries(Object.keys(value).sort().map(key => [key, sorted(value[key])]))
        : value;
    return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
  }

  /** Follows one connection's messages. `take` throws at the first that is wrong; true: enough events. */
  class Conversation {
    constructor(filters, enough) {
      this.filters = filters;
      this.enough = enough;
      this.heard = [];
      this.events = 0;
      this.ids = new Set();
      this.ledger = 0;
    }

    take(text) {
      const message = JSON.parse(text);
      if (message.type === "welcome") {
        this.expect(this.heard.length === 0 && same(message, welcome), message);
        this.heard.push("welcome");
      } else if (message.type === "registered") {
        this.expect(this.heard.join() === "welcome" && same(message.filters, this.filters), message);
        this.expect(message.message === "Registration successful, processing queued events", message);
        this.heard.push("registered");
      } else {
        this.expect(this.heard.join() === "welcome,registered", message);
        this.expect(this.filters.types.includes(message.type), message);
        this.expect(this.filters.asset_codes.includes(message.asset_code), message);
        this.expect(typeof message.id === "string" && !this.ids.has(message.id), message);
        this.expect(message.ledger >= this.ledger, message);
        this.expect(/^[0-9a-f]{64}$/.test(message.transaction_hash), message);
        this.ids.add(message.id);
        this.ledger = message.ledger;
        this.events += 1;
      }
      return this.events >= this.enough;
    }

    expect(holds, message) {
      if (!holds) throw new Error("unexpected after [" + this.heard + "]: " + JSON.stringify(message));
    }
  }

  scope.flowChecks = { Conversation };
})(typeof module === "object" ? module.exports : window);
