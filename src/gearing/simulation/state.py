"""Arrays with a row per account: checks of those that callers give, and the state of a simulator as such arrays.

Compiled code reads these arrays unchecked, so every one passes here first. The state lets a checkpoint continue in the
middle of its episodes.
"""

import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from gearing.exchange.records import account_dtype, guard_dtype, ledger_dtype, position_dtype, step_dtype
from gearing.names import shown

_FLAT = np.zeros((), position_dtype)  # a slot without position and orders
for _order in ("stop", "take_profit", "trailing"):
    _FLAT[_order] = np.nan
_RECORDS = ("accounts", "positions", "ledgers", "steps", "observations", "saturated", "episode_keys")


def checked_count(n_accounts: Any, n_slots: int, n_columns: int) -> int:
    """Number of accounts, if it is one and their arrays fit into the machine's memory.

    Raises
    ------
    TypeError, ValueError
        If it is not a whole number, or less than one.
    MemoryError
        If the arrays need more than there is.
    """
    if isinstance(n_accounts, bool) or not isinstance(n_accounts, Integral):
        raise TypeError(
            f"the number of accounts is {shown(n_accounts)}; it must be a whole number, 1 or more."
        )
    if n_accounts < 1:
        raise ValueError(f"the number of accounts is {n_accounts}; it must be 1 or more.")
    slot = position_dtype.itemsize + ledger_dtype.itemsize + guard_dtype.itemsize
    needed = int(n_accounts) * (account_dtype.itemsize + step_dtype.itemsize + n_slots * slot + 4 * n_columns)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**47
    if needed > memory:
        raise MemoryError(
            f"{n_accounts:,} accounts need {needed / 2**30:,.1f} GiB; this machine has {memory / 2**30:,.1f} GiB. "
            "Take fewer."
        )
    return int(n_accounts)


def checked_mask(mask: Any, n_accounts: int) -> np.ndarray:
    """A mask of accounts (n_accounts,), bool; anything else is refused, so that indices are not taken for flags."""
    try:
        array = np.asarray(mask)
    except ValueError:
        array = np.asarray(None)
    if array.dtype != np.bool_ or array.shape != (n_accounts,):
        raise ValueError(
            f"the mask of accounts is {array.dtype} of shape {array.shape}; it must be bool of shape ({n_accounts},), "
            "True for the accounts that are meant."
        )
    return array


def checked_targets(
    targets: Any, n_accounts: int, slots: Sequence[str], sides: np.ndarray | None, path: bool = False
) -> np.ndarray:
    """Target leverages as float64: (n_accounts, n_slots), or of a ``path`` a series of such rows or one for each.

    ``sides`` are those of the legs in hedge mode.
    """
    try:
        array = np.asarray(targets, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"target leverages must be numbers, given {shown(targets)}.") from error
    if sides is not None:
        _check_legs(array, slots, sides)
    rows = (array.shape[-2],) if array.ndim > 1 else (0,)
    shapes = [(*rows, len(slots)), (n_accounts, *rows, len(slots))] if path else [(n_accounts, len(slots))]
    if array.shape not in shapes:
        wanted = "(n_decisions, n_slots) or (n_accounts, n_decisions, n_slots)" if path else str(shapes[0])
        raise ValueError(
            f"target leverages have shape {array.shape}; they must have shape {wanted}, a column for each of "
            f"{', '.join(slots)}{f', for {n_accounts} accounts' if path else ''}."
        )
    return array


def _check_legs(targets: np.ndarray, slots: Sequence[str], sides: np.ndarray) -> None:
    """Refuse targets (n_accounts, n_slots) that do not fit the legs of the contracts, whose ``sides`` are 1 and -1."""
    rule = (
        f"in hedge mode a policy returns signed target leverage for every leg, {', '.join(slots)}: long legs 0 or "
        "more, short legs 0 or less. Rules return one leverage per contract: use position_mode='one_way'."
    )
    if targets.shape[-1:] != (len(slots),):
        raise ValueError(
            f"{targets.shape[-1] if targets.ndim else 1} target leverages for {len(slots)} legs; {rule}"
        )
    against = targets.reshape(-1, len(slots)) * sides < 0.0
    if against.any():
        leg = slots[int(np.flatnonzero(against.any(axis=0))[0])]
        raise ValueError(f"a target leverage of {leg} is on the other side; {rule}")


def checked_guards(guards: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Protective orders (n_accounts, n_slots), records of ``guard_dtype`` with distances of 0 or more; NaN is none."""
    array = np.asarray(guards)
    if array.dtype != guard_dtype or array.shape != shape:
        raise ValueError(
            f"guards are {array.dtype} of shape {array.shape}; they must be records of exchange.records.guard_dtype of "
            f"shape {shape}."
        )
    for name in ("stop", "take_profit", "trailing"):
        if (array[name] < 0.0).any():
            raise ValueError(
                f"a {name} distance is {np.nanmin(array[name]):g}; it must be 0 or more, or NaN for none."
            )
    return array


def checked_seeds(seed: Any, n_accounts: int) -> tuple[np.ndarray, np.ndarray]:
    """Seeds of the accounts, and which of them have one (n_accounts,): ``seed + i``, or the i-th of a list with None.

    Seeds count modulo 2**64.
    """
    if seed is None or (isinstance(seed, Integral) and not isinstance(seed, bool)):
        first = np.uint64(int(seed or 0) % 2**64)
        return first + np.arange(n_accounts, dtype=np.uint64), np.full(n_accounts, seed is not None)
    given = list(seed) if isinstance(seed, (Sequence, np.ndarray)) and not isinstance(seed, str) else [seed]
    for value in given:
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise TypeError(
                f"a seed is {shown(value)}; it must be a whole number, or a list of those and None."
            )
    if len(given) != n_accounts:
        raise ValueError(
            f"{len(given)} seeds for {n_accounts} accounts; give one number, or a list with one for each."
        )
    seeds = np.array([int(value or 0) % 2**64 for value in given], np.uint64)
    return seeds, np.array([value is not None for value in given])


def place_accounts(
    accounts: np.ndarray, positions: np.ndarray, which: np.ndarray, equity: float, marks: np.ndarray,
    path: np.ndarray, first: np.ndarray, last: np.ndarray, episode: np.ndarray,
) -> None:  # fmt: skip
    """Put accounts at the start of an episode with nothing but their equity; ``marks`` are those of the slots."""
    for name in ("wallet_balance", "equity", "start_equity", "peak_equity"):
        accounts[name][which] = equity
    for name, value in (("assigned", 0.0), ("insurance", 0.0), ("row", first), ("last_row", last)):
        accounts[name][which] = value
    accounts["path"][which], accounts["episode"][which] = path, episode
    positions[which] = _FLAT
    positions["mark"][which] = marks


def accounts_state(simulator: Any) -> dict[str, Any]:
    """Copies of the arrays that say where every account stands, in nested dicts and lists.

    Accounts and positions, the last step, episode counters, and what the reward and the risk controls remember.
    """
    return {
        "records": {name: getattr(simulator, name).copy() for name in _RECORDS},
        "reward": {k: v.copy() for k, v in vars(simulator.reward).items() if isinstance(v, np.ndarray)},
        "controls": simulator.controls.state(),
    }


def restore_accounts(simulator: Any, state: Mapping[str, Any]) -> None:
    """Put the accounts back where ``accounts_state`` was taken, in a simulator of the same settings."""
    for name in _RECORDS:
        copy_bytes(state["records"][name], getattr(simulator, name))
    for name, array in state["reward"].items():
        setattr(simulator.reward, name, array.copy())
    simulator.controls.restore(state["controls"])
    simulator.note_begun()


def copy_bytes(saved: np.ndarray, array: np.ndarray) -> None:
    """Write saved values into an array, in place; another size is refused."""
    if saved.nbytes != array.nbytes:
        raise ValueError(
            f"the checkpoint holds {saved.nbytes // array.itemsize} values where this training has {array.size}; it "
            "was made with other settings."
        )
    array[...] = np.frombuffer(saved.tobytes(), array.dtype).reshape(array.shape)
