"""The life of a python-socketio client, told in lines of JSON: see lives.mjs, where the stock client's is.

usage: client.py sync|asyncio URL TOPIC TOKEN TRANSPORT,… [recover]
"""

import asyncio
import json
import sys

import socketio

MAKE, URL, TOPIC, TOKEN, TRANSPORTS = sys.argv[1:6]
TRANSPORTS = TRANSPORTS.split(",")
RECOVERS = sys.argv[6:] == ["recover"]
AUTH = {"token": TOKEN, **({"recover": True} if RECOVERS else {})}
BACK_SOON = {"reconnection_delay": 0.05, "reconnection_delay_max": 0.2}


def tell(what, value=None):
    print(json.dumps({"what": what, "value": value}), flush=True)


def listen(client):
    """What both makes tell in the same words."""
    client.on("connect_error", lambda reason=None: tell("refused", reason))
    client.on("disconnect", lambda reason=None: tell("gone", reason))
    if RECOVERS:
        client.on(TOPIC, lambda payload, meta, offset: tell("received", payload["n"]))
    else:
        client.on(TOPIC, lambda payload, meta: tell("received", payload["n"]))


def sync():
    refused = socketio.Client(reconnection=False)
    listen(refused)
    try:
        refused.connect(URL, transports=TRANSPORTS, auth={"token": "forged"})
    except socketio.exceptions.ConnectionError:
        pass

    client = socketio.Client(**BACK_SOON)
    listen(client)

    def speak(ack):
        tell("subscribed", ack)
        client.emit(TOPIC, {"n": 1}, callback=lambda ack: tell("acked", ack))

    def connected():
        tell("connected", client.transport())
        client.emit("subscribe", {"channel": TOPIC}, callback=speak)

    client.on("connect", connected)
    client.connect(URL, transports=TRANSPORTS, auth=AUTH)
    # Until it is told to stay away.
    client.wait()


async def asynchronous():
    refused = socketio.AsyncClient(reconnection=False)
    listen(refused)
    try:
        await refused.connect(URL, transports=TRANSPORTS, auth={"token": "forged"})
    except socketio.exceptions.ConnectionError:
        pass

    client = socketio.AsyncClient(**BACK_SOON)
    listen(client)

    async def speak(ack):
        tell("subscribed", ack)
        await client.emit(TOPIC, {"n": 1}, callback=lambda ack: tell("acked", ack))

    async def connected():
        tell("connected", client.transport())
        await client.emit("subscribe", {"channel": TOPIC}, callback=speak)

    client.on("connect", connected)
    await client.connect(URL, transports=TRANSPORTS, auth=AUTH)
    await client.wait()


if MAKE == "sync":
    sync()
else:
    asyncio.run(asynchronous())
