"""Buckets of keys that survive a restart, shared by all instances: `grants: { kv: [seen] }`.

    from tidegate_plugin import kv

    entry = kv.Bucket("seen").get("alice")
"""

import json
from dataclasses import dataclass
from typing import Any

from . import host


@dataclass(frozen=True)
class Entry:
    """A value and its revision, which grows with every write of the key and is never 0."""

    value: bytes
    revision: int

    @property
    def text(self) -> str:
        """The value as UTF-8."""
        return self.value.decode("utf-8")

    def json(self) -> Any:
        """The value read as JSON."""
        return json.loads(self.value)


@dataclass(frozen=True)
class Bucket:
    """A bucket; its name must be granted. What fails raises a HostError."""

    name: str

    def get(self, key: str) -> Entry | None:
        """The value of a key; None when there is none or its time is over."""
        found = host.bindings().kv_get(self.name, key)
        return None if found is None else Entry(*found)

    def put(self, key: str, value: str | bytes, *, if_revision: int | None = None, ttl_ms: int | None = None) -> int:
        """Writes a key and returns its new revision. With `if_revision`, only while the key has that one (0: while there
        is no such key), else Conflict. With `ttl_ms` the key is gone after that many milliseconds."""
        data = value.encode("utf-8") if isinstance(value, str) else bytes(value)
        return host.bindings().kv_put(self.name, key, data, if_revision, ttl_ms)

    def delete(self, key: str, *, if_revision: int | None = None) -> bool:
        """Deletes a key, with `if_revision` only while it has that one. Says whether there was one."""
        return host.bindings().kv_delete(self.name, key, if_revision)

    def increment(self, key: str, delta: int = 1, *, ttl_ms: int | None = None) -> int:
        """Adds to an integer of 64 bits that is kept as decimal text, 0 when there is no such key, and returns the sum. A
        key made by it gets `ttl_ms`; one that is there keeps the time it has."""
        return host.bindings().kv_increment(self.name, key, delta, ttl_ms)

    def keys(self, prefix: str = "", *, after: str | None = None, limit: int = 1000) -> list[str]:
        """Keys that begin with `prefix`, in order, after `after`, at most `limit` and never more than 1,000."""
        return host.bindings().kv_keys(self.name, prefix, after, limit)
