"""Decorators that mark the exchange's functions for the compiler; the same source also runs interpreted.

``rule``    for plain functions; LLVM decides whether to inline them.
``hot``     for the few steps that every account takes and that read whole arrays: always inlined, because passing a
            dozen array structures costs more than the work. Callees would inherit the option, which multiplies the
            code, so ``rule`` switches it off.
``part``    for what only some simulations need: it is left out of the code that is compiled for the others.

Marking needs no compiler: an exported policy runs these functions where numba is not installed.
:mod:`gearing.exchange.engine.compiled` hands all marked functions to numba.
"""

from collections.abc import Callable
from typing import Any

_waiting: list[tuple[Callable[..., Any], bool]] = []
_parts: dict[Callable[..., Any], tuple[str, Any]] = {}
_compilers: list[Callable[[Callable[..., Any], bool], Any]] = []


def rule(function: Any) -> Any:
    """Mark a function that compiled code may call."""
    return _marked(function, False)


def hot(function: Any) -> Any:
    """Mark a function that compiled code inlines wherever it is called."""
    return _marked(function, True)


def part(name: str, absent: Any = None) -> Callable[[Any], Any]:
    """Mark a function of a part of the rules: code without the part returns ``absent`` in its place.

    A record with the marks of the parts, settings or a contract, is among its arguments or in a tuple of them;
    ``engine/parts.py`` says which parts a simulation needs.
    """

    def mark(function: Any) -> Any:
        _parts[function] = name, absent
        return _marked(function, False)

    return mark


def part_of(function: Callable[..., Any]) -> tuple[str, Any] | None:
    """Part of a function and what stands for it elsewhere; None of one that every simulation needs."""
    return _parts.get(function)


def index(k: int) -> int:
    """The same index; it tells the compiler that the index is not negative."""
    return k


def compile_with(compiler: Callable[[Callable[..., Any], bool], Any]) -> None:
    """Hand every marked function, and every later one, to a compiler: the function and whether it is hot."""
    _compilers.append(compiler)
    while _waiting:
        compiler(*_waiting.pop(0))


def _marked(function: Any, is_hot: bool) -> Any:
    if _compilers:
        _compilers[0](function, is_hot)
    else:
        _waiting.append((function, is_hot))
    return function
