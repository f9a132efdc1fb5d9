"""Flow's guide for Python, with its library `websocket-client` and its calls: WebSocketApp with four
callbacks, the registration sent once the welcome came, run_forever with pings."""

import json
import sys
import threading

import websocket

from flow_checks import URL, WELCOME, Stream, check_registered, register

ENOUGH = 10
PATIENCE = 40

heard = []
failures = []
stream = Stream(["contract_event"], ["USDC"])


def on_open(app):
    heard.append("open")


def on_message(app, text):
    try:
        message = json.loads(text)
        if message["type"] == "welcome":
            assert heard == ["open"] and message == WELCOME, (heard, message)
            heard.append("welcome")
            app.send(register(types=["contract_event"], account_ids=[], asset_codes=["USDC"], min_amount=""))
        elif message["type"] == "registered":
            assert heard == ["open", "welcome"], heard
            check_registered(message, types=["contract_event"], asset_codes=["USDC"])
            heard.append("registered")
        else:
            assert heard == ["open", "welcome", "registered"], (heard, message)
            stream.take(message)
            assert message["contract_id"].startswith("C") and message["topics"], message
            if stream.events == ENOUGH:
                app.close()
    # The library only logs what a callback throws.
    except Exception as error:
        failures.append(repr(error))
        app.close()


def on_error(app, error):
    failures.append(repr(error))


def on_close(app, code, reason):
    heard.append("close")


app = websocket.WebSocketApp(URL, on_open=on_open, on_message=on_message, on_error=on_error, on_close=on_close)
late = threading.Timer(PATIENCE, app.close)
late.daemon = True
late.start()
app.run_forever(ping_interval=1, ping_timeout=0.9)

if failures or stream.events < ENOUGH or heard != ["open", "welcome", "registered", "close"]:
    sys.exit(f"{stream.events} events; heard {heard}; failures {failures}")
print(f"{stream.events} USDC contract events, each as filtered")
