"""The component's export `transform`."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import transform

from . import mistake, registered
from .. import calls, refusals
from ..crossing import Crossing, Event

FUNCTION = registered("transform")
KIND = calls.payload_kind(FUNCTION, 1)


class Transform(exports.Transform):
    """Makes the payloads of bridge rules."""

    def apply(self, crossing: transform.Crossing) -> str | None:
        given = crossing.event
        event = Event(given.kind, given.source, given.id, given.subject, given.time, calls.Unread(given.data))
        try:
            return calls.transform(FUNCTION, KIND, Crossing(event, crossing.topic, crossing.deadline_ms), crossing.payload)
        except refusals.Refusal as refusal:
            raise Err(calls.utf8(refusal)) from None
        except BaseException as error:
            mistake(error)
            raise
