"""One call from the text the host gives to the answer it gets; whatever a function raises becomes a clean refusal."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_type_hints

from . import errors
from .answers import ABSENT, DROP, Action, Decision, Emit, Outcome, Publish, cannot_tell, json_text
from .context import Context
from .crossing import Crossing, Peer, Phase
from .host import utf8
from .refusals import Failed, InvalidPayload, Refusal
from .typed import Mismatch, decode


def payload_kind(function: Callable[..., Any], position: int) -> Any:
    """The annotation of the payload; Any where there is none."""
    name = function.__code__.co_varnames[position]
    return get_type_hints(function, include_extras=True).get(name, Any)


def handle(function: Callable[..., Any], kind: Any, context: Context, payload: str) -> tuple[str | None, list[Emit | Publish]]:
    """Answers one message with the reply, as JSON text, and the effects. Raises nothing but refusals."""
    try:
        try:
            message = decode(json.loads(payload), kind)
        except Mismatch as mismatch:
            raise InvalidPayload(str(mismatch)) from mismatch
        outcome = function(context, message)
        if outcome is None:
            return None, []
        if not isinstance(outcome, Outcome):
            raise TypeError(f"`{function.__name__}` must return an Outcome or None, not {type(outcome).__name__}")
        return None if outcome.reply is ABSENT else json_text(outcome.reply), _effects(outcome.effects)
    except Refusal:
        raise
    except BaseException as error:
        raise Failed(told(error)) from error


def authorize(function: Callable[..., Any], kind: Any, context: Context, action: str, payload: str | None) -> Decision:
    """Decides. Raises nothing but `Failed`."""
    try:
        message = None if payload is None else decode(json.loads(payload), kind)
        decision = function(context, Action(action), message)
        if not isinstance(decision, Decision):
            raise TypeError(f"`{function.__name__}` must return allow(), deny() or cannot_tell(), not {type(decision).__name__}")
        return decision
    except (errors.RateLimited, errors.Timeout, errors.Unavailable) as error:
        return cannot_tell(told(error))
    except BaseException as error:
        raise Failed(told(error)) from error


def provide(function: Callable[..., Any], context: Context) -> list[str]:
    """The state of a topic, payloads as JSON text. Raises nothing but `Failed`."""
    try:
        payloads = function(context)
        if not isinstance(payloads, (list, tuple)):
            raise TypeError(f"`{function.__name__}` must return a list of payloads, not {type(payloads).__name__}")
        return [json_text(payload) for payload in payloads]
    except BaseException as error:
        raise Failed(told(error)) from error


class Unread(str):
    """JSON text that becomes its value inside the call, where what is wrong with it can be told."""


def transform(function: Callable[..., Any], kind: Any, crossing: Crossing, payload: str) -> str | None:
    """The payload to publish as JSON text; None when the event should not cross. Raises nothing but `Failed`."""
    try:
        if isinstance(crossing.event.data, Unread):
            crossing = replace(crossing, event=replace(crossing.event, data=json.loads(crossing.event.data)))
        published = function(crossing, decode(json.loads(payload), kind))
        return None if published is DROP else json_text(published)
    except BaseException as error:
        raise Failed(told(error)) from error


def changed(function: Callable[..., Any], peer: Peer, phase: Phase) -> list[Emit | Publish]:
    """What should happen when a connection came or went. Raises nothing but `Failed`."""
    try:
        return _effects(function(peer, phase) or [])
    except BaseException as error:
        raise Failed(told(error)) from error


def _effects(wanted: Any) -> list[Emit | Publish]:
    effects = list(wanted)
    for effect in effects:
        if not isinstance(effect, (Emit, Publish)):
            raise TypeError(f"`effects`: expected what emit() and publish() make, found {type(effect).__name__}")
    return effects


def told(error: BaseException) -> str:
    """What went wrong and where: `ZeroDivisionError: division by zero (plugin.py:12)`."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename.rsplit("/", 1)
        # The last line of the plugin's own; what it called in the library says less.
        if "tidegate_plugin" not in file[0] and "/lib/python" not in file[0] and not file[0].startswith("/python"):
            place = f" ({file[-1]}:{trace.tb_lineno})"
        trace = trace.tb_next
    return utf8(f"{type(error).__name__}: {error}{place}")
