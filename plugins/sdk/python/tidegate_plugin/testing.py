"""A stand-in for the host, for unit tests of a plugin under plain `python3`: its functions are called as they are.

    from tidegate_plugin import Context, testing

    with testing.host(config={"greeting": "hello"}) as host:
        assert handle(Context(topic="realtime-ping"), Ping(1)).reply == {"pong": 1}
    assert host.lines == [("info", "ping", {"n": "1"})]
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .answers import json_text
from .host import bind


class StandIn:
    """Remembers the lines of the log. The time is `now_ms` and moves when the test says so; randomness counts up."""

    def __init__(self, config: dict[str, Any], now_ms: int) -> None:
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


@contextmanager
def host(config: dict[str, Any] | None = None, now_ms: int = 0) -> Iterator[StandIn]:
    """Answers `config`, `log`, `clock` and `random` inside the block."""
    stand_in = StandIn(config or {}, now_ms)
    before = bind(stand_in)
    try:
        yield stand_in
    finally:
        bind(before)
