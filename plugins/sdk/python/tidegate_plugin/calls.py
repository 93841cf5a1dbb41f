"""One call from the text the host gives to the answer it gets. A Refusal that a function raises is its own words, and so is
that the host's side is away; any other exception is a mistake, which goes through."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_type_hints

from . import errors
from .answers import ABSENT, DROP, Action, Decision, Effect, Outcome, cannot_tell, json_text
from .context import Context
from .crossing import Crossing, Peer, Phase
from .host import utf8
from .refusals import Failed, InvalidPayload, Unavailable
from .typed import Mismatch, decode

FRAMES_MAX = 8
AWAY = (errors.RateLimited, errors.Timeout, errors.Unavailable)


def payload_kind(function: Callable[..., Any], position: int) -> Any:
    """The annotation of the payload; Any where there is none."""
    name = function.__code__.co_varnames[position]
    return get_type_hints(function, include_extras=True).get(name, Any)


def handle(function: Callable[..., Any], kind: Any, context: Context, payload: str) -> tuple[str | None, list[Effect]]:
    """Answers one message with the reply, as JSON text, and the effects."""
    try:
        message = decode(json.loads(payload), kind)
    except Mismatch as mismatch:
        raise InvalidPayload(str(mismatch)) from mismatch
    outcome = passing(lambda: function(context, message))
    if outcome is None:
        return None, []
    if not isinstance(outcome, Outcome):
        raise TypeError(f"`{function.__name__}` must return an Outcome or None, not {type(outcome).__name__}")
    return None if outcome.reply is ABSENT else json_text(outcome.reply), _effects(outcome.effects)


def authorize(function: Callable[..., Any], kind: Any, context: Context, action: str, payload: str | None) -> Decision:
    """Decides."""
    message = None if payload is None else matching(payload, kind)
    try:
        decision = passing(lambda: function(context, Action(action), message))
    except Unavailable as away:
        return cannot_tell(str(away))
    if not isinstance(decision, Decision):
        raise TypeError(f"`{function.__name__}` must return allow(), deny() or cannot_tell(), not {type(decision).__name__}")
    return decision


def provide(function: Callable[..., Any], context: Context) -> list[str]:
    """The state of a topic, payloads as JSON text."""
    payloads = passing(lambda: function(context))
    if not isinstance(payloads, (list, tuple)):
        raise TypeError(f"`{function.__name__}` must return a list of payloads, not {type(payloads).__name__}")
    return [json_text(payload) for payload in payloads]


class Unread(str):
    """JSON text that becomes its value inside the call, where what is wrong with it can be told."""


def transform(function: Callable[..., Any], kind: Any, crossing: Crossing, payload: str) -> str | None:
    """The payload to publish as JSON text; None when the event should not cross."""
    if isinstance(crossing.event.data, Unread):
        crossing = replace(crossing, event=replace(crossing.event, data=json.loads(crossing.event.data)))
    message = matching(payload, kind)
    published = passing(lambda: function(crossing, message))
    return None if published is DROP else json_text(published)


def changed(function: Callable[..., Any], peer: Peer, phase: Phase) -> list[Effect]:
    """What should happen when a connection came or went."""
    return _effects(passing(lambda: function(peer, phase)) or [])


def matching(payload: str, kind: Any) -> Any:
    """A payload as the annotation says, which is not the plugin's mistake where it is something else."""
    try:
        return decode(json.loads(payload), kind)
    except Mismatch as mismatch:
        raise Failed(f"the payload: {mismatch}") from mismatch


def passing(call: Callable[[], Any]) -> Any:
    """What a function answers. What the host raised is no mistake of the plugin."""
    try:
        return call()
    except AWAY as error:
        raise Unavailable(told(error)) from error
    except errors.HostError as error:
        raise Failed(told(error)) from error


def _effects(wanted: Any) -> list[Effect]:
    effects = list(wanted)
    for effect in effects:
        if not isinstance(effect, Effect):
            raise TypeError(f"`effects`: expected what emit(), publish(), remove() and remove_all() make, found {type(effect).__name__}")
    return effects


def told(error: BaseException) -> str:
    """What went wrong and where, the innermost place first: `ZeroDivisionError: division by zero, at plugin.py:12 in half`."""
    trace, places = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename.rsplit("/", 1)
        # Those of the plugin's own; what it called in the library says less.
        if "tidegate_plugin" not in file[0] and "/lib/python" not in file[0] and not file[0].startswith("/python"):
            places.insert(0, f"{file[-1]}:{trace.tb_lineno}" + ("" if code.co_name == "<module>" else f" in {code.co_name}"))
        trace = trace.tb_next
    at = f", at {', '.join(places[:FRAMES_MAX])}" if places else ""
    return utf8(f"{type(error).__name__}: {error}{at}")
