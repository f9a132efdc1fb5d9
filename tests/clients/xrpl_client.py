"""The rippled API as xrpl-py sees it: its asynchronous and its synchronous client."""

import asyncio
import os
import time

from xrpl.asyncio.clients import AsyncWebsocketClient
from xrpl.clients import WebsocketClient
from xrpl.models import (
    AccountInfo,
    GenericRequest,
    Ping,
    ServerInfo,
    StreamParameter,
    Subscribe,
    Tx,
    Unsubscribe,
)

URL = os.environ.get("XRPL_URL", "ws://127.0.0.1:8080/xrpl")
PATIENCE = 60
LEDGERS = 5


async def streams():
    async with AsyncWebsocketClient(URL) as client:
        answer = await client.request(ServerInfo())
        assert answer.is_successful() and answer.result["info"]["complete_ledgers"], answer
        assert (await client.request(Ping())).result == {}
        streams = [StreamParameter.LEDGER, StreamParameter.TRANSACTIONS]
        answer = await client.request(Subscribe(streams=streams))
        assert answer.is_successful(), answer
        last, left, ledgers, payment = answer.result["ledger_index"], 0, 0, None
        pings = pongs = 0
        async for message in client:
            if message["type"] == "ledgerClosed":
                assert left == 0 and message["ledger_index"] == last + 1, (left, last, message)
                last, left, ledgers = message["ledger_index"], message["txn_count"], ledgers + 1
                # A heartbeat in the middle of the stream changes nothing of it.
                await client.send(Ping(id=f"ping-{ledgers}"))
                pings += 1
            elif message["type"] == "transaction":
                assert message["ledger_index"] == last, message
                left -= 1
                is_payment = message["tx_json"]["TransactionType"] == "Payment"
                if is_payment and message["engine_result"] == "tesSUCCESS":
                    payment = message
            else:
                # Answers come here as well, those to the requests above among them.
                assert message["type"] == "response" and message["status"] == "success", message
                pongs += str(message["id"]).startswith("ping-")
            if ledgers > LEDGERS and left == 0 and pongs == pings and payment:
                break
        answer = await client.request(Tx(transaction=payment["hash"]))
        assert answer.result["meta"]["delivered_amount"] == payment["meta"]["delivered_amount"]
        answer = await client.request(Subscribe(accounts=["rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTi"]))
        assert not answer.is_successful() and answer.result["error"] == "actMalformed", answer
        return payment["tx_json"]["Destination"]


def accounts(address):
    with WebsocketClient(URL) as client:
        answer = client.request(Subscribe(accounts=[address]))
        assert answer.is_successful() and answer.result == {}, answer
        for message in client:
            if message["type"] == "response":
                continue
            assert message["type"] == "transaction" and address in str(message["meta"]), message
            break
        assert client.request(Unsubscribe(accounts=[address])).result == {}
        answer = client.request(AccountInfo(account=address, ledger_index="validated"))
        assert answer.result["account_data"]["Account"] == address, answer
        answer = client.request(GenericRequest(command="no_such_command"))
        assert answer.result["error"] == "unknownCmd", answer


def main():
    started = time.monotonic()
    address = asyncio.run(asyncio.wait_for(streams(), PATIENCE))
    accounts(address)
    print(f"whole ledgers, an account, errors: {time.monotonic() - started:.1f} s")


main()
