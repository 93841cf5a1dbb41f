"""The imports by grant: of those that the plugin imported at the top of its module, and of no other."""

from typing import Any

from componentize_py_types import Err

from .. import errors

try:
    from wit_world.imports import secrets
except ImportError:
    secrets = None
try:
    from wit_world.imports import store
except ImportError:
    store = None
try:
    from wit_world.imports import queries
except ImportError:
    queries = None
try:
    from wit_world.imports import client
except ImportError:
    client = None

# The case of an error, and what it is here; a sentence of its own has what carries none.
MEANINGS: dict[str, tuple[Any, str]] = {
    "Denied": (errors.Denied, "it is not in `grants`"),
    "Missing": (errors.Missing, "there is none"),
    "TooLarge": (errors.TooLarge, "it is larger than the host takes"),
    "NotAnInteger": (errors.NotAnInteger, "the value is no integer, or the sum is out of range"),
    "RateLimited": (errors.RateLimited, "more calls a second than the limits allow"),
    "Timeout": (errors.Timeout, "it took too long"),
    "Unavailable": (errors.Unavailable, ""),
    "Unreachable": (errors.Unavailable, ""),
    "Invalid": (errors.Invalid, ""),
    "InvalidParams": (errors.Invalid, ""),
}


def asked(what: str, function: Any, *arguments: Any) -> Any:
    """What an import answers; its error is raised as a HostError about `what`."""
    try:
        return function(*arguments)
    except Err as raised:
        error = raised.value
        case, carried = type(error).__name__.removeprefix("Error_"), getattr(error, "value", None)
        if case == "Conflict":
            raise errors.Conflict(f"{what}: the key has revision {carried}", carried) from None
        kind, sentence = MEANINGS[case]
        raise kind(f"{what}: {carried if isinstance(carried, str) else sentence}") from None


class Granted:
    """The part of the bindings that needs grants."""

    def secret(self, name: str) -> str:
        return asked(f"secret `{name}`", secrets.get, name)

    def kv_get(self, bucket: str, key: str) -> tuple[bytes, int] | None:
        entry = asked(f"bucket `{bucket}`", store.get, bucket, key)
        return None if entry is None else (bytes(entry.value), entry.revision)

    def kv_put(self, bucket: str, key: str, value: bytes, if_revision: int | None, ttl_ms: int | None) -> int:
        return asked(f"bucket `{bucket}`", store.put, bucket, key, value, if_revision, ttl_ms)

    def kv_delete(self, bucket: str, key: str, if_revision: int | None) -> bool:
        return asked(f"bucket `{bucket}`", store.delete, bucket, key, if_revision)

    def kv_increment(self, bucket: str, key: str, delta: int, ttl_ms: int | None) -> int:
        return asked(f"bucket `{bucket}`", store.increment, bucket, key, delta, ttl_ms)

    def kv_keys(self, bucket: str, prefix: str, after: str | None, limit: int) -> list[str]:
        return asked(f"bucket `{bucket}`", store.keys, bucket, prefix, after, limit)

    def query(self, name: str, params: str) -> str:
        return asked(f"query `{name}`", queries.run, name, params)

    def http(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None) -> tuple[int, list[tuple[str, str]], bytes]:
        response = asked(f"{method} {url}", client.send, client.Request(method, url, headers, body))
        return response.status, response.headers, bytes(response.body)
