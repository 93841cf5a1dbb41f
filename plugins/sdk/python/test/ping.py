"""A plugin of both kinds, which the tests build into a component."""

import random
from dataclasses import asdict, dataclass

import tidegate_plugin
from tidegate_plugin import (
    Action, Context, Decision, Outcome, allow, authorizer, clock, config, deny, emit, handler, log, publish,
)
from words import REFUSALS


@dataclass
class Ping:
    """What the channel takes: what to do, and with what."""

    do: str
    n: int = 0
    text: str = ""


@handler
def handle(context: Context, payload: Ping) -> Outcome | None:
    match payload.do:
        case "ping":
            pong = {"pong": payload.n}
            return Outcome(pong, [emit("realtime-ping", pong), publish("ping.seen", {"n": payload.n}, "ping")])
        case "others":
            return Outcome(effects=[emit("realtime-ping", {"pong": payload.n}, to="others")])
        case "context":
            return Outcome(asdict(context))
        case "refuse":
            raise REFUSALS[payload.text]("as asked 🦊")
        case "echo":
            return Outcome({"text": payload.text, "length": len(payload.text)})
        case "config":
            return Outcome([config("greeting"), config("missing"), config("missing", "default")])
        case "log":
            log.warn("seen 🦊", n=payload.n, who=context.user)
            return Outcome()
        case "host":
            begun_us = clock.monotonic_us()
            return Outcome({
                "now_ms": clock.now_ms(), "passed_us": clock.monotonic_us() - begun_us,
                "bytes": len(tidegate_plugin.random.bytes(16)), "python": random.getrandbits(48),
                "host": str(tidegate_plugin.random.next_u64()),
            })
        case "bug":
            return Outcome(1 // payload.n)
        case "exit":
            raise SystemExit(3)
        case "recurse":
            return handle(context, payload)
        case "loop":
            while True:
                pass
        case "hog":
            kept = []
            while True:
                kept.append(bytearray(b"\1") * (1 << 20))
        case "surrogate":
            return Outcome("\ud83e")
        case "dict":
            return {"not": "an outcome"}
    return None


@authorizer
def authorize(context: Context, action: Action, payload: object) -> Decision:
    if context.user is None:
        return deny("members only")
    if "broken" in context.user.roles:
        raise LookupError("no list of members")
    if action is Action.SEND:
        return allow()
    return allow(ttl_ms=1000) if context.user.id in config("members") else deny(f"{context.user.id} is no member")
