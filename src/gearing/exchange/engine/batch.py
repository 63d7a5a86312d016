"""Calls of the compiled loop on blocks of accounts, by one or several threads.

AccountArrays are independent, so results do not depend on the threads.
"""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numba import typeof

from gearing.exchange.engine.compiled import INTERPRETED
from gearing.exchange.engine.intervals import UNSEEN_ORDERS, AccountArrays, MarketArrays, Plan, advance
from gearing.exchange.engine.parts import INVERSE, marked, needed_parts
from gearing.exchange.records import (
    close_dtype,
    config_dtype,
    contract_dtype,
    guard_dtype,
    ledger_dtype,
    margin_tier_dtype,
    records,
    row_dtype,
    settlement_dtype,
    step_dtype,
)

_LAYOUTS = MarketArrays(
    contract_dtype, config_dtype, margin_tier_dtype, row_dtype, settlement_dtype, np.dtype(np.float32)
)
STEPS_PER_THREAD = 2048  # fewer steps of accounts take less time than to hand them to a thread


@cache
def _threads(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of a process: a fork has none of its parent's."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="gearing")


class Kernel:
    """The compiled loop bound to the arrays of one simulation, on one or several threads.

    Results do not depend on the number of threads.

    Parameters
    ----------
    markets : MarketArrays
        Never written: they may be shared memory-mapped files.
    accounts, positions, ledgers, steps : recarrays
        See ``records.py``. No two arrays may share memory.
    observations : (n_accounts, n_columns) float32
    saturated : (n_accounts,) int64, counts of observed values clipped to their bounds
    n_threads : int
        At most; few accounts are advanced by one.
    largest_target : float
        A step with a target leverage beyond it is refused.

    Attributes
    ----------
    growth : (n_accounts,) float64
        Logarithmic growth of each account's last step.
    """

    def __init__(
        self, markets: MarketArrays, accounts: np.ndarray, positions: np.ndarray, ledgers: np.ndarray,
        steps: np.ndarray, observations: np.ndarray, saturated: np.ndarray, n_threads: Any = 1,
        largest_target: float = np.inf,
    ) -> None:  # fmt: skip
        n, slots = positions.shape
        if isinstance(n_threads, bool) or not isinstance(n_threads, Integral):
            raise TypeError(f"n_threads is {n_threads!r}; it must be a whole number.")
        if n_threads < 1:
            raise ValueError(f"n_threads is {n_threads}; it must be at least 1.")
        self.n_accounts = n
        self._active, self._targets = np.ones(n, np.bool_), np.zeros((n, slots))
        self._guards, self.growth = records((n, slots), guard_dtype), np.zeros(n)
        self._n_threads = n_threads
        self._largest = float(largest_target)
        self._no_record = (records((n, 0), step_dtype), records((n, 0, slots), ledger_dtype))
        self._given, self._markets = markets, MarketArrays(*map(unwritten, markets, _LAYOUTS))
        self._batch = AccountArrays(*map(_contiguous, (
            self._active, accounts, positions, ledgers, steps, self.growth, observations, saturated, np.zeros(n),
        )))  # fmt: skip
        self._places, self._closes = np.zeros(0, np.int32), records((n, 0, slots), close_dtype)
        self._plan_steps()
        self._compile(stops=False)

    def __reduce__(self) -> Any:
        raise TypeError("a kernel is bound to its simulator's arrays; copy or pickle the Simulator.")

    def _plan_steps(self) -> None:
        observing = self._batch.observations.shape[1] > 0

        def plan(with_guards: bool, count: int) -> Plan:
            return Plan(
                self._targets, self._guards, 1, count, with_guards, observing, self._largest if count else 0.0,
                *self._no_record, self._places, self._closes,
            )  # fmt: skip

        self._observe, self._step, self._guarded = plan(False, 0), plan(False, 1), plan(True, 1)

    def step(self, active: np.ndarray, targets: np.ndarray, guards: np.ndarray | None = None) -> float:
        """One decision interval of the active accounts, with observations.

        Returns 0, or a target beyond the largest one: then no account has stepped.

        Raises
        ------
        IndexError
            If an active account stands at no row of the market: it was not reset, or its record was changed.
        """
        self._active[:] = active
        self._targets[...] = targets
        if guards is None:
            return self._call(self._step)
        self._guards[...] = guards
        return self._call(self._guarded)

    def record_closes(self, rows: np.ndarray) -> np.ndarray:
        """From now on, record every account at the closes of some rows (n_closes,); no rows end it.

        Returns
        -------
        (n_accounts, n_closes, n_slots) array of ``close_dtype``
            Written by later steps; a row that an account does not reach stays zero.
        """
        self._places = np.full(self._markets.rows.shape[0] if rows.size else 0, -1, np.int32)
        self._places[rows] = np.arange(rows.size)
        self._closes = records((self.n_accounts, rows.size, self._targets.shape[1]), close_dtype)
        self._plan_steps()
        return self._closes

    def observe(self, active: np.ndarray) -> None:
        """Observations of accounts that were just reset."""
        self._active[:] = active
        self._call(self._observe)

    def run(
        self, active: np.ndarray, targets: np.ndarray, stride: int, n_decisions: int,
        recorded_steps: np.ndarray, recorded_ledgers: np.ndarray,
    ) -> None:  # fmt: skip
        """Whole paths of precomputed targets, shape (n_decisions or n_accounts * n_decisions, n_slots)."""
        self._active[:] = active
        for array in (targets, recorded_steps, recorded_ledgers):
            _contiguous(array)
        self._call(Plan(
            targets, self._guards, stride, n_decisions, False, False, 0.0, recorded_steps, recorded_ledgers,
            self._places, self._closes,
        ))  # fmt: skip

    def read_terms(self) -> None:
        """Read the records of contracts and settings again, after somebody changed them."""
        self._compile(self._stops)

    def _compile(self, stops: bool) -> None:
        """Compile the loop for the parts that this simulation needs, or read it from the cache."""
        self._stops = stops
        self._advance: Any = advance
        if not INTERPRETED:
            contracts, config = self._given.contracts, self._given.config
            parts = needed_parts(config, contracts, self._targets.shape[1], stops)
            config = marked(config, parts)
            contracts = marked(contracts, (INVERSE,) if INVERSE in parts else ())
            self._markets = self._markets._replace(
                config=unwritten(config, config.dtype), contracts=unwritten(contracts, contracts.dtype)
            )
            # Called without numba's look-up of the arguments' types, which takes longer than many steps.
            self._advance = advance.compile(
                tuple(map(typeof, (self._markets, self._batch, self._step, 0, 0)))
            )

    def _call(self, plan: Plan) -> float:
        if plan.with_guards and not self._stops:
            self._compile(stops=True)
        found = self._blocks(plan)
        if found == UNSEEN_ORDERS:
            self._compile(stops=True)
            found = self._blocks(plan)
        return self._checked(found)

    def _blocks(self, plan: Plan) -> float:
        """What the loop returns for all blocks of accounts."""
        n = self.n_accounts
        n_blocks = min(self._n_threads, max(1, n * plan.n_decisions // STEPS_PER_THREAD), n)
        if n_blocks == 1 or INTERPRETED:
            return self._advance(self._markets, self._batch, plan, 0, n)
        first, *others = pairwise(n * k // n_blocks for k in range(n_blocks + 1))
        threads = _threads(len(others), os.getpid())
        futures = [
            threads.submit(self._advance, self._markets, self._batch, plan, *block) for block in others
        ]
        try:
            found = self._advance(self._markets, self._batch, plan, *first)
        finally:
            wait(futures)
        return min(found, *(future.result() for future in futures))

    def _checked(self, found: float) -> float:
        """What a call returned, unless it is the number of a misplaced account."""
        if found < 0.0:
            i = int(-1.0 - found)
            where = self._batch.accounts.view(np.ndarray)[i]
            raise IndexError(
                f"account {i} stands at row {where['row']} of path {where['path']}, at which nothing is decided: reset "
                "the accounts before they step, and leave their row, last_row and path alone."
            )
        return found


def _contiguous(array: np.ndarray) -> np.ndarray:
    """The array itself, if it has the layout that the loop is compiled for."""
    if not array.flags.c_contiguous:
        raise ValueError("the arrays of a kernel must be C-contiguous.")
    return array


def unwritten(array: np.ndarray, layout: np.dtype) -> np.ndarray:
    """A read-only view of a layout, so that arrays in memory and in files have one compiled type."""
    view = np.asarray(_contiguous(array)).view(layout)
    if INTERPRETED and layout.names:
        view = view.view(np.recarray)  # fields are attributes, as in compiled code
    view.flags.writeable = False
    return view
