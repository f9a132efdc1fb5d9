"""The library `websockets` over TLS with an access token, in each place where it may stand. With the
argument `revoke`: what happens to a client whose token is taken back."""

import json
import os
import signal
import ssl
import sys
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from flow_checks import WELCOME, Stream, check_registered, register

HOST = os.environ["SECURE_HOST"]
TOKEN = os.environ["TOKEN"]
TRUST = ssl.create_default_context(cafile=os.environ["CERTIFICATE"])


@contextmanager
def opened(token, place="header"):
    url, options = f"wss://{HOST}/ws", {}
    if place == "query":
        url += f"?token={token}"
    elif place == "subprotocol":
        options["subprotocols"] = ["bearer", token]
    else:
        options["additional_headers"] = {"Authorization": f"Bearer {token}"}
    with connect(url, ssl=TRUST, **options) as connection:
        assert connection.subprotocol == ("bearer" if place == "subprotocol" else None)
        assert json.loads(connection.recv(timeout=20)) == WELCOME
        connection.send(register())
        check_registered(json.loads(connection.recv(timeout=20)))
        yield connection


def everything_is_whole():
    for place in ["header", "subprotocol", "query"]:
        with opened(TOKEN, place) as connection:
            stream = Stream()
            while stream.events < 100:
                stream.take(json.loads(connection.recv(timeout=20)))


def others_stay_out():
    for token in ["", "x" * 64]:
        try:
            with opened(token):
                raise AssertionError("nobody comes in without a token")
        except InvalidStatus as refused:
            assert refused.response.status_code == 401, refused


def a_token_is_taken_back():
    other = os.environ["OTHER"]
    with opened(TOKEN) as closed, opened(other) as stays:
        with open("tokens", "w", encoding="utf-8") as tokens:
            tokens.write(other + "\n")
        os.kill(int(os.environ["SERVER"]), signal.SIGHUP)
        last = None
        try:
            while True:
                last = json.loads(closed.recv(timeout=20))
        except ConnectionClosed as end:
            assert end.rcvd.code == 1008, end
        assert (last["type"], last["code"]) == ("error", "unauthorized"), last
        for _ in range(50):
            stays.recv(timeout=20)


tests = [a_token_is_taken_back] if sys.argv[1:] == ["revoke"] else [everything_is_whole, others_stay_out]
for test in tests:
    test()
    print(f"Python, {test.__name__}: ok", flush=True)
