"""What the host offers without a grant: the log, the config, the time and randomness."""

import json
from typing import Any, Protocol


class Bindings(Protocol):
    """The imports of the component, or a stand-in for them."""

    def write(self, level: str, message: str, fields: list[tuple[str, str]]) -> None: ...
    def get(self, key: str) -> str | None: ...
    def now_ms(self) -> int: ...
    def monotonic_us(self) -> int: ...
    def random_bytes(self, length: int) -> bytes: ...
    def next_u64(self) -> int: ...
    # By grant; each answers, or raises a HostError.
    def secret(self, name: str) -> str: ...
    def kv_get(self, bucket: str, key: str) -> tuple[bytes, int] | None: ...
    def kv_put(self, bucket: str, key: str, value: bytes, if_revision: int | None, ttl_ms: int | None) -> int: ...
    def kv_delete(self, bucket: str, key: str, if_revision: int | None) -> bool: ...
    def kv_increment(self, bucket: str, key: str, delta: int, ttl_ms: int | None) -> int: ...
    def kv_keys(self, bucket: str, prefix: str, after: str | None, limit: int) -> list[str]: ...
    def query(self, name: str, params: str) -> str: ...
    def http(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> tuple[int, list[tuple[str, str]], bytes]: ...


class Unbound:
    """Neither in a component nor in a test."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("there is no host here; in a unit test, use `tidegate_plugin.testing.host`")


_bindings: Bindings = Unbound()


def bind(bindings: Bindings) -> Bindings:
    """Says who answers from now on, and returns who did."""
    global _bindings
    before, _bindings = _bindings, bindings
    return before


def bindings() -> Bindings:
    """Who answers now."""
    return _bindings


def utf8(value: Any) -> str:
    """A text that has UTF-8: half of a surrogate pair becomes `?`."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


class log:
    """Lines of the server's log. Fields are kept apart from the sentence, so that they can be searched:
    `log.info("ping", n=1)`. At most 64 lines a call, 4 KiB each."""

    @staticmethod
    def trace(message: Any, /, **fields: Any) -> None:
        _write("trace", message, fields)

    @staticmethod
    def debug(message: Any, /, **fields: Any) -> None:
        _write("debug", message, fields)

    @staticmethod
    def info(message: Any, /, **fields: Any) -> None:
        _write("info", message, fields)

    @staticmethod
    def warn(message: Any, /, **fields: Any) -> None:
        _write("warn", message, fields)

    @staticmethod
    def error(message: Any, /, **fields: Any) -> None:
        _write("error", message, fields)


def _write(level: str, message: Any, fields: dict[str, Any]) -> None:
    _bindings.write(level, utf8(message), [(utf8(name), utf8(value)) for name, value in fields.items()])


def config(key: str, default: Any = None) -> Any:
    """The value of one top-level key of `config:` in `plugin.yaml`. Not to be read while the component is built."""
    text = _bindings.get(key)
    return default if text is None else json.loads(text)


class clock:
    """The time."""

    @staticmethod
    def now_ms() -> int:
        """Now, in milliseconds since the Unix epoch."""
        return _bindings.now_ms()

    @staticmethod
    def monotonic_us() -> int:
        """Microseconds since some moment before this call; never goes back."""
        return _bindings.monotonic_us()


class random:
    """Randomness of the operating system, fit for keys."""

    @staticmethod
    def bytes(length: int) -> bytes:
        """That many random bytes, at most 65,536."""
        if not 0 <= length <= 65_536:
            raise ValueError(f"expected 0 to 65536 bytes, found {length}")
        return _bindings.random_bytes(length)

    @staticmethod
    def next_u64() -> int:
        """A random number below 2**64."""
        return _bindings.next_u64()
