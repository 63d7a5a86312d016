"""How much leverage suits which appetite for risk: contracts, sides and margin modes beside each other.

Every number is a share of starts of `gearing.evaluation.risk.safest_leverage`, with its block-bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.risk.safest_leverage import HORIZONS, Starts
from gearing.features import parse_duration
from gearing.market.data import MarketData

if TYPE_CHECKING:
    import pandas as pd

LEVERAGES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
BUDGETS = (0.01, 0.05, 0.25)
ISOLATED = "isolated, all posted"
USED = 0.1  # of the equity, as margin of the position in a cross account
INDEX = ("contract", "event", "arrangement", "direction", "leverage", "horizon")
Progress = Callable[[str], None]


def risk_of_leverage(
    markets: Mapping[str, MarketData],
    *,
    leverages: Sequence[float] = LEVERAGES,
    horizons: Sequence[str] = HORIZONS,
    events: Sequence[str] = ("liquidation", "drawdown"),
    directions: Sequence[str] = ("long", "short"),
    used: float = USED,
    seed: int = 0,
    replications: int = 500,
    progress: Progress | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Probability of an event by contract, margin arrangement, direction, leverage setting and horizon.

    Parameters
    ----------
    markets : mapping of name to MarketData
        One contract each.
    used : float
        Part of the equity that is margin in the cross account.
    **settings
        Of :class:`gearing.evaluation.risk.safest_leverage.Starts`, for example ``drawdown=0.5`` or ``initial_equity``.

    Returns
    -------
    DataFrame
        ``probability``, ``low``, ``high`` (95 %), ``n_starts``, ``effective_leverage`` (notional over equity at entry).
        Rows are left out where a contract does not allow the leverage, or no start has the horizon behind it.

    Notes
    -----
    A cross account with one contract is as good as the isolated account with all equity posted: the whole wallet
    stands behind the notional in both. Only the entry costs, which come out of what is posted, differ: at a setting of
    50x they make the position 3 % smaller. So a leverage setting of L with a part of the equity used has the risk of L
    times that part, all posted, and is told without being played again. In isolated margin the part posted does not
    move the liquidation; it is the most that can be lost.
    """
    import pandas as pd

    rows = []
    for symbol, market in markets.items():
        for event in events:
            for direction in directions:
                if progress is not None:
                    progress(f"{symbol}, {event}, {direction}")
                starts = Starts(market, event=event, direction=direction, **settings)
                key = {"contract": symbol, "event": event, "direction": direction}
                found = _rows(starts, leverages, horizons, seed, replications)
                rows += [{**key, "arrangement": ISOLATED, **row} for row in found]
                rows += [
                    {**key, "arrangement": f"cross, {used:g} used", **_in_cross(row, used)} for row in found
                ]
    return pd.DataFrame(rows).set_index(list(INDEX))


def _in_cross(row: Mapping[str, Any], used: float) -> dict[str, Any]:
    """The same notional in a cross account that uses a part of its equity."""
    return {**row, "leverage": round(row["leverage"] / used, 9)}


def _rows(
    starts: Starts, leverages: Sequence[float], horizons: Sequence[str], seed: int, replications: int
) -> list[dict[str, Any]]:
    longest = max(horizons, key=parse_duration)
    rows = []
    for leverage in leverages:
        if leverage > starts.config.max_leverage:
            continue
        times = starts.times(leverage, longest)
        for horizon in horizons:
            if starts.counted(times, horizon) < 2:
                continue
            found = starts.probability(leverage, horizon, times=times, seed=seed, replications=replications)
            rows.append(
                {
                    "leverage": leverage,
                    "effective_leverage": leverage,
                    "horizon": horizon,
                    "probability": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    "n_starts": found.n_starts,
                }
            )
    return rows


def safest_by_appetite(risk: pd.DataFrame, budgets: Sequence[float] = BUDGETS) -> pd.DataFrame:
    """Largest leverage looked at whose probability stays within each budget; 0 where none does.

    Parameters
    ----------
    risk : DataFrame
        Of `risk_of_leverage`.

    Returns
    -------
    DataFrame
        One row per contract, event, arrangement, direction and horizon; per budget the leverage by the estimate, and
        ("surely") by the upper bound of the interval.

    Notes
    -----
    Only the leverages of the table are looked at; `gearing.safest_leverage` searches between them.
    """
    import pandas as pd

    keys = [name for name in INDEX if name != "leverage"]
    parts = {}
    for budget in budgets:
        for label, column in ((f"{budget:.0%}", "probability"), (f"{budget:.0%}, surely", "high")):
            within = risk[column].unstack("leverage").sort_index(axis=1) <= budget
            # Risk rises with leverage; a leverage beyond the first failure does not count.
            kept = within.cummin(axis=1)
            largest = [max((x for x in row.index if row[x]), default=0.0) for _, row in kept.iterrows()]
            parts[label] = pd.Series(np.array(largest, float), index=kept.index)
    order = risk.reset_index()[keys].drop_duplicates()
    return pd.DataFrame(parts).reorder_levels(keys).reindex(pd.MultiIndex.from_frame(order))
