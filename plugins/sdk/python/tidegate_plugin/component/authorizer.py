"""The component's export `authorizer`."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import authorizer
from wit_world.imports import types

from . import context, mistake, registered, wit_user
from .. import calls, refusals

FUNCTION = registered("authorizer")
KIND = calls.payload_kind(FUNCTION, 2)


class Authorizer(exports.Authorizer):
    """Decides who may connect, subscribe and send."""

    def authorize(self, ctx: types.Context, action: authorizer.Action, payload: str | None) -> authorizer.Decision:
        try:
            decision = calls.authorize(FUNCTION, KIND, context(ctx), action.name.lower(), payload)
        except refusals.Refusal as refusal:
            raise Err(calls.utf8(refusal)) from None
        except BaseException as error:
            mistake(error)
            raise
        if decision.unknown is not None:
            return authorizer.Decision_CannotTell(calls.utf8(decision.unknown))
        if decision.denied is not None:
            return authorizer.Decision_Deny(calls.utf8(decision.denied))
        return authorizer.Decision_Allow(authorizer.Grant(decision.ttl_ms, wit_user(decision.user)))
