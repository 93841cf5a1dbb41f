"""Values of JSON as what an annotation says: dataclasses, TypedDicts, enums, lists, dicts, tuples, unions, literals."""

import dataclasses
import types
from enum import Enum
from typing import Any, Annotated, Literal, NotRequired, Required, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null", list: "a list", dict: "an object"}


class Mismatch(Exception):
    """The value is not what the annotation says; the message says where and why."""


def decode(value: Any, kind: Any, path: str = "") -> Any:
    """The value as `kind`. Names of an object that a dataclass does not have are ignored."""
    if kind is Any or kind is object or isinstance(kind, TypeVar):
        return value
    origin = get_origin(kind)
    if origin in (Annotated, Required, NotRequired):
        return decode(value, get_args(kind)[0], path)
    if origin in (Union, types.UnionType):
        return _union(value, get_args(kind), path)
    if origin is Literal:
        # By type as well: True is 1 in Python, and not in JSON.
        if not any(type(value) is type(choice) and value == choice for choice in get_args(kind)):
            raise _mismatch(path, " or ".join(map(repr, get_args(kind))), value)
        return value
    if dataclasses.is_dataclass(kind) or dataclasses.is_dataclass(origin):
        return _dataclass(value, origin or kind, path)
    if is_typeddict(kind):
        return _typed_dict(value, kind, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(value, kind, path)
    return _builtin(value, kind, origin or kind, get_args(kind), path)


def _builtin(value: Any, kind: Any, origin: Any, arguments: tuple[Any, ...], path: str) -> Any:
    if origin is None:
        origin = type(None)
    if origin is list:
        [item] = arguments or (Any,)
        return [decode(each, item, f"{path}[{at}]") for at, each in enumerate(_expect(value, list, path))]
    if origin is tuple and arguments:
        return _tuple(_expect(value, list, path), arguments, path)
    if origin is dict:
        # The names of an object are texts, whatever the annotation hopes for.
        of = arguments[1] if arguments else Any
        return {name: decode(each, of, _below(path, name)) for name, each in _expect(value, dict, path).items()}
    if origin is float:
        # JSON has one kind of number; `1` is a float as good as `1.0`.
        return float(_expect(value, (int, float), path, float))
    if origin in (str, int, bool, type(None)):
        return _expect(value, origin, path)
    raise TypeError(f"`{path or 'payload'}`: {kind!r} is not an annotation for JSON")


def _tuple(items: list[Any], arguments: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(items)
    if len(items) != len(arguments):
        raise Mismatch(f"{_place(path)}expected a list of {len(arguments)}, found {len(items)}")
    return tuple(decode(each, kind, f"{path}[{at}]") for at, (each, kind) in enumerate(zip(items, arguments)))


def _union(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    first: Mismatch | None = None
    for kind in kinds:
        try:
            return decode(value, kind, path)
        except Mismatch as mismatch:
            # What `X | None` is about is X.
            first = first or mismatch
    raise first or Mismatch(f"{_place(path)}nothing is acceptable")


def _dataclass(value: Any, kind: type, path: str) -> Any:
    given, hints, arguments = _expect(value, dict, path), get_type_hints(kind, include_extras=True), {}
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        if field.name in given:
            arguments[field.name] = decode(given[field.name], hints[field.name], _below(path, field.name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise Mismatch(f"{_place(path)}`{field.name}` is missing")
    try:
        return kind(**arguments)
    except ValueError as error:
        # What `__post_init__` finds wrong is wrong with the message.
        raise Mismatch(f"{_place(path)}{error}") from error


def _typed_dict(value: Any, kind: Any, path: str) -> dict[str, Any]:
    given, hints = dict(_expect(value, dict, path)), get_type_hints(kind, include_extras=True)
    for name, of in hints.items():
        if name in given:
            given[name] = decode(given[name], of, _below(path, name))
        elif name in kind.__required_keys__:
            raise Mismatch(f"{_place(path)}`{name}` is missing")
    return given


def _enum(value: Any, kind: type[Enum], path: str) -> Enum:
    for member in kind:
        if type(value) is type(member.value) and value == member.value:
            return member
        # The value of a StrEnum's or IntEnum's member is the plain one.
    raise _mismatch(path, " or ".join(repr(member.value) for member in kind), value)


def _expect(value: Any, kind: Any, path: str, told: Any = None) -> Any:
    # True and False are ints in Python, and not in JSON.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _mismatch(path, NAMES[told or kind], value)
    return value


def _mismatch(path: str, expected: str, value: Any) -> Mismatch:
    return Mismatch(f"{_place(path)}expected {expected}, found {_found(value, expected)}")


def _found(value: Any, expected: str) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # Which one matters where a number is what it should be.
        return repr(value) if "number" in expected else "a number"
    return NAMES.get(type(value), repr(value))


def _place(path: str) -> str:
    return f"`{path}`: " if path else ""


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
