"""A module beside the plugin's own."""

from tidegate_plugin import Failed, Forbidden, InvalidPayload, Unavailable

REFUSALS = {
    "InvalidPayload": InvalidPayload, "Forbidden": Forbidden, "Unavailable": Unavailable, "Failed": Failed,
}
