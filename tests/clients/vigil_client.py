"""The Python client of MaticVigil's guide, word for word, on ours; and what it takes for granted."""

import asyncio
import json
import os
import queue
import re
import threading
import time

import async_timeout
import websockets
from websockets.sync.client import connect

URL = os.environ.get("VIGIL_URL", "ws://127.0.0.1:8080/vigil/ws")
KEY = os.environ.get("VIGIL_KEY", "demo-key")
PATIENCE = 60

TRANSACTION = [
    "type", "txHash", "fromAddress", "input", "inputJSON", "toAddress", "gasUsed", "gas", "gasPrice", "value", "status",
]
EVENT = [
    "type", "txHash", "logIndex", "blockNumber", "transactionIndex", "contract", "event_name", "event_data",
    "maticvigil_event_id", "ctime",
]


class Redirected:
    """The guide names the service in its code; this is the only thing that is not as it stands there."""

    def connect(self, url):
        assert url == "wss://mainnet.maticvigil.com/ws"
        return websockets.connect(URL)


def guide(websockets):
    # `update_q` is a thread-safe queue that another thread can consume from
    async def consumer_contract(read_api_key, update_q: queue.Queue):
        async with websockets.connect('wss://mainnet.maticvigil.com/ws') as ws:
            await ws.send(json.dumps({'command': 'register', 'key': read_api_key}))
            ack = await ws.recv()
            ack = json.loads(ack)
            try:
                ack_cmd = ack['command']
            except KeyError:
                print('Bad response')
                await ws.close()
                return
            else:
                if ack_cmd != 'register:ack':
                    print('Registration not acknowledged')
                    await ws.close()
                    return
            sessionID = ack['sessionID']
            print('\nReceived Websocket Session ID: ', sessionID)
            while True:
                try:
                    async with async_timeout.timeout(10):
                        msg = await ws.recv()
                        if json.loads(msg).get('command') != 'heartbeat':
                            update_q.put(msg)
                except asyncio.TimeoutError:
                    await ws.send(json.dumps({'command': 'heartbeat', 'sessionID': sessionID}))
                    ack = await ws.recv()
                    # print(ack)
                except asyncio.CancelledError:
                    print('Websocket subscriber task exiting. Sending UNREGISTER...')
                    try:
                        await ws.send(json.dumps({'command': 'unregister', 'key': read_api_key}))
                        ack = await ws.recv()
                        await ws.close()
                    except:  # ignore any residual shutdown errors
                        pass
                    finally:
                        break

    return consumer_contract


def check_value(value):
    """Types of JSON that lose nothing: no float, and integers that JavaScript holds exactly."""
    if isinstance(value, (list, tuple)):
        for one in value:
            check_value(one)
    elif isinstance(value, dict):
        check_value(list(value.values()))
    else:
        assert value is None or isinstance(value, (bool, str, int)), value
        assert not isinstance(value, int) or abs(value) < 2**53, value


class Checks:
    """Field by field, in the order of the chain."""

    def __init__(self):
        self.seen, self.methods, self.events = {}, set(), set()
        self.number = self.place = self.last = None

    def take(self, text):
        message = json.loads(text)
        kind = message["type"]
        self.seen[kind] = self.seen.get(kind, 0) + 1
        check_value(message)
        assert re.fullmatch("0x[0-9a-f]{64}", message["txHash"]), message
        if kind == "event":
            assert list(message) == EVENT, list(message)
            place = (message["blockNumber"], message["logIndex"])
            assert self.place is None or place > self.place, (self.place, message)
            number = message["maticvigil_event_id"]
            assert self.number is None or number == self.number + 1, (self.number, message)
            assert message["event_name"] and isinstance(message["event_data"], dict), message
            assert abs(time.time() - message["ctime"]) < 3600, message
            self.place, self.number = place, number
            self.events.add(message["event_name"])
        else:
            assert kind in ("contractmon", "otm") and list(message) == TRANSACTION, message
            assert message["status"] in (0, 1) and message["gasUsed"] <= message["gas"], message
            assert (message["toAddress"] is None) == (kind == "otm"), message
            assert message["txHash"] != self.last, message
            self.last = message["txHash"]
            method, data = message["inputJSON"]["method"], message["inputJSON"]["input_data"]
            if "selector" in method:
                assert message["input"].startswith("0x" + method["selector"]), message
                assert method["hash"].startswith("0x" + method["selector"]), message
            else:
                assert list(method) == ["name"] and data == message["input"], message
            if isinstance(data, list):
                assert all(list(one) == ["param_name", "param_type", "value"] for one in data), message
            self.methods.add(method["name"])

    def enough(self):
        methods, events = {"addPost", "transfer", "sell", "ContractDeploy"}, {"NewPost", "Transfer", "Swap", "Sync"}
        return methods <= self.methods and events <= self.events and len(self.seen) == 3


def the_guides_client():
    updates, checks, ended = queue.Queue(), Checks(), []
    loop = asyncio.new_event_loop()
    task = loop.create_task(guide(Redirected())(KEY, updates))
    thread = threading.Thread(target=lambda: ended.append(loop.run_until_complete(task)))
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while not checks.enough():
            assert time.monotonic() < deadline, (checks.seen, checks.methods, checks.events)
            checks.take(updates.get(timeout=PATIENCE))
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(PATIENCE)
    assert ended == [None], "it ends by itself"
    print(checks.seen)


def receive(connection):
    return json.loads(connection.recv(timeout=PATIENCE))


def heartbeats_and_the_end():
    with connect(URL) as connection:
        connection.send(json.dumps({"command": "register", "key": KEY}))
        ack = receive(connection)
        assert list(ack) == ["command", "sessionID"] and ack["command"] == "register:ack", ack
        heartbeat = {"command": "heartbeat", "sessionID": ack["sessionID"]}
        connection.send(json.dumps(heartbeat))
        answers = 0
        while answers < 1:
            message = receive(connection)
            if "command" in message:
                assert message == heartbeat, message
                answers += 1
        connection.send(json.dumps({"command": "unregister", "key": KEY}))
        while "command" not in (message := receive(connection)):
            pass
        assert message == {"command": "unregister:ack"}, message
        try:
            message = receive(connection)
            raise AssertionError(f"nothing comes after it, not {message}")
        except websockets.exceptions.ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 1000, closed


def a_wrong_key():
    with connect(URL) as connection:
        connection.send(json.dumps({"command": "register", "key": KEY + "?"}))
        assert receive(connection) == {"command": "register:nack"}
        try:
            receive(connection)
            raise AssertionError("it is closed")
        except websockets.exceptions.ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 1008, closed


for check in [the_guides_client, heartbeats_and_the_end, a_wrong_key]:
    check()
    print(f"{check.__name__}: ok")
