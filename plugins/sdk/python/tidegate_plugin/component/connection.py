"""The component's export `connection`."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import connection
from wit_world.imports import types

from . import mistake, registered, user, wit_effect
from .. import calls, refusals
from ..crossing import Peer, Phase

FUNCTION = registered("connection")


class Connection(exports.Connection):
    """Hears of connections."""

    def changed(self, peer: connection.Peer, phase: connection.Phase) -> list[types.Effect]:
        told = Peer(peer.connection_id, user(peer.user), peer.received_at_ms, peer.deadline_ms)
        try:
            return [wit_effect(each) for each in calls.changed(FUNCTION, told, Phase(phase.name.lower()))]
        except refusals.Refusal as refusal:
            raise Err(calls.utf8(refusal)) from None
        except BaseException as error:
            mistake(error)
            raise
