"""Market data per decision interval, as the torch accounting needs it.

Orders have no market impact, so an account needs only the fill price, the last mark, the funding of one unit and the
extremes of the mark price of each interval.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gearing.simulation.simulator import Simulator


class IntervalData(NamedTuple):
    """Per decision and contract, (n, m) float64, unless it says otherwise."""

    mark: Tensor  # at the deciding close
    open: Tensor  # traded price at which the order fills
    mark_open: Tensor  # mark at the same moment
    end: Tensor  # mark at the end of the interval
    low: Tensor  # extremes of the mark from the fill to the end; with a close-only walk, the end itself
    high: Tensor
    funding_at_open: Tensor  # what one unit pays at the open, before the fill [settle coin]
    funding_after: Tensor  # what one unit pays later in the interval [settle coin]
    slippage: Tensor
    impact: Tensor
    traded: Tensor  # bool: whether an order can fill at the open
    columns: Tensor  # market columns of the observation, (n, n_market_columns) float32
    last: Tensor  # index of the last decision of the same path, (n,) int64

    def to(self, device: torch.device) -> IntervalData:
        """The same on a device."""
        return IntervalData(*(values.to(device) for values in self))

    def at(self, index: Any) -> IntervalData:
        """Rows of some decisions; an index (b, t) gives fields (b, t, ...)."""
        return IntervalData(*(values[index] for values in self))


def interval_data(simulator: Simulator, untraded: bool = False) -> IntervalData:
    """The intervals of a simulator's market.

    Parameters
    ----------
    untraded : bool
        Whether contracts may have bars without trade, such as those before their listing.

    Raises
    ------
    ValueError
        For inverse contracts, hedge mode, untraded bars or a rebalance mode that the torch accounting does not support.
    """
    tape, first = simulator.tape, first_rows(simulator)
    _check(simulator, first, untraded)
    end = np.concatenate([edges[1:] for edges in tape.boundaries])
    sizes = [edges.size - 1 for edges in tape.boundaries]
    last = np.repeat(np.cumsum(sizes) - 1, sizes)
    rows, close_only = tape.rows, bool(simulator.kernel_config[0].close_only)
    finish = rows.mark_close[end - 1]
    at_open, after = _funding(simulator, first, end)
    arrays: dict[str, Any] = {
        "mark": rows.mark_close[first - 1],
        "open": rows.open[first],
        "mark_open": rows.mark_open[first],
        "end": finish,
        "low": finish if close_only else _extreme(np.minimum, rows.mark_low, first, end),
        "high": finish if close_only else _extreme(np.maximum, rows.mark_high, first, end),
        "funding_at_open": at_open,
        "funding_after": after,
        "slippage": rows.slippage[first],
        "impact": rows.impact[first],
        "traded": rows.tradable[first] != 0,
        "columns": tape.features[rows.bar[first - 1, 0]],
        "last": last,
    }
    return IntervalData(**{name: torch.from_numpy(np.array(values)) for name, values in arrays.items()})


def _check(simulator: Simulator, first: np.ndarray, untraded: bool) -> None:
    config = simulator.config
    refused = [
        (any(c.kind == "inverse" for c in simulator.contracts), "inverse contracts"),
        (len({m.symbols for m in simulator.markets}) > 1, "markets of different contracts"),
        (config.position_mode != "one_way", "position_mode 'hedge'"),
        (config.rebalance != "every_decision", f"rebalance {config.rebalance!r}"),
        (config.decision != "interval", "decision 'at_entry'"),
        (config.order != "taker", "maker orders"),
        (not untraded and not bool(simulator.tape.rows.tradable[first].all()), "bars without trade"),
    ]
    for found, what in refused:
        if found:
            raise ValueError(
                f"the differentiable agent's accounting does not cover {what}; use ppo or another agent there."
            )


def first_rows(simulator: Simulator) -> np.ndarray:
    """First row of every decision interval, path by path."""
    return np.concatenate([edges[:-1] for edges in simulator.tape.boundaries])


def _extreme(reduce: Any, values: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Extreme of rows [first, end) of each decision."""
    return np.stack([reduce.reduce(values[a:b], axis=0) for a, b in zip(first, end, strict=True)])


def _funding(simulator: Simulator, first: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of mark x rate of the settlements at each decision's open, and of those after it."""
    tape, contracts = simulator.tape, len(simulator.contracts)
    cash, rows = tape.settlements, tape.rows
    counts = rows.settlements_last[:, 0] - rows.settlements_first[:, 0]
    row = np.repeat(np.arange(len(rows)), counts)  # settlements are in row order
    mark = np.where(np.isnan(cash.mark), rows.mark_open[row, cash.contract], cash.mark)
    decision = np.searchsorted(first, row, side="right") - 1
    inside = (decision >= 0) & (row < end[decision])
    opening = (row == first[decision]) & (cash.inside == 0)
    sums = []
    for chosen in (inside & opening, inside & ~opening):
        total = np.zeros((len(first), contracts))
        np.add.at(total, (decision[chosen], cash.contract[chosen]), (mark * cash.rate)[chosen])
        sums.append(total)
    return sums[0], sums[1]
