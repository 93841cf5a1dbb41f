"""Greets whoever is named in a message."""

from dataclasses import dataclass

from tidegate_plugin import Context, Outcome, config, handler


@dataclass
class Name:
    name: str


@handler
def handle(context: Context, payload: Name) -> Outcome:
    return Outcome({"text": f"{config('greeting')}, {payload.name}"})
