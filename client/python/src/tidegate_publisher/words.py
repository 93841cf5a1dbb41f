"""What a caller hands over, and what it gets back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Position:
    """The place of a publication in the history of its topic."""

    epoch: str
    offset: int


@dataclass(frozen=True)
class Receipt:
    """The answer to a publish."""

    position: Position | None = None
    """On a channel that keeps a history."""
    stale: bool = False
    """Its version is not newer than the last one of its key: it went to nobody."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Receipt":
        position = body.get("position")
        return cls(Position(**position) if position else None, body.get("stale", False))


@dataclass(frozen=True)
class Event:
    """A CloudEvent for the bus. `id`, `time` and the publisher's `source` are filled in where they are left out."""

    type: str
    data: object = None
    subject: str | None = None
    source: str | None = None
    id: str | None = None
    time: str | None = None
    attributes: Mapping[str, str | bool | int | float] = field(default_factory=dict)
    """Extension attributes, in lower case."""


@dataclass(frozen=True)
class Revoked:
    """What a revocation ended on the node that was asked."""

    revocation: Mapping[str, Any]
    sessions: int
    subscriptions: int
    rechecked: int
