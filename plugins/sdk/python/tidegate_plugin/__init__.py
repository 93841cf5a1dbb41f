"""Handlers and authorizers for Tidegate in Python: the contract of `wit/` with payloads as typed values.

    from tidegate_plugin import Context, Outcome, handler

    @handler
    def handle(context: Context, payload: Ping) -> Outcome:
        return Outcome(reply={"pong": payload.n})
"""

from .answers import Action, Decision, Outcome, allow, deny, emit, publish
from .context import Context, User
from .host import clock, config, log, random
from .refusals import Failed, Forbidden, InvalidPayload, Refusal, Unavailable
from .registry import authorizer, handler

__all__ = [
    "Action", "Context", "Decision", "Failed", "Forbidden", "InvalidPayload", "Outcome", "Refusal", "Unavailable", "User",
    "allow", "authorizer", "clock", "config", "deny", "emit", "handler", "log", "publish", "random",
]
