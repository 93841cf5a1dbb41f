"""The channels as the manifests declare them: names, and what each says about a payload.

The validator is `jsonschema-rs`, the library that the server itself judges with.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
from ruamel.yaml import YAML

from .topics import matches

_VIOLATIONS_MAX = 10
# The base of references between schema files. A file's path is its name.
_BASE = "tidegate:///"


class JudgedChannel:
    """One channel, with its compiled schema."""

    def __init__(self, name: str, validator: Any) -> None:
        self.name = name
        self._validator = validator

    def violations(self, payload: Any) -> list[dict[str, str]]:
        """What is wrong with a payload, and where."""
        found = []
        for error in self._validator.iter_errors(payload):
            found.append({"path": _pointer(error.instance_path), "message": error.message})
            if len(found) == _VIOLATIONS_MAX:
                break
        return found


class Channels:
    """Every channel of a directory of manifests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._channels: dict[str, JudgedChannel] = {}
        files = sorted(path for path in directory.glob("*") if path.suffix in (".yaml", ".yml"))
        if not files:
            raise FileNotFoundError(
                f"no channel manifests in `{directory}`: name their directory, RecordingPublisher(channels=\"../channels\")"
            )
        for file in files:
            manifest = YAML(typ="safe", pure=True).load(file) or {}
            for name, channel in manifest.get("channels", {}).items():
                self._channels[name] = JudgedChannel(name, self._compile(channel["payload"], file, name))

    def of(self, topic: str) -> JudgedChannel | None:
        """The channel of a topic; a name without params wins."""
        if "{" in topic:
            return None
        named = self._channels.get(topic)
        return named or next((one for name, one in self._channels.items() if matches(name, topic)), None)

    def _compile(self, schema: Any, file: Path, name: str) -> Any:
        try:
            return jsonschema_rs.Draft202012Validator(
                _without_id(schema), base_uri=f"{_BASE}-", validate_formats=True, retriever=self._read
            )
        except (jsonschema_rs.ValidationError, ValueError) as error:
            raise ValueError(f"{file}, channel `{name}`: {error}; what does `tidegate check` say?") from error

    def _read(self, uri: str) -> Any:
        path = self.directory / uri.removeprefix(_BASE)
        return _without_id(json.loads(path.read_text(encoding="utf-8")))


def _pointer(path: list[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _without_id(schema: Any) -> Any:
    return {key: value for key, value in schema.items() if key != "$id"} if isinstance(schema, dict) else schema
