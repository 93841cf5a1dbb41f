"""The publisher, for threads and for asyncio. Both drive the same calls."""

import asyncio
import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import httpx

from . import calls
from .calls import Call, Outcome, Pause, Send, Settings
from .errors import TidegateError
from .topics import Publication
from .words import Event, Receipt, Revoked

R = TypeVar("R")


def _client_options(url: str | None, key: str | None) -> dict[str, Any]:
    url, key = url or os.environ.get("TIDEGATE_URL", ""), key or os.environ.get("TIDEGATE_API_KEY", "")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"`url` is the address of the server, http://127.0.0.1:3000; found {url!r}")
    if not (key.isascii() and key.isprintable() and key and " " not in key):
        raise ValueError(
            "`key` is the API key of this backend, from `api_keys` of the server's configuration; "
            "without it TIDEGATE_API_KEY is read"
        )
    return {"base_url": url, "headers": {"content-type": "application/json", "authorization": f"Bearer {key}"}}


class Publisher:
    """Publishes from threads. One is enough for a process; it keeps connections, and `close` ends them.

    `url` and `key` come from TIDEGATE_URL and TIDEGATE_API_KEY where they are left out. `source` is the one of events
    that name none. An attempt takes `timeout_s` at most, a call with all its attempts `deadline_s`.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, source: str | None = None, timeout_s: float = 5.0,
        deadline_s: float = 15.0, attempts: int = 5, transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._settings = Settings(source, timeout_s, deadline_s, attempts)
        self._client = httpx.Client(**_client_options(url, key), transport=transport)

    @overload
    def publish(self, what: Publication[Any], /) -> Receipt: ...
    @overload
    def publish(self, what: str, payload: object, /, *, idempotency_key: str | None = None) -> Receipt: ...
    def publish(self, what: Publication[Any] | str, payload: object = None, /, *, idempotency_key: str | None = None) -> Receipt:
        """Publishes once, however often it has to be sent: what `Topic.of` made, or any payload on a topic by its name."""
        publication = Publication(what, payload, idempotency_key) if isinstance(what, str) else what
        return self._run(calls.publish(self._settings, publication))

    def batch(self, publications: Sequence[Publication[Any]]) -> list[Receipt | TidegateError]:
        """Publishes a list in its order, each for itself. What is refused for now is sent again, after the others."""
        return self._run(calls.batch(self._settings, publications))

    def events(self, *events: Event) -> int:
        """Puts events on the bus: all or none. Returns how many."""
        return self._run(calls.events(self._settings, events))

    def revoke(
        self, *, user: str | None = None, token: str | None = None, topic: str | None = None,
        issued_before: int | None = None, reason: str | None = None,
    ) -> Revoked:  # fmt: skip
        """Takes back credentials or subscriptions: at least one of `user`, `token` and `topic`; together they narrow."""
        named = {"user": user, "token": token, "topic": topic, "issued_before": issued_before, "reason": reason}
        return self._run(calls.revoke(self._settings, named))

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self, call: Call[R]) -> R:
        outcome: Outcome = None
        while True:
            try:
                step = call.send(outcome)
            except StopIteration as done:
                result: R = done.value
                return result
            outcome = self._step(step)

    def _step(self, step: Send | Pause) -> Outcome:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._client.post(step.path, content=step.body, headers=step.headers, timeout=step.timeout_s)
        except httpx.HTTPError as error:
            return error


class AsyncPublisher:
    """The same for asyncio."""

    def __init__(
        self, url: str | None = None, key: str | None = None, *, source: str | None = None, timeout_s: float = 5.0,
        deadline_s: float = 15.0, attempts: int = 5, transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._settings = Settings(source, timeout_s, deadline_s, attempts)
        self._client = httpx.AsyncClient(**_client_options(url, key), transport=transport)

    @overload
    async def publish(self, what: Publication[Any], /) -> Receipt: ...
    @overload
    async def publish(self, what: str, payload: object, /, *, idempotency_key: str | None = None) -> Receipt: ...
    async def publish(self, what: Publication[Any] | str, payload: object = None, /, *, idempotency_key: str | None = None) -> Receipt:
        """Publishes once, however often it has to be sent: what `Topic.of` made, or any payload on a topic by its name."""
        publication = Publication(what, payload, idempotency_key) if isinstance(what, str) else what
        return await self._run(calls.publish(self._settings, publication))

    async def batch(self, publications: Sequence[Publication[Any]]) -> list[Receipt | TidegateError]:
        """Publishes a list in its order, each for itself. What is refused for now is sent again, after the others."""
        return await self._run(calls.batch(self._settings, publications))

    async def events(self, *events: Event) -> int:
        """Puts events on the bus: all or none. Returns how many."""
        return await self._run(calls.events(self._settings, events))

    async def revoke(
        self, *, user: str | None = None, token: str | None = None, topic: str | None = None,
        issued_before: int | None = None, reason: str | None = None,
    ) -> Revoked:  # fmt: skip
        """Takes back credentials or subscriptions: at least one of `user`, `token` and `topic`; together they narrow."""
        named = {"user": user, "token": token, "topic": topic, "issued_before": issued_before, "reason": reason}
        return await self._run(calls.revoke(self._settings, named))

    async def close(self) -> None:
        """Ends the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, call: Call[R]) -> R:
        outcome: Outcome = None
        while True:
            try:
                step = call.send(outcome)
            except StopIteration as done:
                result: R = done.value
                return result
            outcome = await self._step(step)

    async def _step(self, step: Send | Pause) -> Outcome:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            # httpx limits each phase; this limits the attempt.
            async with asyncio.timeout(step.timeout_s):
                return await self._client.post(step.path, content=step.body, headers=step.headers, timeout=step.timeout_s)
        except httpx.HTTPError as error:
            return error
        except TimeoutError as error:
            return httpx.ReadTimeout(f"no answer within {step.timeout_s} s", request=None)
