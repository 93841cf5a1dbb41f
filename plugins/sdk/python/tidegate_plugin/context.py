"""Who asks, on which topic, and how long there is to answer."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class User:
    """Who a connection belongs to, as the host found it in the credential."""

    id: str
    roles: list[str] = field(default_factory=list)
    tenant: str | None = None


@dataclass(frozen=True)
class Context:
    """The call. Everything has a default, so that a unit test names only what it is about."""

    topic: str = ""
    """`vault.v1`; empty when an authorizer is asked about `connect`."""
    channel: str = ""
    """The channel that declares the topic: `vault.{vaultId}`."""
    params: dict[str, str] = field(default_factory=dict)
    """What the topic puts in the places of the channel's template, in its order: `{"vaultId": "v1"}`."""
    user: User | None = None
    """None on an anonymous connection."""
    connection_id: str = ""
    """Unique while the connection lasts; a client that reconnects gets another."""
    received_at_ms: int = 0
    """When the host made this call, in milliseconds since the Unix epoch."""
    deadline_ms: int = 0
    """The wall-clock time the call may take, in milliseconds. The host enforces it."""
    attributes: dict[str, str] = field(default_factory=dict)
    """What later versions have to say. Ignore names you do not know."""
