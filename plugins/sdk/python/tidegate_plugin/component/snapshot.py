"""The component's export `snapshot`."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import types

from . import context, mistake, registered
from .. import calls, refusals

FUNCTION = registered("snapshot")


class Snapshot(exports.Snapshot):
    """Gives the state of topics."""

    def provide(self, ctx: types.Context) -> list[str]:
        try:
            return calls.provide(FUNCTION, context(ctx))
        except refusals.Refusal as refusal:
            raise Err(calls.utf8(refusal)) from None
        except BaseException as error:
            mistake(error)
            raise
