"""Dataclasses as plain values of JSON and back, by the annotations of their fields. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gearing.names import check_names

_WORDS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}  # which JSON has no numbers for


def plain(value: Any) -> Any:
    """Values that JSON can hold: dataclasses as objects, tuples as lists, dates as text, infinity as a word."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "tolist"):  # of numpy
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value if isinstance(value, str | int | float | NoneType) else str(value)


def made(kind: Any, value: Any, place: str = "") -> Any:
    """A value of a type from what `plain` gave.

    Parameters
    ----------
    kind : type or annotation
        Dataclasses, tuples, mappings of texts, unions, literals, dates, numbers, flags and texts.
    place : str
        Names of the fields that lead there, for messages.

    Raises
    ------
    ValueError
        Naming the place, for a value of another type, an unknown field, or one that is missing.
    """
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (UnionType, Union):
        return _one_of(get_args(kind), value, place)
    if origin is Literal:
        return value if value in get_args(kind) else _refuse(value, place)
    if origin is tuple:
        return _tuple(get_args(kind), value, place)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(get_args(kind)[1], value, place)
    if is_dataclass(kind):
        return _dataclass(kind, value, place)
    return _scalar(kind, value, place)


def _scalar(kind: Any, value: Any, place: str) -> Any:
    if kind is float:
        value = _WORDS.get(value, value) if isinstance(value, str) else value
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (abs(value) > 1e300) != math.isinf(value)
        ):
            _refuse(value, place)
        return float(value)
    if kind is date and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            _refuse(value, place)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        _refuse(value, place)
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    for kind in kinds:
        if kind is not NoneType:
            try:
                return made(kind, value, place)
            except ValueError as error:
                problem = error
    raise problem


def _tuple(kinds: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        _refuse(value, place)
    if kinds[-1] is Ellipsis:
        return tuple(made(kinds[0], one, f"{place}.{k}") for k, one in enumerate(value))
    if len(value) != len(kinds):
        _refuse(value, place)
    return tuple(
        made(kind, one, f"{place}.{k}") for k, (kind, one) in enumerate(zip(kinds, value, strict=True))
    )


def _mapping(kind: Any, value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(value, place)
    return {name: made(kind, one, f"{place}.{name}") for name, one in value.items()}


def _dataclass(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        _refuse(value, place)
    known = _annotations(kind)
    check_names("no field", (f"{place}.{name}".lstrip(".") for name in value),
                (f"{place}.{name}".lstrip(".") for name in known))  # fmt: skip
    given = {name: made(known[name], one, f"{place}.{name}".lstrip(".")) for name, one in value.items()}
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(f"{place or 'the whole'}: {_reason(error)}") from error


def _reason(error: TypeError) -> str:
    """Missing fields, without Python's name of the constructor."""
    return str(error).partition("() ")[2].replace("required positional argument", "field") or str(error)


@cache
def _annotations(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _refuse(value: Any, place: str) -> Any:
    raise ValueError(f"{place or 'the whole'} is {str(value)[:80]!r}")
