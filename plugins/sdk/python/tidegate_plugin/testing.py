"""A stand-in for the host, for unit tests of a plugin under plain `python3`: its functions are called as they are.

    from tidegate_plugin import Context, testing

    with testing.host(config={"greeting": "hello"}) as host:
        assert handle(Context(topic="realtime-ping"), Ping(1)).reply == {"pong": 1}
    assert host.lines == [("info", "ping", {"n": "1"})]
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .answers import json_text
from .errors import Conflict, Denied, NotAnInteger
from .host import bind


class Buckets:
    """Buckets in memory, every one granted; no key's time is ever over."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, tuple[bytes, int]]] = {}
        self.revision = 0

    def kv_get(self, bucket: str, key: str) -> tuple[bytes, int] | None:
        return self.buckets.get(bucket, {}).get(key)

    def kv_put(self, bucket: str, key: str, value: bytes, if_revision: int | None, ttl_ms: int | None) -> int:
        self._check(bucket, key, if_revision)
        self.revision += 1
        self.buckets.setdefault(bucket, {})[key] = (value, self.revision)
        return self.revision

    def kv_delete(self, bucket: str, key: str, if_revision: int | None) -> bool:
        self._check(bucket, key, if_revision)
        return self.buckets.get(bucket, {}).pop(key, None) is not None

    def kv_increment(self, bucket: str, key: str, delta: int, ttl_ms: int | None) -> int:
        value, _ = self.kv_get(bucket, key) or (b"0", 0)
        try:
            total = int(value) + delta
        except ValueError:
            raise NotAnInteger(f"bucket `{bucket}`: `{key}` is no integer") from None
        self.kv_put(bucket, key, str(total).encode(), None, ttl_ms)
        return total

    def kv_keys(self, bucket: str, prefix: str, after: str | None, limit: int) -> list[str]:
        keys = sorted(key for key in self.buckets.get(bucket, {}) if key.startswith(prefix) and key > (after or ""))
        return keys[:limit]

    def _check(self, bucket: str, key: str, if_revision: int | None) -> None:
        _, revision = self.kv_get(bucket, key) or (b"", 0)
        if if_revision not in (None, revision):
            raise Conflict(f"bucket `{bucket}`: the key has revision {revision}", revision)


class StandIn(Buckets):
    """Remembers the lines of the log. The time is `now_ms` and moves when the test says so; randomness counts up."""

    def __init__(self, config: dict[str, Any], now_ms: int, secrets: dict[str, str], queries: dict[str, Any], http: Any) -> None:
        super().__init__()
        self.secrets, self.queries, self.answer_http = secrets, queries, http
        self.lines: list[tuple[str, str, dict[str, str]]] = []
        self.config = config
        self.time_ms = now_ms
        self.counter = 0

    def write(self, level: str, message: str, fields: list[tuple[str, str]]) -> None:
        self.lines.append((level, message, dict(fields)))

    def get(self, key: str) -> str | None:
        return json_text(self.config[key]) if key in self.config else None

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_us(self) -> int:
        return self.time_ms * 1000

    def random_bytes(self, length: int) -> bytes:
        return b"".join(self.next_u64().to_bytes(8, "little") for _ in range(0, length, 8))[:length]

    def next_u64(self) -> int:
        self.counter += 1
        return self.counter


    def secret(self, name: str) -> str:
        if name not in self.secrets:
            raise Denied(f"secret `{name}`: it is not in `grants`")
        return self.secrets[name]

    def query(self, name: str, params: str) -> str:
        if name not in self.queries:
            raise Denied(f"query `{name}`: it is not in `grants`")
        return json_text(self.queries[name](*json.loads(params)))

    def http(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None) -> tuple[int, list[tuple[str, str]], bytes]:
        if self.answer_http is None:
            raise Denied(f"{method} {url}: no origin is granted")
        response = self.answer_http(method, url, headers, body)
        return response.status, response.headers, response.body


@contextmanager
def host(
    config: dict[str, Any] | None = None,
    now_ms: int = 0,
    *,
    secrets: dict[str, str] | None = None,
    queries: dict[str, Callable[..., list[dict[str, Any]]]] | None = None,
    http: Callable[[str, str, list[tuple[str, str]], bytes | None], Any] | None = None,
) -> Iterator[StandIn]:
    """Answers `config`, `log`, `clock`, `random` and `kv` inside the block; `secrets` by name, `queries` by what a function
    of the params returns, `http` by what a function of the request returns, an `http.Response`."""
    stand_in = StandIn(config or {}, now_ms, secrets or {}, queries or {}, http)
    before = bind(stand_in)
    try:
        yield stand_in
    finally:
        bind(before)
