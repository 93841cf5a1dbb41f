"""Answers what clients send on `{{channel}}`."""

from tidegate_plugin import Context, Outcome, handler

from channel_types import {{inbound}}


# To publish a `{{payload}}` to the subscribers: `effects=[emit(context.topic, payload)]`, and the grant in plugin.yaml.
@handler
def handle(context: Context, payload: {{inbound}}) -> Outcome:
    return Outcome(payload)
