"""Makes a greeting of every event that has a name, and keeps the others from crossing."""

from typing import Any, NotRequired, TypedDict

from tidegate_plugin import DROP, Crossing, config, transform


class Visitor(TypedDict):
    name: NotRequired[str]


@transform
def apply(crossing: Crossing, payload: Visitor) -> Any:
    name = payload.get("name")
    if name is None:
        return DROP
    return {"text": f"{config('greeting')}, {name}"}
