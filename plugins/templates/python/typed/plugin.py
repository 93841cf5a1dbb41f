"""Answers what clients send on `{{channel}}`."""

from tidegate_plugin import Context, Outcome, handler

from channel_types import {{inbound}}


# Subscribers receive a `{{payload}}`: `Outcome(effects=[emit(context.topic, payload)])`.
@handler
def handle(context: Context, payload: {{inbound}}) -> Outcome:
    return Outcome(payload)
