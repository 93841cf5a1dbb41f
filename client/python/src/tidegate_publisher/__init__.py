"""Publishes to Tidegate from a backend. `recording` has the double for unit tests."""

from .errors import (
    Code,
    Forbidden,
    IdempotencyConflict,
    InvalidPayload,
    PayloadTooLarge,
    Temporary,
    TidegateError,
    Unauthenticated,
    UnknownChannel,
    Violation,
)
from .publisher import AsyncPublisher, Publisher
from .topics import Channel, Publication, Topic
from .words import Event, Position, Receipt, Revoked

__all__ = [
    "AsyncPublisher",
    "Channel",
    "Code",
    "Event",
    "Forbidden",
    "IdempotencyConflict",
    "InvalidPayload",
    "PayloadTooLarge",
    "Position",
    "Publication",
    "Publisher",
    "Receipt",
    "Revoked",
    "Temporary",
    "TidegateError",
    "Topic",
    "Unauthenticated",
    "UnknownChannel",
    "Violation",
]
