"""How a step is compiled.

The exchange's functions are plain Python that reads records and named tuples. Marks say what numba does with them
(:mod:`gearing.exchange.marking`); this module hands them to it:

* ``rule``: a function that compiled code may call;
* ``hot``: one that is inlined wherever it is called, on the path of every step;
* ``part``: one that is compiled only for simulations that need its part of the rules; for others a constant stands in
  its place. The types of the settings and contracts carry the marks of the parts (``parts.py``), so
  that numba compiles the loop once for each set of parts and caches it.

``loop`` compiles the one function that is called from Python, ``intervals.advance``; everything it calls is compiled
with it. Its arguments are three named tuples of arrays, the market, the accounts and the plan of a call, and the
accounts to advance.

What makes it fast:

* The loop is compiled for arrays that share no memory. Else every write to a position would force the account, the
  ledger and the row to be read again.
* With one slot, ``terms.n_slots`` is the constant 1, and all loops over slots disappear.
* Rows and features of a group of accounts are read at once (``intervals.read_ahead``): they lie anywhere in the
  history, and a step that waits for its own row takes twice as long.
* ``batch.Kernel`` calls the compiled function directly: numba's look-up of the types of so many arrays takes longer
  than a step.

What makes it slow to compile: numba types and lowers every function in Python. LLVM optimises all of them once, in the
loop (``storage/inner_functions.py``): as numba does it by itself, each would be optimised and made machine code alone
too, with all that it calls, and again for callers with other options and for constants among its arguments.
"""

from collections.abc import Iterable
from typing import Any

from numba import config, types
from numba.core.compiler import Compiler

from gearing.exchange.marking import compile_with, index, part_of
from gearing.storage.compiling import njit
from gearing.storage.inner_functions import inner

INTERPRETED = bool(config.DISABLE_JIT)

_OPTIONS: Any = {"error_model": "numpy"}
_NOT_NEGATIVE = 0x7FFF_FFFF_FFFF_FFFF


class _Separate(Compiler):
    """Compiles for arguments that share no memory: what is written to one array is not read again from others."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.state.flags.noalias = True


# Division as in NumPy: no branch for zero denominators. The GIL is released, so that threads can share the accounts.
# Without the runtime's reference counts: the loop only borrows its arrays, and counting them cost more than the rest.
loop = njit(
    cache=True, error_model="numpy", nogil=True, _nrt=False, no_cfunc_wrapper=True, pipeline_class=_Separate
)  # fmt: skip


def _compile(function: Any, is_hot: bool) -> None:
    """Let compiled code call a marked function."""
    found = part_of(function)
    if found is None:
        inner(function, forceinline=is_hot, **_OPTIONS)
        return
    name, absent = found

    def needed(kinds: Iterable[Any]) -> bool:
        return any(name in kind.fields for kind in _records(kinds))

    inner(function, needed, absent, forceinline=False, **_OPTIONS)


def _records(kinds: Iterable[Any]) -> list[Any]:
    """Types of the records among the types of a function's arguments."""
    found: list[Any] = []
    for kind in kinds:
        if isinstance(kind, types.Record):
            found.append(kind)
        elif isinstance(kind, types.BaseTuple):
            found.extend(_records(kind))
    return found


compile_with(_compile)


inner(index, compiled=lambda k: k & _NOT_NEGATIVE, forceinline=True, **_OPTIONS)
