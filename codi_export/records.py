"""Records of `spec` to JSON values and back. Standard library only."""

import contextlib
import dataclasses
import types
import typing
from typing import Any, Literal, TypeVar

from codi_export.errors import CodiError, ErrorCode

T = TypeVar("T")


def to_json(record: Any) -> Any:
    """A record as JSON values (dicts, lists, strings, numbers)."""
    return dataclasses.asdict(record)


def from_json(kind: type[T], value: Any) -> T:
    """The record of type `kind` that `to_json` wrote; unknown keys are ignored.

    Raises CodiError (bad-bundle) for a missing or wrong value.
    """
    try:
        return typing.cast(T, _decode(kind, value))
    except (KeyError, TypeError, ValueError) as error:
        raise CodiError(ErrorCode.BAD_BUNDLE, f"not a valid {kind.__name__}: {error}") from error


def _decode(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        known = [f for f in dataclasses.fields(kind) if f.name in value]
        return typing.cast(Any, kind)(**{f.name: _decode(hints[f.name], value[f.name]) for f in known})
    if origin is tuple and arguments[-1] is Ellipsis:
        return tuple(_decode(arguments[0], item) for item in value)
    if origin is tuple:
        return tuple(_decode(item_kind, item) for item_kind, item in zip(arguments, value, strict=True))
    if origin is dict:
        return {str(key): _decode(arguments[1], item) for key, item in value.items()}
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"expected one of {arguments}, got {value!r}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _decode_union(kind, value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    return value


def _decode_union(kind: Any, value: Any) -> Any:
    """The first of the kinds that fits."""
    if value is None and type(None) in typing.get_args(kind):
        return None
    for option in typing.get_args(kind):
        if option is not type(None):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                return _decode(option, value)
    raise TypeError(f"expected {kind}, got {value!r}")
