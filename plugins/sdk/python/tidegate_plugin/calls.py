"""One call from the text the host gives to the answer it gets; whatever a function raises becomes a clean refusal."""

import json
from collections.abc import Callable
from typing import Any, get_type_hints

from .answers import ABSENT, Action, Decision, Emit, Outcome, Publish, json_text
from .context import Context
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
        effects = list(outcome.effects)
        for effect in effects:
            if not isinstance(effect, (Emit, Publish)):
                raise TypeError(f"`effects`: expected what emit() and publish() make, found {type(effect).__name__}")
        return None if outcome.reply is ABSENT else json_text(outcome.reply), effects
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
            raise TypeError(f"`{function.__name__}` must return allow() or deny(), not {type(decision).__name__}")
        return decision
    except BaseException as error:
        raise Failed(told(error)) from error


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
