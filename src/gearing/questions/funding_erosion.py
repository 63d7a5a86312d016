"""What funding takes from a leveraged position: every start of a history with and without it.

A funding payment is on the notional, so its weight on the margin grows with leverage; and it moves the liquidation
price of a position that is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.accounts import play_sizes
from gearing.evaluation.comparisons.scenarios import with_funding
from gearing.evaluation.risk.safest_leverage import Starts
from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.features import FeatureSet, parse_duration
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("price", "fees", "funding", "liquidation", "total")
BURDENS = (0.01, 0.05, 0.10, 0.25, 0.50)
_DAY = np.timedelta64(1, "D")
_LEAST_BLOCK = 20.0  # days
_SHORTEST_YEAR = 30  # days


def held_positions(
    market: MarketData,
    leverages: Sequence[float],
    *,
    horizon: str = "30d",
    directions: Sequence[str] = ("long", "short"),
    seed: int = 0,
    replications: int = 500,
    **settings: Any,
) -> pd.DataFrame:
    """What a position opened each day and held for a horizon earned on its margin, and what funding did to it.

    Parameters
    ----------
    market : MarketData
        One contract.
    **settings
        Of :class:`gearing.evaluation.risk.safest_leverage.Starts`.

    Returns
    -------
    DataFrame
        Indexed by direction, leverage and year of the start, and ``"all"``. Means over starts, in parts of the equity
        posted: ``price``, ``fees``, ``funding``, ``liquidation``, their sum ``total``; ``total_without`` funding;
        ``effect`` = total - total_without with its 95 % interval (``effect_low``, ``effect_high``); ``liquidated``
        and ``liquidated_without``; ``caused``, the share of liquidations that would not have come without funding,
        with its interval; ``prevented``, those that funding received has kept away, as a share of the same; starts.
    """
    import pandas as pd

    days = float(parse_duration(horizon) / _DAY)
    rows = []
    for direction in directions:
        real, free = (Starts(m, direction=direction, **settings) for m in (market, with_funding(market, 0.0)))
        opened = real.opened
        for leverage in leverages:
            if leverage > real.config.max_leverage:
                continue
            mine, other = real.outcomes(leverage, horizon), free.outcomes(leverage, horizon)
            whole = np.isfinite(mine["total"]) & np.isfinite(other["total"])
            for year, chosen in _years(opened, whole):
                found = _compared(mine, other, chosen, max(days, _LEAST_BLOCK), seed, replications)
                rows.append({"direction": direction, "leverage": leverage, "year": year, **found})
    return pd.DataFrame(rows).set_index(["direction", "leverage", "year"])


def _years(opened: np.ndarray, whole: np.ndarray) -> list[tuple[str, np.ndarray]]:
    year = opened.astype("datetime64[Y]")
    parts = [(str(y), whole & (year == y)) for y in np.unique(year[whole])]
    return [("all", whole), *((y, part) for y, part in parts if part.sum() >= _SHORTEST_YEAR)]


def _compared(
    mine: Mapping[str, np.ndarray],
    other: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    block: float,
    seed: int,
    replications: int,
) -> dict[str, Any]:
    told: dict[str, Any] = {name: float(mine[name][chosen].mean()) for name in PARTS}
    told["total_without"] = float(other["total"][chosen].mean())
    gap = mine["total"][chosen] - other["total"][chosen]
    told |= _named("effect", block_mean(gap, block, seed=seed, replications=replications))
    hit, spared = mine["liquidated"][chosen], other["liquidated"][chosen]
    told["liquidated"], told["liquidated_without"] = float(hit.mean()), float(spared.mean())
    caused = block_mean(hit * (1.0 - spared), block, weights=hit, seed=seed, replications=replications)
    told |= _named("caused", caused)
    told["prevented"] = float((spared * (1.0 - hit)).sum() / hit.sum()) if hit.any() else np.nan
    return {**told, "starts": int(chosen.sum())}


def _named(name: str, found: tuple[float, float, float]) -> dict[str, float]:
    return {name: found[0], f"{name}_low": found[1], f"{name}_high": found[2]}


def kept_leverage(
    market: MarketData,
    leverages: Sequence[float],
    *,
    directions: Sequence[str] = ("long", "short"),
    **settings: Any,
) -> pd.DataFrame:
    """Log growth of an account that rebalances to one leverage every day, by calendar year, with and without funding.

    Every year begins anew with the initial equity. All equity is margin. A ruined year's growth is that of an
    account with a thousandth left.

    Returns
    -------
    DataFrame
        Indexed by direction, leverage and year: ``growth``, ``growth_without``, ``cost`` (their difference, per
        year of 365 days; NaN where either was ruined), ``ruined``, ``ruined_without``.
    """
    import pandas as pd

    rows = []
    years = np.unique(market.open_time.astype("datetime64[Y]"))
    for year in years:
        try:
            part = market.between(str(year), str(year + 1))
        except ValueError:
            continue
        if part.n_bars * part.bar < _SHORTEST_YEAR * _DAY:
            continue
        for direction in directions:
            config = SimulationConfig(direction=direction, start="first", **settings)
            sizes = np.array([x for x in leverages if x <= config.max_leverage])
            paid, free = (_kept(m, config, sizes) for m in (part, with_funding(part, 0.0)))
            growth, without = paid.growth, free.growth
            ruined = paid.ruined | free.ruined
            cost = np.where(
                ruined, np.nan, without - growth
            )  # what a ruined account saved in funding tells nothing
            for k, leverage in enumerate(sizes):
                rows.append(
                    {
                        "direction": direction, "leverage": float(leverage), "year": str(year),
                        "growth": float(growth[k]), "growth_without": float(without[k]),
                        "cost": float(cost[k]), "ruined": bool(paid.ruined[k]),
                        "ruined_without": bool(free.ruined[k]),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows).set_index(["direction", "leverage", "year"])


def _kept(market: MarketData, config: SimulationConfig, sizes: np.ndarray) -> Any:
    table = FeatureSet(["log_return"]).compute(market)
    simulator = Simulator(market, table, config, sizes.size)
    simulator.reset(seed=0)
    return play_sizes(simulator, sizes[:, None, None])


def heavy_months(
    market: MarketData,
    leverages: Sequence[float],
    *,
    burdens: Sequence[float] = BURDENS,
    directions: Sequence[str] = ("long", "short"),
    seed: int = 0,
    replications: int = 500,
) -> pd.DataFrame:
    """Share of calendar months in which funding took more than a part of the margin.

    A position kept at L times its margin pays L x (sum of the month's rates) of it, whatever the price does. Intervals
    resample blocks of six months.

    Returns
    -------
    DataFrame
        Indexed by direction, leverage and burden: ``share``, ``low``, ``high``, ``months``, and ``worst``, the largest
        part that one month took.
    """
    import pandas as pd

    monthly = monthly_rates(market)
    rows = []
    for direction in directions:
        side = 1.0 if direction == "long" else -1.0
        for leverage in leverages:
            paid = side * leverage * monthly.to_numpy()
            for burden in burdens:
                hit = (paid > burden).astype(np.float64)
                share, low, high = block_mean(hit, 6.0, seed=seed, replications=replications)
                rows.append(
                    {
                        "direction": direction, "leverage": leverage, "burden": burden, "share": share, "low": low,
                        "high": high, "months": hit.size, "worst": float(paid.max()),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows).set_index(["direction", "leverage", "burden"])


def monthly_rates(market: MarketData) -> pd.Series:
    """Sum of funding rates of each whole calendar month; of one contract."""
    import pandas as pd

    settlements = market.settlements
    month = settlements["time"].astype("datetime64[M]")
    whole = (month.astype("datetime64[ms]") >= market.open_time[0]) & (
        (month + 1).astype("datetime64[ms]") <= market.close_time[-1]
    )
    rates = pd.Series(settlements["rate"][whole], index=pd.PeriodIndex(month[whole], freq="M"))
    return rates.groupby(level=0).sum()
