"""The component's side: what the build exports. Importable only while a component is built."""

# A component has no file system: what the standard library imports late, it finds only if it was imported now.
import _strptime  # noqa: F401
import encodings.ascii  # noqa: F401
import encodings.idna  # noqa: F401
import encodings.latin_1  # noqa: F401
from typing import Any

from wit_world.imports import clock, config, log, random
from wit_world.imports.types import Context as WitContext
from wit_world.imports.types import User as WitUser

from .. import host
from ..context import Context, User

LEVELS = {level.name.lower(): level for level in log.Level}


class Imports:
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


def context(ctx: WitContext) -> Context:
    """The call, as the SDK tells of it."""
    user = None if ctx.user is None else User(ctx.user.id, ctx.user.roles, ctx.user.tenant)
    return Context(
        ctx.topic, ctx.channel, dict(ctx.params), user,
        ctx.connection_id, ctx.received_at_ms, ctx.deadline_ms, dict(ctx.attributes),
    )


def wit_user(user: User | None) -> WitUser | None:
    """The user, as the contract tells of them."""
    return None if user is None else WitUser(user.id, list(user.roles), user.tenant)


def registered(kind: str, position: int) -> tuple[Any, Any]:
    """The function of this kind and the annotation of its payload. Its lack fails the build."""
    from ..calls import payload_kind
    from ..registry import functions

    if kind not in functions:
        raise SystemExit(f"error: the module has no function with @{kind}\nhint: decorate one, or leave `{kind}` out of `build`")
    return functions[kind], payload_kind(functions[kind], position)
