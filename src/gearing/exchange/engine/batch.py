"""Calls of the compiled loop on blocks of accounts, by one or several threads.

Passing two dozen arrays costs more than an account's step, so a call passes the address of one ``frame`` with the
addresses of all arrays. Accounts are independent, so results do not depend on the threads.

``advance`` is compiled once and serves single steps, whole paths, observations after a reset, and every thread; the
same source runs interpreted under ``NUMBA_DISABLE_JIT=1``.
"""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numba import typeof, types

from gearing.exchange.engine.compiled import INTERPRETED, array_at, loop
from gearing.exchange.engine.intervals import advance_accounts, misplaced_account, rests_unseen
from gearing.exchange.engine.parts import marked
from gearing.exchange.kernel import clear_ledgers
from gearing.exchange.records import (
    account_dtype,
    close_dtype,
    contract_dtype,
    guard_dtype,
    ledger_dtype,
    margin_tier_dtype,
    position_dtype,
    records,
    row_dtype,
    settlement_dtype,
    step_dtype,
)

_ARRAYS = (
    "active", "accounts", "positions", "contracts", "tiers", "rows", "settlements", "ledgers", "blank",
    "steps", "growth", "targets", "guards", "features", "observations", "saturated", "recorded_steps",
    "recorded_ledgers", "places", "closes",
)  # fmt: skip
_SIZES = (
    "n_accounts", "n_slots", "n_paths", "n_contracts", "n_tiers", "n_rows", "n_settlements", "n_bars", "n_features",
    "n_columns", "n_targets", "stride", "n_decisions", "with_guards", "n_recorded_steps", "n_recorded_ledgers",
    "single", "n_places", "n_closes",
)  # fmt: skip
# Addresses and sizes of the arrays of a call.
frame_dtype = np.dtype(
    [(name, "i8") for name in (*_ARRAYS, *_SIZES)] + [("largest_target", "f8")], align=True
)
_BOOL, _INT, _INT32, _FLOAT, _FLOAT32 = (np.dtype(name) for name in ("?", "i8", "i4", "f8", "f4"))

UNSEEN_ORDERS = -0.5
STEPS_PER_THREAD = 2048  # fewer steps of accounts take less time than to hand them to a thread


def _advance(address: int, config: np.ndarray, begin: int, end: int) -> float:
    """Advance accounts ``begin`` to ``end`` by the call that the frame at ``address`` describes; returns 0.

    ``config`` are the settings; their marks choose what is compiled (``parts.py``).

    If a target of a single step exceeds ``largest_target``, nothing happens, and that target is returned. If account i
    stands nowhere in the rows, nothing happens, and -1 - i is returned. If an order rests and the code has no resting
    orders, nothing happens, and ``UNSEEN_ORDERS`` is returned.
    """
    frame = array_at(address, (1,), frame_dtype)[0]
    n, slots = frame.n_accounts, frame.n_slots
    misplaced = misplaced_account(
        begin, end, array_at(frame.active, (n,), _BOOL), array_at(frame.accounts, (n,), account_dtype),
        array_at(frame.rows, (frame.n_rows, frame.n_contracts), row_dtype), frame.n_paths,
        frame.n_columns > 0,
    )  # fmt: skip
    if misplaced >= 0:
        return -1.0 - misplaced
    if rests_unseen(array_at(frame.positions, (n, slots), position_dtype), config[0]):
        return UNSEEN_ORDERS
    if frame.single:
        targets = array_at(frame.targets, (frame.n_targets, slots), _FLOAT)
        largest = 0.0
        for t in range(frame.n_targets):
            for s in range(slots):
                if abs(targets[t, s]) > largest:  # NaN holds the position
                    largest = abs(targets[t, s])
        if largest > frame.largest_target:
            return largest
    advance_accounts(
        begin,
        end,
        array_at(frame.active, (n,), _BOOL),
        array_at(frame.accounts, (n,), account_dtype),
        array_at(frame.positions, (n, slots), position_dtype),
        array_at(frame.contracts, (frame.n_paths, frame.n_contracts), contract_dtype),
        config,
        array_at(frame.tiers, (frame.n_tiers,), margin_tier_dtype),
        array_at(frame.rows, (frame.n_rows, frame.n_contracts), row_dtype),
        array_at(frame.settlements, (frame.n_settlements,), settlement_dtype),
        array_at(frame.ledgers, (n, slots), ledger_dtype),
        array_at(frame.blank, (1, 1), ledger_dtype),
        array_at(frame.steps, (n,), step_dtype),
        array_at(frame.growth, (n,), _FLOAT),
        array_at(frame.targets, (frame.n_targets, slots), _FLOAT),
        frame.stride,
        frame.n_decisions,
        array_at(frame.guards, (n, slots), guard_dtype),
        frame.with_guards,
        array_at(frame.features, (frame.n_bars, frame.n_features), _FLOAT32),
        array_at(frame.observations, (n, frame.n_columns), _FLOAT32),
        array_at(frame.saturated, (n,), _INT),
        array_at(frame.recorded_steps, (n, frame.n_recorded_steps), step_dtype),
        array_at(frame.recorded_ledgers, (n, frame.n_recorded_ledgers, slots), ledger_dtype),
        array_at(frame.places, (frame.n_places,), _INT32),
        array_at(frame.closes, (n, frame.n_closes, slots), close_dtype),
    )
    return 0.0


advance = loop(_advance)


@cache
def _threads(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of a process: a fork has none of its parent's."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="gearing")


class Kernel:
    """The compiled loop bound to the arrays of one simulation, on one or several threads.

    Results do not depend on the number of threads.

    Parameters
    ----------
    accounts, positions, contracts, config, tiers, rows, settlements, ledgers, steps : recarrays
        See ``records.py``. ``contracts`` is (n_paths, n_contracts); one dimension is the same contracts on one path.
        Market arrays (contracts to settlements) are never written: they may be shared memory-mapped files.
    features, observations : float32 arrays
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
        self, accounts: np.ndarray, positions: np.ndarray, contracts: np.ndarray, config: np.ndarray,
        tiers: np.ndarray, rows: np.ndarray, settlements: np.ndarray, ledgers: np.ndarray, steps: np.ndarray,
        features: np.ndarray, observations: np.ndarray, saturated: np.ndarray, n_threads: Any = 1,
        largest_target: float = np.inf,
    ) -> None:  # fmt: skip
        n, slots = positions.shape
        if isinstance(n_threads, bool) or not isinstance(n_threads, Integral):
            raise TypeError(f"n_threads is {n_threads!r}; it must be a whole number.")
        if n_threads < 1:
            raise ValueError(f"n_threads is {n_threads}; it must be at least 1.")
        self.n_accounts = n
        blank = records((1, 1), ledger_dtype)
        clear_ledgers(blank, 0)
        contracts = contracts.reshape(-1, contracts.shape[-1])
        self._active, self._targets = np.ones(n, np.bool_), np.zeros((n, slots))
        self._guards, self.growth = records((n, slots), guard_dtype), np.zeros(n)
        self._n_threads = n_threads
        self._no_record = (records((n, 0), step_dtype), records((n, 0, slots), ledger_dtype))
        self._arrays = {
            "active": self._active, "accounts": accounts, "positions": positions, "contracts": contracts,
            "tiers": tiers, "rows": rows, "settlements": settlements, "ledgers": ledgers,
            "blank": blank, "steps": steps, "growth": self.growth, "guards": self._guards, "features": features,
            "observations": observations, "saturated": saturated,
            "places": np.zeros(0, np.int32), "closes": records((n, 0, slots), close_dtype),
        }  # fmt: skip
        self._frame = np.zeros(1, frame_dtype)
        self._put(**self._arrays)
        self._set(
            n_accounts=n, n_slots=slots, n_paths=contracts.shape[0], n_contracts=contracts.shape[1],
            n_tiers=tiers.size, n_rows=rows.shape[0], n_settlements=settlements.size, n_bars=features.shape[0],
            n_features=features.shape[1], largest_target=largest_target,
        )  # fmt: skip
        self._address = self._frame.ctypes.data
        self._entry: Any = None
        self._config = self._settings = config
        self._compile(stops=False)
        self._mode = ""
        self._planned: tuple[np.ndarray, ...] = ()
        self._blocks = [(0, n)]

    def __reduce__(self) -> Any:
        raise TypeError("a kernel holds addresses of its simulator's arrays; copy or pickle the Simulator.")

    def _put(self, **arrays: np.ndarray) -> None:
        """Set the addresses of arrays, which the caller keeps alive."""
        for name, array in arrays.items():
            if not array.flags.c_contiguous:
                raise ValueError(f"the array {name} of a kernel must be C-contiguous.")
            self._frame[name] = array.ctypes.data

    def _set(self, **sizes: float) -> None:
        for name, size in sizes.items():
            self._frame[name] = size

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
        mode = "step" if guards is None else "step with guards"
        if guards is not None:
            self._guards[...] = guards
        if mode != self._mode:
            self._plan(mode, self._targets, 0 if guards is None else 1, 1, 1, self._no_record, True)
        return self._call()

    def record_closes(self, rows: np.ndarray) -> np.ndarray:
        """From now on, record every account at the closes of some rows (n_closes,); no rows end it.

        Returns
        -------
        (n_accounts, n_closes, n_slots) array of ``close_dtype``
            Written by later steps; a row that an account does not reach stays zero.
        """
        arrays, slots = self._arrays, self._targets.shape[1]
        arrays["places"] = np.full(arrays["rows"].shape[0] if rows.size else 0, -1, np.int32)
        arrays["places"][rows] = np.arange(rows.size)
        arrays["closes"] = records((self.n_accounts, rows.size, slots), close_dtype)
        self._put(places=arrays["places"], closes=arrays["closes"])
        self._set(n_places=arrays["places"].size, n_closes=rows.size)
        return arrays["closes"]

    def observe(self, active: np.ndarray) -> None:
        """Observations of accounts that were just reset."""
        self._active[:] = active
        self._plan("observe", self._targets, 0, 0, 0, self._no_record, True)
        self._call()

    def run(
        self, active: np.ndarray, targets: np.ndarray, stride: int, n_decisions: int,
        recorded_steps: np.ndarray, recorded_ledgers: np.ndarray,
    ) -> None:  # fmt: skip
        """Whole paths of precomputed targets, shape (n_decisions or n_accounts * n_decisions, n_slots)."""
        self._active[:] = active
        self._plan("run", targets, 0, stride, n_decisions, (recorded_steps, recorded_ledgers), False)
        self._call()
        self._mode, self._planned = "", ()  # the arrays of this call belong to the caller

    def _plan(
        self, mode: str, targets: np.ndarray, with_guards: int, stride: int, n_decisions: int,
        record: tuple[np.ndarray, np.ndarray], observing: bool,
    ) -> None:  # fmt: skip
        planned = (targets, *record)
        if self._mode == "" or any(a is not b for a, b in zip(planned, self._planned, strict=True)):
            self._put(targets=targets, recorded_steps=record[0], recorded_ledgers=record[1])
            self._set(
                n_targets=len(targets), n_recorded_steps=record[0].shape[1], n_recorded_ledgers=record[1].shape[1],
            )  # fmt: skip
        self._set(
            with_guards=with_guards, stride=stride, n_decisions=n_decisions,
            n_columns=self._arrays["observations"].shape[1] if observing else 0, single=mode.startswith("step"),
        )  # fmt: skip
        self._mode, self._planned = mode, planned
        n_blocks = min(
            self._n_threads, max(1, self.n_accounts * n_decisions // STEPS_PER_THREAD), self.n_accounts
        )
        self._blocks = list(pairwise(self.n_accounts * k // n_blocks for k in range(n_blocks + 1)))

    def _compile(self, stops: bool) -> None:
        """Compile the loop for the parts that this simulation needs, or read it from the cache."""
        self._stops = stops
        if not INTERPRETED:
            self._settings = marked(self._config.view(np.ndarray), stops)
            number = types.int64
            self._entry = advance.compile((number, typeof(self._settings), number, number))

    def _call(self) -> float:
        if INTERPRETED:
            return self._interpret()
        if self._mode == "step with guards" and not self._stops:
            self._compile(stops=True)
        found = self._advanced()
        if found == UNSEEN_ORDERS:
            self._compile(stops=True)
            found = self._advanced()
        return self._checked(found)

    def _advanced(self) -> float:
        """What the loop returns for all blocks."""
        first, *others = self._blocks
        if not others:
            return self._advance(*first)
        threads = _threads(len(others), os.getpid())
        futures = [threads.submit(self._advance, *block) for block in others]
        try:
            found = self._advance(*first)
        finally:
            wait(futures)
        return min(found, *(future.result() for future in futures))

    def _checked(self, found: float) -> float:
        """What a call returned, unless it is the number of a misplaced account."""
        if found < 0.0:
            i = int(-1.0 - found)
            where = self._arrays["accounts"].view(np.ndarray)[i]
            raise IndexError(
                f"account {i} stands at row {where['row']} of path {where['path']}, at which nothing is decided: reset "
                "the accounts before they step, and leave their row, last_row and path alone."
            )
        return found

    def _advance(self, begin: int, end: int) -> float:
        """One block; a thread that calls it keeps the arrays alive."""
        return self._entry(self._address, self._settings, begin, end)

    def _interpret(self) -> float:
        """The same call in plain Python, on one thread."""
        a, f, (targets, *record) = self._arrays, self._frame[0], self._planned
        columns = int(f["n_columns"])
        misplaced = misplaced_account(
            0, self.n_accounts, a["active"], a["accounts"], a["rows"], a["contracts"].shape[0], columns > 0
        )
        if misplaced >= 0:
            return self._checked(-1.0 - misplaced)
        largest = np.fmax.reduce(np.abs(targets), axis=None, initial=0.0)
        if f["single"] and largest > f["largest_target"]:
            return float(largest)
        advance_accounts(
            0, self.n_accounts, a["active"], a["accounts"], a["positions"], a["contracts"], self._config, a["tiers"],
            a["rows"], a["settlements"], a["ledgers"], a["blank"], a["steps"], a["growth"], targets,
            int(f["stride"]), int(f["n_decisions"]), a["guards"], bool(f["with_guards"]), a["features"],
            a["observations"][:, :columns], a["saturated"], *record,
            a["places"], a["closes"],
        )  # fmt: skip
        return 0.0
