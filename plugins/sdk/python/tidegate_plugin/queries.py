"""Named, read-only questions to the platform team's database: `grants: { queries: { member: "select …" } }`."""

import json
from typing import Any

from . import host
from .answers import json_text


def run(name: str, *params: Any) -> list[dict[str, Any]]:
    """Runs a query, a value a placeholder, in order. The rows are dicts, the columns by name. What fails raises a HostError."""
    return json.loads(host.bindings().query(name, json_text(list(params))))
