"""Why what the host offers by grant has no answer: a HostError of one of these kinds, with a sentence for the log."""


class HostError(Exception):
    """Any of those below."""


class Denied(HostError):
    """It is not in `grants` of `plugin.yaml`."""


class Missing(HostError):
    """There is none."""


class Invalid(HostError):
    """It is not what it should be; the sentence says what."""


class TooLarge(HostError):
    """It is larger than the host takes."""


class Conflict(HostError):
    """The key has another revision: `revision`, 0 when there is no such key."""

    def __init__(self, sentence: str, revision: int) -> None:
        super().__init__(sentence)
        self.revision = revision


class NotAnInteger(HostError):
    """`increment` met a value that is no integer, or the sum is out of range."""


class RateLimited(HostError):
    """More calls a second than the limits allow."""


class Timeout(HostError):
    """It took too long."""


class Unavailable(HostError):
    """What should answer is away."""
