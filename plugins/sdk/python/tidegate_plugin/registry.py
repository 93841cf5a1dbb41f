"""The functions of the plugin, by what they answer."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
functions: dict[str, Callable[..., Any]] = {}

# What each kind is called with.
ARGUMENTS = {
    "handler": ("context", "payload"),
    "authorizer": ("context", "action", "payload"),
    "snapshot": ("context",),
    "transform": ("crossing", "payload"),
    "connection": ("peer", "phase"),
}


def handler(function: Function) -> Function:
    """`@handler def handle(context, payload)`: answers the messages clients send on a channel with an `Outcome` or None.
    The annotation of `payload` says what a message is (a dataclass, a TypedDict, …); one that is something else is
    refused as `invalid_payload` before the function runs."""
    return _register("handler", function)


def authorizer(function: Function) -> Function:
    """`@authorizer def authorize(context, action, payload)`: decides with `allow()` or `deny()` who may connect, subscribe
    and send. `payload` is None but on `send` and `connect`. What it raises is no decision, and denies."""
    return _register("authorizer", function)


def snapshot(function: Function) -> Function:
    """`@snapshot def provide(context)`: gives the state of a topic to who subscribes, a list of payloads that each must meet
    the channel's schema. What it raises refuses the subscription."""
    return _register("snapshot", function)


def transform(function: Function) -> Function:
    """`@transform def apply(crossing, payload)`: makes the payload of a bridge rule of what the rule's `payload` made of the
    event, or returns DROP. What it raises makes the event a dead letter. The annotation of `payload` says what it is."""
    return _register("transform", function)


def connection(function: Function) -> Function:
    """`@connection def changed(peer, phase)`: hears of connections that come and go, and returns a list of effects or None."""
    return _register("connection", function)


def _register(kind: str, function: Function) -> Function:
    expected = ARGUMENTS[kind]
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"`{function.__name__}` must not be async: a call is one answer, and nothing awaits it")
    try:
        inspect.signature(function).bind(*expected)
    except TypeError:
        found = ", ".join(inspect.signature(function).parameters)
        raise TypeError(f"`{function.__name__}({found})`: expected ({', '.join(expected)})") from None
    if kind in functions and functions[kind] is not function:
        raise TypeError(f"`{function.__name__}`: `{functions[kind].__name__}` is the {kind} of this plugin already")
    functions[kind] = function
    return function
