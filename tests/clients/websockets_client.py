"""The Flow contract as the library `websockets` sees it."""

import json
import time
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from flow_checks import URL, WELCOME, Stream, check_registered, register

PATIENCE = 20


def receive(connection):
    return json.loads(connection.recv(timeout=PATIENCE))


@contextmanager
def open_welcomed():
    with connect(URL) as connection:
        assert receive(connection) == WELCOME
        yield connection


def errors_change_nothing():
    with open_welcomed() as connection:
        connection.send("hello")
        error = receive(connection)
        assert (error["type"], error["code"]) == ("error", "invalid_message"), error
        # Errors are told at most once a second.
        time.sleep(1.1)
        connection.send(register(min_amount="1e3"))
        error = receive(connection)
        assert (error["type"], error["code"]) == ("error", "invalid_filter"), error
        connection.send(register(types=["ledger"]).encode())
        check_registered(receive(connection), types=["ledger"])
        assert receive(connection)["type"] == "ledger"


def filters_hold_and_are_replaced():
    with open_welcomed() as connection:
        connection.send(register(types=["payment"], asset_codes=["XLM"], min_amount="0.5"))
        check_registered(receive(connection), types=["payment"], asset_codes=["XLM"], min_amount="0.5")
        payments = Stream(["payment"], ["XLM"], "0.5")
        while payments.events < 10:
            payments.take(receive(connection))

        connection.send(register(types=["trade"], asset_codes=["USDC"]))
        # Up to the answer the old filters hold, after it the new ones.
        while (message := receive(connection))["type"] != "registered":
            payments.take(message)
        check_registered(message, first=False, types=["trade"], asset_codes=["USDC"])
        trades = Stream(["trade"], ["USDC"])
        while trades.events < 5:
            trades.take(receive(connection))


def everything_is_whole():
    """Without filters: no ledger missing, in each as many transactions as it says."""
    with open_welcomed() as connection:
        connection.send(json.dumps({"type": "register"}))
        check_registered(receive(connection))
        stream, ledgers = Stream(), []
        while len(ledgers) < 6:
            event = receive(connection)
            stream.take(event)
            if event["type"] == "ledger":
                ledgers.append((event, []))
            elif event["type"] == "transaction":
                ledgers[-1][1].append(event)
        numbers = [ledger["ledger"] for ledger, _ in ledgers]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
        for (ledger, transactions), (following, _) in zip(ledgers, ledgers[1:]):
            assert ledger["transaction_count"] == len(transactions), ledger
            assert following["previous_hash"] == ledger["hash"], following


def what_came_before_registration_is_kept():
    with open_welcomed() as witness:
        witness.send(register(types=["ledger"]))
        check_registered(receive(witness), types=["ledger"])
        seen = receive(witness)["ledger"]
        with open_welcomed() as late:
            while receive(witness)["ledger"] < seen + 6:
                pass
            late.send(register(types=["ledger"]))
            check_registered(receive(late), types=["ledger"])
            numbers = [receive(late)["ledger"] for _ in range(8)]
            # A ledger or two may have closed between the witness's and the late one's connection.
            assert seen < numbers[0] <= seen + 3, (seen, numbers)
            assert numbers == list(range(numbers[0], numbers[0] + 8)), numbers


def closes_politely():
    with open_welcomed() as connection:
        # Few events: with its queue full this library stops reading, and never sees the close frame.
        connection.send(register(types=["ledger"]))
        check_registered(receive(connection), types=["ledger"])
        pong = connection.ping(b"are you there")
        while not pong.is_set():
            receive(connection)
        connection.close(1000)
        try:
            while True:
                receive(connection)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 1000, closed


for check in [
    errors_change_nothing,
    filters_hold_and_are_replaced,
    everything_is_whole,
    what_came_before_registration_is_kept,
    closes_politely,
]:
    check()
    print(f"{check.__name__}: ok")
