"""The guest of `tests/e2e/guest.mjs` in Python: of every kind, and does what a message asks for."""

import random as python_random
import re
import time
from dataclasses import asdict, dataclass
from typing import Any, NotRequired, TypedDict

from refusals import REFUSALS
from tidegate_plugin import (
    DROP, Action, Context, Crossing, Decision, Failed, InvalidPayload, Outcome, Peer, Phase, allow, authorizer, cannot_tell,
    clock, config, connection, deny, emit, handler, http, kv, log, publish, queries, random, remove, remove_all, secrets, snapshot, transform,
)
from tidegate_plugin.errors import Conflict, HostError


class Field(TypedDict):
    name: NotRequired[str]


@dataclass
class Order:
    """What the channel takes: what to do, and with what."""

    n: int | None = None
    others: int | None = None
    gone: int | None = None
    cleared: bool = False
    echo: Any = None
    context: bool = False
    config: str | None = None
    log: str | None = None
    host: bool = False
    own: bool = False
    field: Field | None = None
    value: Any = None
    secret: str | None = None
    kv: dict[str, Any] | None = None
    query: dict[str, Any] | None = None
    fetch: dict[str, Any] | None = None
    unwritable: bool = False
    refuse: str | None = None
    crash: bool = False
    recurse: bool = False
    spin: bool = False
    hog: bool = False
    python: str | None = None


def told(context: Context) -> dict[str, Any]:
    pairs = {name: list(map(list, getattr(context, name).items())) for name in ("params", "attributes")}
    return asdict(context) | pairs


def host() -> dict[str, Any]:
    return {
        "now_ms": clock.now_ms(), "sooner_us": clock.monotonic_us(), "later_us": clock.monotonic_us(),
        "bytes": random.bytes(16).hex(), "number": str(random.next_u64()),
    }


def own() -> dict[str, Any]:
    """What the language itself draws and reads."""
    return {"random": str(python_random.getrandbits(48)), "now_ms": int(time.time() * 1000)}


def keep(op: str, bucket: str, key: str, text: str = "", **how: Any) -> dict[str, Any]:
    kept = kv.Bucket(bucket)
    match op:
        case "get":
            entry = kept.get(key)
            return {"entry": entry and {"text": entry.text, "revision": entry.revision}}
        case "put":
            return {"revision": kept.put(key, text, **how)}
        case "delete":
            return {"existed": kept.delete(key, **how)}
        case "increment":
            return {"sum": kept.increment(key, **how)}
    return {"keys": kept.keys(key, **how)}


def fetch(method: str, url: str, asked: str, body: str | None = None) -> dict[str, Any]:
    response = http.send(url, method=method, headers={"x-asked": asked}, body=body)
    return {"status": response.status, "answered": response.header("X-Answered"), "body": response.text}


def granted(order: Order) -> dict[str, Any] | None:
    """What is granted, or why it is not to be had."""
    try:
        if order.secret is not None:
            return {"secret": secrets.get(order.secret)}
        if order.kv is not None:
            return keep(**order.kv)
        if order.query is not None:
            return {"rows": queries.run(order.query["name"], *order.query["params"])}
        return None if order.fetch is None else fetch(**order.fetch)
    except Conflict as conflict:
        return {"error": "conflict", "revision": conflict.revision}
    except HostError as error:
        return {"error": re.sub("(?<!^)([A-Z])", r"-\1", type(error).__name__).lower()}


def misbehave(order: Order) -> None:
    """The mistakes."""
    if order.crash:
        1 // 0
    if order.recurse:
        misbehave(order)
    while order.spin:
        pass
    kept = []
    while order.hog:
        kept.append(bytearray(b"\1") * (1 << 20))


def mistake_of_python(order: Order) -> Any:
    match order.python:
        case "exit":
            raise SystemExit(3)
        case "surrogate":
            return Outcome("\ud83e")
        case "dict":
            return {"not": "an outcome"}


@handler
def handle(context: Context, order: Order) -> Outcome | None:
    misbehave(order)
    if order.python is not None:
        return mistake_of_python(order)
    if order.n is not None:
        pong, user = {"pong": order.n}, context.user.id if context.user else None
        return Outcome(pong, [emit(context.topic, pong), publish("ping.seen", {"n": order.n}, user)])
    if order.others is not None:
        return Outcome(effects=[emit(context.topic, {"pong": order.others}, to="others")])
    if order.gone is not None:
        return Outcome(effects=[remove(context.topic, order.gone)])
    if order.cleared:
        return Outcome(effects=[remove_all(context.topic)])
    if order.echo is not None:
        return Outcome(order.echo)
    if order.context:
        return Outcome(told(context))
    if order.config is not None:
        return Outcome(config(order.config))
    if order.log is not None:
        log.warn(order.log, colour="blue")
        return None
    if order.host:
        return Outcome(host())
    if order.own:
        return Outcome(own())
    if order.field is not None:
        return Outcome(order.field.get("name"))
    if order.value is not None:
        return Outcome(order.value)
    if (had := granted(order)) is not None:
        return Outcome(had)
    if order.unwritable:
        return Outcome({"n": float("nan")})
    if order.refuse is not None:
        raise REFUSALS[order.refuse]("no 🦊 today")
    raise InvalidPayload("what is to be done?")


@authorizer
def authorize(context: Context, action: Action, payload: Any) -> Decision:
    """Members of a vault may join it and send on it; nobody may say `crash` there."""
    vault = context.params.get("vaultId", "broken")
    if vault == "broken":
        raise Failed("the vault is broken")
    if vault == "away":
        return cannot_tell("the vault is away")
    if action is Action.SEND and isinstance(payload, dict):
        misbehave(Order(**payload))
    if context.user is not None and context.user.id in config("members").get(vault, []):
        return allow()
    return deny(f"no member of vault `{vault}`")


@snapshot
def provide(context: Context) -> list[Any]:
    """As many payloads as the topic says, and who asked."""
    what = context.params["what"]
    misbehave(Order(crash=what == "crash"))
    if not what.isdecimal():
        raise Failed(f"no state of `{what}`")
    return [{"n": n, "to": context.user.id} for n in range(int(what))]


@transform
def apply(crossing: Crossing, cents: int) -> Any:
    """Orders of 0 do not cross, and those below are none."""
    if cents < 0:
        raise Failed(f"a refund of {-cents} is no order")
    event = asdict(crossing.event)
    return DROP if cents == 0 else {"type": event.pop("kind")} | event | {"cents": cents, "topic": crossing.topic}


@connection
def changed(peer: Peer, phase: Phase) -> list[Any]:
    """Tells the lobby and the bus."""
    user = peer.user.id if peer.user else None
    if user == "broken" and phase is Phase.CONNECTED:
        raise Failed("not at home to `broken`")
    told = {"phase": phase, "user": user, "connection": peer.connection_id}
    return [emit("lobby", told, to="others"), publish(f"connection.{phase}", told)]
