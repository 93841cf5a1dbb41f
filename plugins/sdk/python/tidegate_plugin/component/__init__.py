"""The component's side: what the build exports. Importable only while a component is built."""

# A component has no file system: what the standard library imports late, it finds only if it was imported now.
import _strptime  # noqa: F401
import encodings.ascii  # noqa: F401
import encodings.idna  # noqa: F401
import encodings.latin_1  # noqa: F401
from typing import Any

from wit_world.imports import clock, config, log, random

from .. import calls, host
from ..answers import Effect, Publish, Remove
from ..context import Context, User
from ..registry import functions
from .granted import Granted

try:
    from wit_world.imports import types
except ImportError:
    # A transform alone has no use for them.
    types = None

LEVELS = {level.name.lower(): level for level in log.Level}


class Imports(Granted):
    """The imports of the component."""

    def write(self, level: str, message: str, fields: list[tuple[str, str]]) -> None:
        log.write(LEVELS[level], message, fields)

    def get(self, key: str) -> str | None:
        return config.get(key)

    def now_ms(self) -> int:
        return clock.now_ms()

    def monotonic_us(self) -> int:
        return clock.monotonic_us()

    def random_bytes(self, length: int) -> bytes:
        return random.bytes(length)

    def next_u64(self) -> int:
        return random.next_u64()


host.bind(Imports())


def context(ctx: Any) -> Context:
    """The call, as the SDK tells of it."""
    return Context(
        ctx.topic, ctx.channel, dict(ctx.params), user(ctx.user),
        ctx.connection_id, ctx.received_at_ms, ctx.deadline_ms, dict(ctx.attributes),
    )


def user(wit: Any) -> User | None:
    """The user, as the SDK tells of them."""
    return None if wit is None else User(wit.id, wit.roles, wit.tenant)


def wit_user(user: User | None) -> Any:
    """The user, as the contract tells of them."""
    return None if user is None else types.User(user.id, list(user.roles), user.tenant)


def wit_effect(each: Effect) -> Any:
    """The effect, as the contract tells of it."""
    if isinstance(each, Publish):
        return types.Effect_Publish(types.Publish(each.kind, each.subject, each.data))
    if isinstance(each, Remove):
        return types.Effect_Remove(types.Remove(each.topic, each.key))
    return types.Effect_Emit(types.Emit(each.topic, each.payload, types.Audience[each.to.upper()]))


def mistake(error: BaseException) -> None:
    """Tells the log of an exception that is nobody's words, before the engine traps on it: the host counts it as a fault."""
    host.log.error(calls.told(error))


def registered(kind: str) -> Any:
    """The function of this kind. Its lack fails the build."""
    if kind not in functions:
        raise SystemExit(f"error: the module has no function with @{kind}\nhint: decorate one, or leave `{kind}` out of `build`")
    return functions[kind]
