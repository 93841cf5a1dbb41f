"""Lets the users listed in the config in, and nobody else."""

from tidegate_plugin import Action, Context, Decision, allow, authorizer, config, deny


@authorizer
def authorize(context: Context, action: Action, payload: object) -> Decision:
    if context.user is None:
        return deny("anonymous")
    user = context.user.id
    return allow() if user in config("members") else deny(f"`{user}` is no member")
