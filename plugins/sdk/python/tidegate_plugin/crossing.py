"""What transforms and connection listeners are told. Everything has a default, so that a unit test names only what it is about."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .context import User


@dataclass(frozen=True)
class Event:
    """A bus event: a CloudEvent 1.0."""

    kind: str = ""
    """Its `type`."""
    source: str = ""
    id: str = ""
    subject: str | None = None
    time: str | None = None
    """As RFC 3339 writes it."""
    data: Any = None
    """All of its `data`, whatever the rule's `payload` made of it."""


@dataclass(frozen=True)
class Crossing:
    """An event on its way to a topic."""

    event: Event = field(default_factory=Event)
    topic: str = ""
    """Where the rule leads."""
    deadline_ms: int = 0
    """The wall-clock time the call may take, in milliseconds. The host enforces it."""


class Phase(StrEnum):
    """What happened to a connection."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True)
class Peer:
    """A connection that came or went."""

    connection_id: str = ""
    user: User | None = None
    """None on an anonymous connection."""
    received_at_ms: int = 0
    """When the host made this call, in milliseconds since the Unix epoch."""
    deadline_ms: int = 0
    """The wall-clock time the call may take, in milliseconds. The host enforces it."""
