"""Plugins for Tidegate in Python, of every kind: the contract of `wit/` with payloads as typed values.

    from tidegate_plugin import Context, Outcome, handler

    @handler
    def handle(context: Context, payload: Ping) -> Outcome:
        return Outcome(reply={"pong": payload.n})

What needs a grant is a module of its own, imported at the top: `from tidegate_plugin import http, kv, queries, secrets`.
"""

from .answers import DROP, Action, Decision, Outcome, allow, cannot_tell, deny, emit, publish, remove, remove_all
from .context import Context, User
from .crossing import Crossing, Event, Peer, Phase
from .errors import HostError
from .host import clock, config, log, random
from .refusals import Failed, Forbidden, InvalidPayload, Refusal, Unavailable
from .registry import authorizer, connection, handler, snapshot, transform

__all__ = [
    "DROP", "Action", "Context", "Crossing", "Decision", "Event", "Failed", "Forbidden", "HostError", "InvalidPayload", "Outcome",
    "Peer", "Phase", "Refusal", "Unavailable", "User", "allow", "authorizer", "cannot_tell", "clock", "config", "connection", "deny", "emit",
    "handler", "log", "publish", "random", "remove", "remove_all", "snapshot", "transform",
]


def __getattr__(name: str) -> object:
    # Not there although it could be: a component cannot import it when it is called any more.
    if name in ("http", "kv", "queries", "secrets"):
        raise AttributeError(f"import it at the top of the module: `from tidegate_plugin import {name}`")
    raise AttributeError(f"module `tidegate_plugin` has no attribute `{name}`")
