"""The component's export `handler`."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import types

from . import context, mistake, registered, wit_effect
from .. import calls, refusals

FUNCTION = registered("handler")
KIND = calls.payload_kind(FUNCTION, 1)
REFUSALS = {
    refusals.InvalidPayload: types.Refusal_InvalidPayload,
    refusals.Forbidden: types.Refusal_Forbidden,
    refusals.Unavailable: types.Refusal_Unavailable,
}


class Handler(exports.Handler):
    """Answers messages."""

    def handle(self, ctx: types.Context, payload: str) -> types.Outcome:
        try:
            reply, effects = calls.handle(FUNCTION, KIND, context(ctx), payload)
        except refusals.Refusal as refusal:
            wit = next((wit for kind, wit in REFUSALS.items() if isinstance(refusal, kind)), types.Refusal_Failed)
            raise Err(wit(calls.utf8(refusal))) from None
        except BaseException as error:
            mistake(error)
            raise
        return types.Outcome(reply, [wit_effect(each) for each in effects])
