"""Distances of budgets as columns: how far the mark goes against a position with a given probability."""

from collections.abc import Iterable, Sequence

import numpy as np

from gearing.features import FeatureTable
from gearing.forecasters.excursion_law.fitting import adapted, fit_law
from gearing.forecasters.excursion_law.law import ExcursionLaw, check_promise, read_column
from gearing.forecasters.excursion_law.scale import Scale, days_of, mixed_scale
from gearing.forecasters.excursion_law.starts import SIDES, DailyStarts, ages_in_days, daily_starts
from gearing.market.data import MarketData

HORIZONS = ("1d", "7d", "30d")  # of every law, so that a column does not depend on the others that are read
FARTHEST = 50.0  # upper bound of a column


def join_distances(
    table: FeatureTable,
    market: MarketData,
    names: Iterable[str],
    *,
    pool: Sequence[MarketData] = (),
    scale: Scale = mixed_scale,
) -> FeatureTable:
    """Join the distances of budgets among the names, out of sample.

    Parameters
    ----------
    names : iterable of str
        ``excursion_down_7d_5`` is the log distance that the mark falls in 7 days with 5 % probability; ``up`` is a
        short's. Other names, and those that the table has, are ignored.
    pool : sequence of MarketData
        Further contracts that the law is fitted on. A contract's law uses the market's other contracts and these; its
        own past where there are none.
    scale : callable
        Source of volatility, see `gearing.forecasters.excursion_law.scale.mixed_scale`.
    """
    wanted = {name: read for name in names if (read := read_column(name)) and name not in table.columns}
    if not wanted:
        return table
    for horizon, probability, side in wanted.values():
        check_promise(horizon, side, probability)
    horizons = sorted({*HORIZONS, *(horizon for horizon, _, _ in wanted.values())}, key=days_of)
    starts = daily_starts([market, *pool], horizons, scale)
    scales, ages = scale(market, starts.horizons), ages_in_days(market)
    found = {name: np.full(market.tradable.shape, np.nan) for name in wanted}
    stamps = np.full(market.tradable.shape, np.datetime64("NaT"), dtype="datetime64[ms]")
    laws: dict[tuple[str, ...], ExcursionLaw] = {}
    for c, symbol in enumerate(market.symbols):
        law = law_for(symbol, starts, laws)
        scaled = law.scaled(market.close_time, scales[:, :, c], ages[:, c])
        stamps[:, c] = law.days[law.rows_of(market.close_time)].astype("datetime64[ms]")
        for name, (horizon, probability, side) in wanted.items():
            h, s = starts.horizons.index(horizon), SIDES.index(side)
            found[name][:, c] = law.distance(market.close_time, scaled, probability)[h, s]
    for name, values in found.items():
        table = table.join(name, values, unit="log", lower=0.0, upper=FARTHEST, fitted_until=stamps)
    return table


def law_for(symbol: str, starts: DailyStarts, laws: dict[tuple[str, ...], ExcursionLaw]) -> ExcursionLaw:
    """The law of a contract: fitted on all others and adapted to it, or fitted on its own past where there are none.

    Parameters
    ----------
    laws : dict
        Laws of pools so far.
    """
    others = tuple(name for name in starts.symbols if name != symbol)
    pool = others or (symbol,)
    if pool not in laws:
        laws[pool] = fit_law(starts.of(pool))
    return adapted(laws[pool], starts.of([symbol])) if others else laws[pool]
