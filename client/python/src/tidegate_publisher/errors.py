"""Answers that are a no, as exceptions: one class for each thing that a caller may want to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Code: TypeAlias = Literal[
    "unauthenticated", "token_expired", "token_revoked", "forbidden", "unknown_channel", "not_subscribed", "no_handler",
    "no_history", "no_presence", "no_retained", "invalid_payload", "idempotency_conflict", "payload_too_large",
    "rate_limited", "over_budget", "too_many_subscriptions", "handler_failed", "handler_timeout", "unavailable", "draining",
    "internal",
    "not_found", "method_not_allowed", "unsupported_media_type", "request_timeout",
    "unreachable", "unexpected_answer",
]  # fmt: skip
"""The codes of the manual, and two of this package: no answer, and an answer that is not Tidegate's."""


@dataclass(frozen=True)
class Violation:
    """Where a payload does not match its schema."""

    path: str
    """A JSON Pointer into the payload; empty for the payload itself."""
    message: str


class TidegateError(Exception):
    """A call that the server refused, or that had no answer."""

    def __init__(
        self, code: Code, message: str, *, retry: bool = False, status: int | None = None,
        details: Mapping[str, Any] | None = None, retry_after_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.code: Code = code
        """What the refusal means."""
        self.retry = retry
        """Whether the same call may succeed later. It was tried again as often as it may be."""
        self.status = status
        """The HTTP status, where there was an answer."""
        self.details = details or {}
        self.retry_after_s = retry_after_s
        """How long the server asked to wait."""
        self.attempts = 1
        """How often the call was sent."""
        places = "".join(f"; {one.path or 'payload'}: {one.message}" for one in self.violations)
        super().__init__(f"{code}: {message}{places}")

    @property
    def violations(self) -> list[Violation]:
        """With `invalid_payload`: what is wrong, and where. Else empty."""
        return [Violation(**violation) for violation in self.details.get("violations", [])]


class Unauthenticated(TidegateError):
    """The API key is none of the server's."""


class Forbidden(TidegateError):
    """The API key may not do this."""


class UnknownChannel(TidegateError):
    """No declared channel has this topic."""


class InvalidPayload(TidegateError):
    """The payload does not match the schema: `violations` says where. Or the request is not as it should be."""


class IdempotencyConflict(TidegateError):
    """The key came with another payload before."""


class PayloadTooLarge(TidegateError):
    """`details` has the limit."""


class Temporary(TidegateError):
    """Not now: whatever the code is, the same call may succeed later."""


_CLASSES: Mapping[str, type[TidegateError]] = {
    "unauthenticated": Unauthenticated,
    "forbidden": Forbidden,
    "unknown_channel": UnknownChannel,
    "invalid_payload": InvalidPayload,
    "idempotency_conflict": IdempotencyConflict,
    "payload_too_large": PayloadTooLarge,
}


def refusal_of(error: Mapping[str, Any], status: int | None = None, retry_after_s: float = 0.0) -> TidegateError:
    """The exception of `{ code, message, retry, details? }`."""
    retry = bool(error.get("retry"))
    kind = Temporary if retry else _CLASSES.get(error["code"], TidegateError)
    return kind(
        error["code"], error.get("message", ""), retry=retry, status=status, details=error.get("details"),
        retry_after_s=retry_after_s,
    )  # fmt: skip
