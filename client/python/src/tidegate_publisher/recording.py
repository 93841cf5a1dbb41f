"""The recording publisher, for unit tests: the publisher itself, before a judge in place of the server.

Needs the extra: `pip install tidegate-publisher[recording]`.
"""

import json
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import unquote

import httpx

from .errors import Code
from .manifests import Channels
from .publisher import AsyncPublisher, Publisher

# The codes that a publisher can hear: their status, and whether the same call may succeed later.
_REFUSALS: dict[str, tuple[int, bool]] = {
    "unauthenticated": (401, False),
    "forbidden": (403, False),
    "unknown_channel": (404, False),
    "invalid_payload": (422, False),
    "idempotency_conflict": (422, False),
    "payload_too_large": (413, False),
    "rate_limited": (429, True),
    "over_budget": (429, True),
    "unavailable": (503, True),
    "draining": (503, True),
    "internal": (500, True),
}


class RecordedPublication(TypedDict):
    """A publication as the subscribers would have received it: the payload is what JSON makes of what was published."""

    topic: str
    channel: str
    payload: Any
    idempotency_key: str


class Record:
    """Answers as the server does, and keeps what it would have delivered."""

    def __init__(self, channels: str | Path) -> None:
        self.publications: list[RecordedPublication] = []
        """What was published, in order."""
        self.bus_events: list[dict[str, Any]] = []
        """The CloudEvents that were put on the bus, in order."""
        self.revocations: list[dict[str, Any]] = []
        """What was taken back, in order."""
        self._channels = Channels(Path(channels))
        self._failures: list[Code] = []
        self._keys: dict[tuple[str, str], Any] = {}

    def fail(self, code: Code, times: int = 1) -> None:
        """Refuses the next requests with this code."""
        if code != "unreachable" and code not in _REFUSALS:
            raise ValueError(f"`{code}` is no code that a publisher can hear")
        self._failures.extend([code] * times)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the server would say."""
        body = json.loads(request.content)
        if self._failures:
            code = self._failures.pop(0)
            if code == "unreachable":
                raise httpx.ConnectError("the test said so")
            return _refused(_refusal(code, "the test said so"))
        path = request.url.raw_path.decode()
        if path == "/v1/publish":
            refusals = [self._publish(item["topic"], item["payload"], item["idempotency_key"]) for item in body]
            return httpx.Response(200, json=[{"ok": False, "error": one} if one else {"ok": True} for one in refusals])
        if path == "/v1/events":
            return self._put(body)
        if path == "/v1/revoke":
            return self._revoke(body)
        key = request.headers["idempotency-key"][1:-1].replace('\\"', '"').replace("\\\\", "\\")
        refusal = self._publish(unquote(path.split("/")[3]), body, key)
        return _refused(refusal) if refusal else httpx.Response(202, json={})

    def _publish(self, topic: str, payload: Any, key: str) -> dict[str, Any] | None:
        if (topic, key) in self._keys:
            if self._keys[topic, key] == payload:
                return None
            return _refusal("idempotency_conflict", "this idempotency key was used with another body")
        channel = self._channels.of(topic)
        if channel is None:
            return _refusal("unknown_channel", f"no channel below `{self._channels.directory}` has the topic `{topic}`")
        violations = channel.violations(payload)
        if violations:
            message = f"the payload does not match the schema of `{channel.name}`"
            return _refusal("invalid_payload", message, {"violations": violations})
        self._keys[topic, key] = payload
        self.publications.append(
            {"topic": topic, "channel": channel.name, "payload": payload, "idempotency_key": key}
        )
        return None

    def _put(self, events: list[dict[str, Any]]) -> httpx.Response:
        for event in events:
            if not event["type"] or event["type"].startswith("tidegate."):
                message = f"`{event['type']}` is no type of an event: a text that does not begin with `tidegate.`"
                return _refused(_refusal("invalid_payload", message), 400)
        self.bus_events.extend(events)
        return httpx.Response(202, json={"accepted": len(events)})

    def _revoke(self, revocation: dict[str, Any]) -> httpx.Response:
        topic = revocation.get("topic")
        if topic is not None and self._channels.of(topic) is None:
            return _refused(_refusal("unknown_channel", "no channel has this name"))
        self.revocations.append(revocation)
        here = {"sessions": 0, "subscriptions": 0, "rechecked": 0}
        return httpx.Response(202, json={"revocation": revocation, "here": here})


def _refusal(code: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    refusal = {"code": code, "message": message, "retry": _REFUSALS[code][1]}
    return {**refusal, "details": details} if details else refusal


def _refused(refusal: dict[str, Any], status: int | None = None) -> httpx.Response:
    return httpx.Response(status or _REFUSALS[refusal["code"]][0], json={"error": refusal})


class RecordingPublisher(Publisher):
    """A publisher that sends nothing. It judges topics and payloads by the manifests and keeps what it accepts."""

    def __init__(
        self, channels: str | Path = "channels", *, source: str | None = None, attempts: int = 1, deadline_s: float = 15.0
    ) -> None:
        self.recorded = Record(channels)
        transport = httpx.MockTransport(self.recorded.answer)
        super().__init__(
            "http://recording.invalid", "recording", source=source, attempts=attempts, deadline_s=deadline_s, transport=transport
        )


class AsyncRecordingPublisher(AsyncPublisher):
    """The same for asyncio."""

    def __init__(
        self, channels: str | Path = "channels", *, source: str | None = None, attempts: int = 1, deadline_s: float = 15.0
    ) -> None:
        self.recorded = Record(channels)
        transport = httpx.MockTransport(self.recorded.answer)
        super().__init__(
            "http://recording.invalid", "recording", source=source, attempts=attempts, deadline_s=deadline_s, transport=transport
        )
