"""What windows remember from bar to bar, so that a new bar costs one row and not the look-back.

Features are functions of a whole market. Inside ``with memory.beginning():`` they are computed as usual, and each
window keeps the rows that later bars will need. Inside ``with memory.stepping():`` the same functions get a market of
one bar, and their windows take the earlier rows from the memory: the same operations in the same order, so the same
bits.

Windows are distinguished by the order of their calls: a feature has to call the same windows at every bar.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any

import numpy as np

_NAN = float("nan")


class Ring:
    """The last ``n`` rows of an array, one after the other.

    Parameters
    ----------
    x : array, shape (n_rows, ...)
    n : int
        Rows before the first of ``x`` are NaN.
    """

    def __init__(self, x: np.ndarray, n: int):
        kept, nothing = x[-n:].copy(), np.full((1, *x.shape[1:]), np.nan)
        # Rows as objects: taking one costs no copy.
        self.rows = deque([nothing] * (n - len(kept)) + [kept[k : k + 1] for k in range(len(kept))])

    def exchange(self, x: np.ndarray) -> np.ndarray:
        """The oldest row (1, ...); ``x`` (1, ...), which nobody may change afterwards, takes its place."""
        self.rows.append(x)
        return self.rows.popleft()


class Blocks:
    """The blocks of 1, 2, 4, ... bars that a window of ``n`` bars is combined from, as plain numbers.

    Arithmetic on Python's numbers has the bits of NumPy's and costs a tenth of it on one bar.

    Parameters
    ----------
    n : int
        Bars of the window.
    combine : callable
        ``combine(recent, older, bars in the recent part, bars in the older part)`` of two blocks.
    """

    def __init__(self, n: int, combine: Callable[[Any, Any, int, int], Any]):
        self.n, self.combine = n, combine
        self._smallest = n & -n
        self._reads: list[
            tuple[deque[Any], int, int]
        ] = []  # blocks, oldest first, and how `_order` reads them

    def keep(self, blocks: Sequence[Any], count: int) -> None:
        """Begin the next read of the block that was ``count`` bars ago: those of the last bars, at most as many."""
        nothing = tuple(_NAN for _ in blocks[0]) if isinstance(blocks[0], tuple) else _NAN
        earlier = deque([nothing] * (count - len(blocks)) + list(blocks))
        self._reads.append((earlier, *_order(self.n)[len(self._reads)]))

    def step(self, block: Any) -> Any:
        """The window's value at the coming bar, whose block of one bar is given."""
        combine, total = self.combine, block
        for earlier, covered, size in self._reads:
            earlier.append(block)
            if covered:
                total = combine(total, earlier.popleft(), covered, size)
                continue
            block = combine(block, earlier.popleft(), size, size)
            if size < self._smallest:
                total = block
        return total


@cache
def _order(n: int) -> tuple[tuple[int, int], ...]:
    """Earlier blocks that a window of ``n`` bars reads, in order: (bars of the total that it joins, its own bars).

    0 where it joins the block of the same size, which becomes one of twice the size.
    """
    found, size, covered = list[tuple[int, int]](), 1, 0
    while True:
        if n & size:
            if covered:
                found.append((covered, size))
            covered += size
        if 2 * size > n:
            return tuple(found)
        found.append((0, size))
        size *= 2


class SpacedRing:
    """The last ``n`` rows of an array, read ``step`` rows apart; ``n`` is a multiple of ``step``."""

    def __init__(self, x: np.ndarray, n: int, step: int):
        self.rows = np.full((n, *x.shape[1:]), np.nan)
        kept = x[-n:]
        self.rows[n - len(kept) :] = kept
        self.step, self.oldest = step, 0

    def exchange(self, x: np.ndarray) -> np.ndarray:
        """Rows ``step``, 2 ``step``, ... before the coming one (n / step, ...), in any order; ``x`` (1, ...) joins."""
        found = self.rows[self.oldest % self.step :: self.step].copy()
        self.rows[self.oldest] = x[0]
        self.oldest = (self.oldest + 1) % len(self.rows)
        return found


class Seen:
    """The latest value that was marked present, and its age in bars."""

    def __init__(self, value: np.ndarray, age: np.ndarray):
        self.value, self.age = value, age

    def step(self, x: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and age at the coming bar, each (1, ...)."""
        self.value = np.where(present, x, self.value)
        self.age = np.where(present, 0, self.age + 1)
        return self.value, self.age


class WindowMemory:
    """The memory of all windows of some features, computed in a fixed order."""

    def __init__(self) -> None:
        self.is_stepping = False
        self.results: dict[Any, Any] = {}  # of this bar, see `once`
        self._cells: list[Any] = []
        self._next = 0

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Windows that are computed inside begin their memory."""
        self._cells, self.is_stepping, self.results = [], False, {}
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self.results = {}

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Windows that are computed inside continue it, one bar at a time."""
        self._next, self.is_stepping, self.results = 0, True, {}
        token = _current.set(self)
        try:
            yield
            if self._next != len(self._cells):
                raise RuntimeError(
                    f"{self._next} windows were computed at this bar, {len(self._cells)} at first."
                )
        finally:
            _current.reset(token)

    def keep(self, cell: Any) -> None:
        """Remember what a window needs at the next bar."""
        self._cells.append(cell)

    def take(self) -> Any:
        """What the window remembered whose turn it is."""
        cell = self._cells[self._next]
        self._next += 1
        return cell


_current: ContextVar[WindowMemory | None] = ContextVar("window memory", default=None)
current = _current.get


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute a function of a market once for all features of a `WindowMemory` that call it with the same arguments.

    Nobody may write into its result. Outside a memory it is computed at every call.
    """

    @wraps(function)
    def computed(market: Any, *arguments: Any) -> Any:
        memory = current()
        if memory is None:
            return function(market, *arguments)
        key = (function, arguments)
        if key not in memory.results:
            memory.results[key] = function(market, *arguments)
        return memory.results[key]

    return computed
