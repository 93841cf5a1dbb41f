"""Why a message is not taken: raise one. Nothing happens then, and the plugin stays in service."""


class Refusal(Exception):
    """Any of the four below. The text is at most 1 KiB; more is cut."""


class InvalidPayload(Refusal):
    """The message is not acceptable. The client sees `invalid_payload` with this text."""


class Forbidden(Refusal):
    """This user may not. The client sees `forbidden`; the text goes to the log."""


class Unavailable(Refusal):
    """Not now. The client sees `unavailable` and may try again; the text goes to the log."""


class Failed(Refusal):
    """The plugin could not do its work. The client sees `handler_failed`; the text goes to the log."""
