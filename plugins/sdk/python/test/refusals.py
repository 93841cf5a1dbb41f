"""A module beside the plugin's, which the build takes along."""

from tidegate_plugin import Failed, Forbidden, InvalidPayload, Unavailable

REFUSALS = {"invalid_payload": InvalidPayload, "forbidden": Forbidden, "unavailable": Unavailable, "failed": Failed}
