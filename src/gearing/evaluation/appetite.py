"""How much leverage suits which appetite for risk: contracts, sides and margin modes beside each other.

Every number is a share of starts of `gearing.evaluation.safest`, with its block-bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.safest import HORIZONS, Starts
from gearing.features import parse_duration
from gearing.market.data import MarketData

if TYPE_CHECKING:
    import pandas as pd

LEVERAGES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
BUDGETS = (0.01, 0.05, 0.25)
# How margin stands behind a position. All equity posted in isolated margin is the same as cross margin with nothing
# else in the account; a tenth used in cross margin is a tenth of the position, backed by all of the equity.
ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "isolated, all posted": {"margin_mode": "isolated", "margin_share": 1.0},
    "cross, a tenth used": {"margin_mode": "cross", "margin_share": 0.1},
}
INDEX = ("contract", "event", "arrangement", "direction", "leverage", "horizon")
Progress = Callable[[str], None]


def risk_of_leverage(
    markets: Mapping[str, MarketData],
    *,
    leverages: Sequence[float] = LEVERAGES,
    horizons: Sequence[str] = HORIZONS,
    events: Sequence[str] = ("liquidation", "drawdown"),
    directions: Sequence[str] = ("long", "short"),
    arrangements: Mapping[str, Mapping[str, Any]] = ARRANGEMENTS,
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
    arrangements : mapping of name to settings
        Margin mode and share; the notional is leverage x share x equity in each.
    **settings
        Of :class:`gearing.evaluation.safest.Starts`, for example ``drawdown=0.5`` or ``initial_equity``.

    Returns
    -------
    DataFrame
        ``probability``, ``low``, ``high`` (95 %), ``n_starts``, ``effective_leverage`` (notional over equity at entry).
        Rows are left out where a contract does not allow the leverage, or no start has the horizon behind it.
    """
    import pandas as pd

    rows = []
    for symbol, market in markets.items():
        for event in events:
            for name, arrangement in arrangements.items():
                for direction in directions:
                    if progress is not None:
                        progress(f"{symbol}, {event}, {name}, {direction}")
                    starts = Starts(
                        market, event=event, direction=direction, contract=symbol if symbol in market.symbols else None,
                        **{**arrangement, **settings},
                    )  # fmt: skip
                    key = {"contract": symbol, "event": event, "arrangement": name, "direction": direction}
                    share = float(arrangement.get("margin_share", 1.0))
                    rows += [
                        {**key, "effective_leverage": row["leverage"] * share, **row}
                        for row in _rows(starts, leverages, horizons, seed, replications)
                    ]
    return pd.DataFrame(rows).set_index(list(INDEX))


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
