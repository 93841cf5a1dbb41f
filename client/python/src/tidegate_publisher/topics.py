"""Names: channels are templates, `vault.{vaultId}`; topics are concrete, `vault.v1`."""

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P")

_BYTES_MAX = 255
_PARAM = re.compile(r"\{(\w+)\}", re.ASCII)
# What the server takes as the value of a param: one segment, nothing invisible in it.
_VALUE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f.{}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")


@dataclass(frozen=True)
class Publication(Generic[P]):
    """What is to be published: made by `Topic.of`, which knows the payload's type."""

    topic: str
    payload: P
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Topic(Generic[P]):
    """A concrete name, and the type of what is published there."""

    name: str

    def of(self, payload: P, *, idempotency_key: str | None = None) -> Publication[P]:
        """A publication on this topic, to publish alone or in a batch."""
        return Publication(self.name, payload, idempotency_key)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Channel(Generic[P]):
    """A channel by its name in the manifest, with the type that `tidegate types --lang python` prints for it."""

    name: str

    def topic(self, **params: str) -> Topic[P]:
        """The topic with these params. A value that is not one segment of a topic raises a `ValueError`."""
        names = _PARAM.findall(self.name)
        if set(names) != set(params):
            raise ValueError(f"`{self.name}` has the params {names}, found {sorted(params)}")
        topic = _PARAM.sub(lambda found: self._value(found[1], params), self.name)
        if len(topic.encode()) > _BYTES_MAX:
            raise ValueError(f"the topic of `{self.name}` is longer than {_BYTES_MAX} bytes")
        return Topic(topic)

    def _value(self, name: str, params: dict[str, str]) -> str:
        if not is_value(params[name]):
            raise ValueError(
                f"`{name}` of `{self.name}` must be one segment of a topic: "
                f"not empty, no dot, space or brace; found {params[name]!r}"
            )
        return params[name]


def is_value(text: object) -> bool:
    """Whether a param can have this value."""
    return isinstance(text, str) and _VALUE.fullmatch(text) is not None


def matches(channel: str, topic: str) -> bool:
    """Whether a topic is one of the channel with this name."""
    expected, found = channel.split("."), topic.split(".")
    if len(expected) != len(found) or len(topic.encode()) > _BYTES_MAX:
        return False
    return all(is_value(part) if name.startswith("{") else name == part for name, part in zip(expected, found))
