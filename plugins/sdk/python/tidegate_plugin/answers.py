"""What a plugin answers: the outcome of a message with its effects, and the decision of an authorizer."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from .context import User

TTL_MS_MAX = 2**32 - 1
ABSENT: Any = object()
"""The reply of an outcome without one. `None` is a reply: JSON's `null`."""


DROP: Any = object()
"""What a transform returns for an event that should not cross."""


def json_text(value: Any) -> str:
    """The value as JSON text that the host can read. TypeError or ValueError where it has none."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half of a surrogate pair has no UTF-8, and the bindings would trap on it.
    text.encode("utf-8")
    return text


@dataclass(frozen=True)
class Emit:
    """Publish a payload on a topic."""

    topic: str
    payload: str
    to: Literal["everyone", "others"]


@dataclass(frozen=True)
class Publish:
    """Put an event on the bus."""

    kind: str
    data: str
    subject: str | None


@dataclass(frozen=True)
class Remove:
    """Take retained values of a topic away: of one key, as JSON text, or of all."""

    topic: str
    key: str | None


Effect = Emit | Publish | Remove


def emit(topic: str, payload: Any, to: Literal["everyone", "others"] = "everyone") -> Emit:
    """Publish a payload on a topic; `others` leaves out the sender. Needs the topic's channel in `grants.emit`."""
    if to not in ("everyone", "others"):
        raise ValueError(f"`to`: expected `everyone` or `others`, found {to!r}")
    return Emit(_text("topic", topic), json_text(payload), to)


def publish(kind: str, data: Any, subject: str | None = None) -> Publish:
    """Put a CloudEvent of type `kind` on the bus. Needs the type in `grants.publish`."""
    return Publish(_text("kind", kind), json_text(data), None if subject is None else _text("subject", subject))


def remove(topic: str, key: Any) -> Remove:
    """Take the retained value of a key away. Needs the topic's channel in `grants.emit`."""
    return Remove(_text("topic", topic), json_text(key))


def remove_all(topic: str) -> Remove:
    """Take every retained value of a topic away. Needs the topic's channel in `grants.emit`."""
    return Remove(_text("topic", topic), None)


@dataclass(frozen=True)
class Outcome:
    """The answer to a message: what the sender gets in the ack, and what should happen, in this order."""

    reply: Any = ABSENT
    effects: list[Effect] = field(default_factory=list)


class Action(StrEnum):
    """What a connection wants to do."""

    CONNECT = "connect"
    SUBSCRIBE = "subscribe"
    SEND = "send"


@dataclass(frozen=True)
class Decision:
    """What `allow`, `deny` or `cannot_tell` answers."""

    denied: str | None = None
    ttl_ms: int = 0
    user: User | None = None
    unknown: str | None = None


def allow(ttl_ms: int = 0, user: User | None = None) -> Decision:
    """Yes. For `ttl_ms` milliseconds (at most an hour counts; 0: ask every time) the host may answer the same question
    (user, action, topic) by itself; an answer about one message's payload must say 0. `user` is whom a credential
    belongs to; it is read on `connect` only."""
    if not isinstance(ttl_ms, int) or not 0 <= ttl_ms <= TTL_MS_MAX:
        raise ValueError(f"`ttl_ms`: expected whole milliseconds from 0 to {TTL_MS_MAX}, found {ttl_ms!r}")
    if user is not None and not isinstance(user, User):
        raise TypeError(f"`user`: expected a User, found {user!r}")
    return Decision(ttl_ms=ttl_ms, user=user)


def deny(sentence: str) -> Decision:
    """No. The sentence goes to the log, never to the client."""
    return Decision(denied=str(sentence))


def cannot_tell(sentence: str) -> Decision:
    """Neither: what the answer depends on is away. The client may try again; what it holds already it keeps. The sentence
    goes to the log, never to the client. What `queries`, `http` or `kv` raise when they are away answers so by itself."""
    return Decision(unknown=str(sentence))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{name}`: expected a text, found {value!r}")
    value.encode("utf-8")
    return value
