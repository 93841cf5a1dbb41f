"""The functions of the plugin, by what they answer."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
functions: dict[str, Callable[..., Any]] = {}


def handler(function: Function) -> Function:
    """`@handler def handle(context, payload)`: answers the messages clients send on a channel with an `Outcome` or None.
    The annotation of `payload` says what a message is (a dataclass, a TypedDict, …); one that is something else is
    refused as `invalid_payload` before the function runs."""
    return _register("handler", function, 2)


def authorizer(function: Function) -> Function:
    """`@authorizer def authorize(context, action, payload)`: decides with `allow()` or `deny()` who may connect, subscribe
    and send. `payload` is None but on `send` and `connect`. What it raises is no decision, and denies."""
    return _register("authorizer", function, 3)


def _register(kind: str, function: Function, arguments: int) -> Function:
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"`{function.__name__}` must not be async: a call is one answer, and nothing awaits it")
    parameters = list(inspect.signature(function).parameters.values())
    try:
        inspect.signature(function).bind(*range(arguments))
    except TypeError:
        found = ", ".join(parameter.name for parameter in parameters)
        expected = "context, payload" if kind == "handler" else "context, action, payload"
        raise TypeError(f"`{function.__name__}({found})`: expected ({expected})") from None
    if kind in functions and functions[kind] is not function:
        raise TypeError(f"`{function.__name__}`: `{functions[kind].__name__}` is the {kind} of this plugin already")
    functions[kind] = function
    return function
