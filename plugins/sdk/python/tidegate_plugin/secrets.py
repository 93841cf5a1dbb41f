"""Secrets of the server's environment: `grants: { secrets: [API_TOKEN] }`.

Imported at the top of the module, like everything that needs a grant: the component imports what was imported then."""

from . import host


def get(name: str) -> str:
    """The secret of this name. Denied, or Missing."""
    return host.bindings().secret(name)
