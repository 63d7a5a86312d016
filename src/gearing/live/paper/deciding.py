"""One decision of a paper run, as its journal holds it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gearing.exchange.records import guard_dtype
from gearing.export import Bundle, Decision
from gearing.live.paper.bars import Recorded
from gearing.simulation.controls import no_guards

RESTING = ("stop", "take_profit", "trailing")


def decided(
    bundle: Bundle,
    known: Recorded,
    account: Mapping[str, Any],
    now: np.datetime64,
    last: Mapping[str, Any] | None,
    fallback: str,
) -> dict[str, Any]:
    """What the bundle decides for the paper account at ``now``; a refusal does what ``fallback`` says."""
    made = bundle.decide(known.bars, account, known.funding, now=now, memory=_memory(last), fallback=fallback)
    return _plain(made)


def simulated(
    bundle: Bundle, known: Recorded, account: Mapping[str, Any], last: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What it decides at the last due close of the bars, however late, whatever the prices and the observation."""
    made = bundle.decide(
        known.bars,
        account,
        known.funding,
        now="last-bar",
        max_jump="off",
        max_outside="off",
        memory=_memory(last),
        fallback="hold",
    )
    return _plain(made)


def held(symbols: tuple[str, ...], reason: str, last: Mapping[str, Any] | None) -> dict[str, Any]:
    """No decision: every position stays as it is."""
    memory = None if last is None else last["memory"]
    return {"targets": dict.fromkeys(symbols), "resting": {}, "refused": reason, "memory": memory}


def _memory(last: Mapping[str, Any] | None) -> Any:
    return None if last is None else last["memory"]


def _plain(made: Decision) -> dict[str, Any]:
    values = made.as_dict()
    resting = {one["contract"]: {name: one[name] for name in RESTING} for one in values["orders"]}
    targets = {name: None if name in made.held else value for name, value in made.policy_leverage.items()}
    return {
        "targets": targets,
        "resting": {s: one for s, one in resting.items() if any(v is not None for v in one.values())},
        "refused": "; ".join(one.reason for one in made.refusals) or None,
        "memory": values["memory"],
        "decision": {name: value for name, value in values.items() if name != "memory"},
    }


def targets_of(made: list[Mapping[str, Any]], symbols: tuple[str, ...]) -> np.ndarray:
    """Targets (n_accounts, n_contracts) of decisions; NaN leaves a position unchanged."""
    rows = [[one["targets"][symbol] for symbol in symbols] for one in made]
    return np.array([[math.nan if value is None else value for value in row] for row in rows], np.float64)


def guards_of(made: list[Mapping[str, Any]], symbols: tuple[str, ...]) -> np.recarray | None:
    """Resting orders (n_accounts, n_contracts) of decisions; None where none is placed."""
    if not any(one["resting"] for one in made):
        return None
    guards = no_guards((len(made), len(symbols)))
    for i, one in enumerate(made):
        for j, symbol in enumerate(symbols):
            for name, distance in one["resting"].get(symbol, {}).items():
                if name in (guard_dtype.names or ()) and distance is not None:
                    guards[name][i, j] = distance
    return guards
