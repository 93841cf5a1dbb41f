"""HTTP to granted origins: `grants: { http: ["https://api.example.com"] }`. Python's own `http` and `urllib` have no network."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import host


@dataclass(frozen=True)
class Response:
    """What came back, whatever its status."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Names in lower case."""
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of a header field."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8")

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


def send(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: str | bytes | None = None,
) -> Response:
    """Sends a request and reads the whole response. What fails raises a HostError."""
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    data = body.encode("utf-8") if isinstance(body, str) else body
    return Response(*host.bindings().http(method, url, fields, data))
