"""The calls, without any I/O: each is a generator that says what to send and how long to pause, until it has its answer.

Every request may be sent twice without harm: a publish has an idempotency key, an event its id, and a revocation may be
repeated.
"""

import json
import random
import time
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

import httpx

from .errors import Temporary, TidegateError, refusal_of
from .topics import Publication
from .words import Event, Receipt, Revoked

PAUSE_S_MIN = 0.1
PAUSE_S_MAX = 5.0
# The server remembers an idempotency key for five minutes; a call that lasted longer could publish twice.
DEADLINE_S_MAX = 240.0
# Statuses of whatever stands before the server, after which the same request may succeed.
PASSING = {408, 425, 429, 502, 503, 504}

R = TypeVar("R")


@dataclass(frozen=True)
class Settings:
    """How often and how long a call is tried."""

    source: str | None
    timeout_s: float
    deadline_s: float
    attempts: int

    def __post_init__(self) -> None:
        for name in ("timeout_s", "deadline_s", "attempts"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be above 0, found {getattr(self, name)}")
        if self.deadline_s > DEADLINE_S_MAX:
            raise ValueError(
                f"`deadline_s` may be {DEADLINE_S_MAX:.0f} at most: the server forgets idempotency keys after five minutes"
            )


@dataclass(frozen=True)
class Send:
    """A request to send; the driver sends back an `httpx.Response`, or the exception in its place."""

    path: str
    body: bytes
    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    """A time to wait."""

    seconds: float


Outcome: TypeAlias = httpx.Response | httpx.HTTPError | None
Call: TypeAlias = Generator[Send | Pause, Outcome, R]


def publish(settings: Settings, publication: Publication[Any]) -> Call[Receipt]:
    """`POST /v1/channels/{topic}/publish`."""
    headers = {"idempotency-key": _quoted(publication.idempotency_key or str(uuid.uuid4()))}
    path = f"/v1/channels/{quote(publication.topic, safe='')}/publish"
    return Receipt.of((yield from _insist(settings, path, _to_json(publication.payload), headers)))


def batch(settings: Settings, publications: Sequence[Publication[Any]]) -> Call[list[Receipt | TidegateError]]:
    """`POST /v1/publish`: the list; then, again and again, what of it was refused for now."""
    items = [_item(publication) for publication in publications]
    answers: dict[int, Receipt | TidegateError] = {}
    waiting = list(range(len(items)))

    def read(body: Any) -> None:
        for index, answer in zip(list(waiting), body):
            answers[index] = Receipt.of(answer) if answer["ok"] else refusal_of(answer["error"])
        waiting[:] = [index for index in waiting if isinstance(answers[index], Temporary)]
        if waiting:
            refused = answers[waiting[0]]
            assert isinstance(refused, TidegateError)
            raise refused

    try:
        if items:
            body = lambda: _to_json([items[index] for index in waiting])  # noqa: E731
            yield from _attempts(settings, "/v1/publish", body, {}, read)
    except TidegateError:
        # Without any answer the call failed; else each publication has its own, the last one that it got.
        if not answers:
            raise
    return [answers[index] for index in range(len(items))]


def events(settings: Settings, events: Sequence[Event]) -> Call[int]:
    """`POST /v1/events`: all or none."""
    headers = {"content-type": "application/cloudevents-batch+json"}
    body = yield from _insist(settings, "/v1/events", _to_json([_cloud_event(settings, event) for event in events]), headers)
    return int(body["accepted"])


def revoke(settings: Settings, revocation: Mapping[str, Any]) -> Call[Revoked]:
    """`POST /v1/revoke`."""
    given = {name: value for name, value in revocation.items() if value is not None}
    if not given.keys() & {"user", "token", "topic"}:
        raise ValueError("name at least one of `user`, `token` and `topic`")
    body = yield from _insist(settings, "/v1/revoke", _to_json(given), {})
    return Revoked(body["revocation"], **body["here"])


def _insist(settings: Settings, path: str, body: bytes, headers: Mapping[str, str]) -> Call[Any]:
    return (yield from _attempts(settings, path, lambda: body, headers, lambda answer: answer))


def _attempts(settings: Settings, path: str, body: Any, headers: Mapping[str, str], read: Any) -> Call[Any]:
    end = time.monotonic() + settings.deadline_s
    tried = 0
    while True:
        tried += 1
        left_s = max(0.001, end - time.monotonic())
        outcome = yield Send(path, body(), min(settings.timeout_s, left_s), headers)
        try:
            return read(_answer_of(outcome))
        except TidegateError as error:
            error.attempts = tried
            # As long as the server asks for, and on top of it a random part of a time that doubles.
            pause_s = error.retry_after_s + random.uniform(0, min(PAUSE_S_MAX, PAUSE_S_MIN * 2**tried))
            if not error.retry or tried >= settings.attempts or time.monotonic() + pause_s >= end:
                raise
        yield Pause(pause_s)


def _answer_of(outcome: Outcome) -> Any:
    if not isinstance(outcome, httpx.Response):
        raise Temporary("unreachable", str(outcome) or type(outcome).__name__, retry=True) from outcome
    try:
        body = outcome.json()
    except ValueError:
        body = None
    if outcome.is_success and body is not None:
        return body
    retry_after_s = _wait_of(outcome.headers.get("retry-after"))
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and isinstance(error.get("code"), str):
        raise refusal_of(error, outcome.status_code, retry_after_s)
    message = (
        f"the answer is no answer of Tidegate (status {outcome.status_code}): "
        "is `url` the address of the server, and of what stands before it?"
    )
    retry = outcome.status_code in PASSING
    kind = Temporary if retry else TidegateError
    raise kind("unexpected_answer", message, status=outcome.status_code, retry=retry, retry_after_s=retry_after_s)


def _wait_of(value: str | None) -> float:
    """RFC 9110, 10.2.3: seconds, or a date."""
    if value is None:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _item(publication: Publication[Any]) -> dict[str, object]:
    key = publication.idempotency_key or str(uuid.uuid4())
    _quoted(key)
    return {"topic": publication.topic, "payload": publication.payload, "idempotency_key": key}


def _cloud_event(settings: Settings, event: Event) -> dict[str, object]:
    source = event.source or settings.source
    if not source:
        raise ValueError(
            f'the event `{event.type}` has no `source`: name it there, or once for all in Publisher(source="/shop")'
        )
    return {
        "specversion": "1.0",
        "type": event.type,
        "source": source,
        "id": event.id or str(uuid.uuid4()),
        "time": event.time or datetime.now(timezone.utc).isoformat(),
        **({"subject": event.subject} if event.subject is not None else {}),
        **event.attributes,
        "data": event.data,
    }


def _to_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _quoted(key: str) -> str:
    """As RFC 9651 writes a string; the server takes printable ASCII."""
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise ValueError("an idempotency key has 1 to 255 printable ASCII characters")
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
