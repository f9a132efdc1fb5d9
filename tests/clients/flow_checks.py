"""What every Flow client may rely on, checked message by message. The client tests share it."""

import json
import os
import re
from decimal import Decimal

URL = os.environ.get("FLOW_URL", "ws://127.0.0.1:8080/ws")

WELCOME = {
    "type": "welcome",
    "message": "Please send registration message to begin receiving events",
    "format": {
        "type": "register",
        "filters": {"types": [], "account_ids": [], "asset_codes": [], "min_amount": ""},
    },
}

# The order of the events of one transaction.
RANKS = ["ledger", "transaction", "contract_event", "payment", "trade"]


def register(**filters):
    """A `register` message."""
    return json.dumps({"type": "register", "filters": filters})


def check_registered(message, first=True, **filters):
    """`registered` tells the filters as they were understood."""
    understood = {"types": [], "account_ids": [], "asset_codes": [], "min_amount": "", **filters}
    text = "Registration successful, processing queued events" if first else "Filters updated"
    expected = {"type": "registered", "message": text, "filters": understood}
    assert message == expected, f"expected {expected}, got {message}"


def position(event):
    """Where an event of the embedded Stellar ledger stands in the stream. Ids hold the number that
    Stellar gives to a place: ledger, transaction and operation in one."""
    rank = RANKS.index(event["type"])
    if event["type"] == "ledger":
        return (event["ledger"], -1, rank, 0, 0)
    place, _, sub = event["id"].partition("-")
    place = int(place)
    assert place >> 32 == event["ledger"], f"the id is of another ledger: {event}"
    index = int(sub.lstrip("pt") or 0)
    return (event["ledger"], place >> 12 & 0xFFFFF, rank, place & 0xFFF, index)


class Stream:
    """The events of one connection: each whole, each once, in order, each matching the filters."""

    def __init__(self, types=(), asset_codes=(), min_amount=""):
        self.types, self.asset_codes, self.min_amount = types, asset_codes, min_amount
        self.ids = set()
        self.last = None
        self.events = 0

    def take(self, event):
        assert event.get("type") in RANKS, f"no event: {event}"
        assert isinstance(event["ledger"], int), event
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["ledger_closed_at"]), event
        if event["type"] != "ledger":
            assert re.fullmatch(r"[0-9a-f]{64}", event["transaction_hash"]), event
        assert event["id"] not in self.ids, f"twice: {event}"
        self.ids.add(event["id"])
        place = position(event)
        assert self.last is None or place > self.last, f"out of order: {place} after {self.last}"
        self.last = place
        self.match(event)
        self.events += 1

    def match(self, event):
        assert not self.types or event["type"] in self.types, f"not of {self.types}: {event}"
        if event["type"] == "trade":
            sides = [
                (event["sell_asset_details"]["code"], event["sell_amount"]),
                (event["buy_asset_details"]["code"], event["buy_amount"]),
            ]
        else:
            sides = [(event.get("asset_code"), event.get("amount"))]
        if self.asset_codes:
            sides = [side for side in sides if side[0] in self.asset_codes]
            assert sides, f"not of {self.asset_codes}: {event}"
        if self.min_amount:
            least = Decimal(self.min_amount)
            assert any(amount and Decimal(amount) >= least for _, amount in sides), f"too small: {event}"
