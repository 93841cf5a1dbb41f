"""Gives the greeting of the config to who subscribes."""

from typing import TypedDict

from tidegate_plugin import Context, config, snapshot


class Greeting(TypedDict):
    text: str


@snapshot
def provide(context: Context) -> list[Greeting]:
    return [{"text": config("greeting")}]
