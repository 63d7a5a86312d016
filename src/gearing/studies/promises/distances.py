"""Distances and probabilities that each rule stated at every daily start, out of sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gearing.features import get_feature
from gearing.forecasters.excursion_law.fitting import adapted, fit_law
from gearing.forecasters.excursion_law.law import ExcursionLaw
from gearing.forecasters.excursion_law.scale import ewma_scale, mixed_scale
from gearing.forecasters.excursion_law.starts import SIDES, DailyStarts, daily_starts
from gearing.forecasters.register import forecaster
from gearing.forecasters.rows import Rows, forecast_rows
from gearing.forecasters.walk_forward import Schedule, walk_forward
from gearing.market import MarketData
from gearing.market.timing import DAY, parse_duration
from gearing.studies.promises.config import PromisesConfig

Array = NDArray[np.float64]
# What a rule states of one contract: distances (n_horizons, 2, n_days, n_budgets) and probabilities of a touch of each
# distance it is given (n_horizons, 2, n_days, n_sizes).
Stated = tuple[Array, Array]
KEYS = ["contract", "horizon", "side", "day"]
_CURVE = Schedule(first_train="180d", refit="90d")  # of the touch curve, whose two walks take longest


def distance_column(budget: float) -> str:
    """Name of the column with the distance of a budget."""
    return f"distance_{100.0 * budget:g}"


def touch_column(k: int) -> str:
    """Name of the column with the probability of the k-th size."""
    return f"touch_{k}"


def stated(
    config: PromisesConfig, rule: str, markets: Mapping[str, MarketData], contracts: Mapping[str, list[str]]
) -> pd.DataFrame:
    """What a rule stated of every contract and day, and what followed.

    Parameters
    ----------
    markets : mapping of symbol to MarketData
        Scored ones and the pool.
    contracts : mapping of symbol to list of str
        Pool of each scored contract.

    Returns
    -------
    DataFrame
        One row per contract, horizon, side (1 long, -1 short) and day: ``excursion``, one ``distance_...`` per budget,
        one ``touch_...`` per size.
    """
    scale = ewma_scale() if rule in ("pooled_simulation", "ewma_reflection") else mixed_scale
    starts = daily_starts(list(markets.values()), config.horizons, scale)
    keep = _scored_days(config, starts)
    make = _makers(config, rule, starts, markets)
    parts = [_frame(config, starts, symbol, keep, make(symbol, pool)) for symbol, pool in contracts.items()]
    return pd.concat(parts, ignore_index=True)


def _scored_days(config: PromisesConfig, starts: DailyStarts) -> NDArray[np.bool_]:
    first = np.datetime64(config.score_from)
    last = starts.days[-1] + 1 if config.score_to is None else np.datetime64(config.score_to)
    return (starts.days >= first) & (starts.days < last)


def _makers(
    config: PromisesConfig, rule: str, starts: DailyStarts, markets: Mapping[str, MarketData]
) -> Callable[[str, list[str]], Stated]:
    """The function of a symbol and its pool that states a rule's promises."""
    if rule == "ewma_reflection":
        return partial(_reflection, config, starts)
    if rule == "touch_curve":
        return partial(_touch_curve, config, starts, markets)
    laws: dict[tuple[str, ...], ExcursionLaw] = {}
    plain = rule != "calibrated"
    return partial(_of_law, config, starts, laws, plain)


def _frame(
    config: PromisesConfig, starts: DailyStarts, symbol: str, keep: NDArray[np.bool_], made: Stated
) -> pd.DataFrame:
    """Rows of a contract's scored days whose outcome is known."""
    excursion = starts.of([symbol]).excursion[:, :, 0]
    distances, touched = made
    parts = []
    for h, horizon in enumerate(config.horizons):
        for s, side in enumerate(SIDES):
            rows = keep & np.isfinite(excursion[h, s]) & np.isfinite(distances[h, s, :, -1])
            columns: dict[str, Any] = {
                "contract": symbol, "horizon": horizon, "side": side, "day": starts.days[rows],
                "excursion": excursion[h, s, rows],
            }  # fmt: skip
            for b, budget in enumerate(config.budgets):
                columns[distance_column(budget)] = distances[h, s, rows, b]
            for k in range(touched.shape[-1]):
                columns[touch_column(k)] = touched[h, s, rows, k]
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _of_law(
    config: PromisesConfig,
    starts: DailyStarts,
    laws: dict[tuple[str, ...], ExcursionLaw],
    plain: bool,
    symbol: str,
    pool: list[str],
) -> Stated:
    key = tuple(pool)
    if key not in laws:
        laws[key] = fit_law(starts.of(pool), calibrate=not plain, weekdays=not plain)
    mine = starts.of([symbol])
    law = laws[key] if plain or symbol in pool else adapted(laws[key], mine)
    moments = starts.days.astype("datetime64[ms]")
    scale = mine.scale[:, 0] if plain else law.scaled(moments, mine.scale[:, 0], mine.age[0])
    distances = [law.distance(moments, scale, b, floor=not plain) for b in config.budgets]
    return np.stack(distances, axis=-1), _probabilities(
        config, lambda h, size: law.probability(moments, scale, size)[h]
    )


def _probabilities(config: PromisesConfig, of: Callable[[int, Array], Array]) -> Array:
    """Touch probabilities at the sizes of each horizon; those of a horizon with fewer sizes are NaN."""
    most = max((len(config.sizes_of(h)) for h in config.horizons), default=0)
    columns = []
    for k in range(most):
        parts = []
        for h, horizon in enumerate(config.horizons):
            sizes = config.sizes_of(horizon)
            known = of(h, log_sizes(sizes[k])) if k < len(sizes) else None
            parts.append(known)
        shape = next(part.shape for part in parts if part is not None)
        columns.append(np.stack([np.full(shape, np.nan) if part is None else part for part in parts]))
    return np.stack(columns, axis=-1) if columns else np.empty((0,))


def log_sizes(size: float) -> Array:
    """Log distances of a fall and a rise by a fraction of price (1, 2, 1), in the order of the sides."""
    return np.array([-np.log1p(-size), np.log1p(size)])[None, :, None]


def _reflection(config: PromisesConfig, starts: DailyStarts, symbol: str, pool: list[str]) -> Stated:
    """The reflection principle under an exponentially weighted variance."""
    from scipy.special import ndtr, ndtri

    scale = starts.of([symbol]).scale[:, 0][:, None, :]
    both = np.repeat(scale, 2, axis=1)
    distances = np.stack([-float(ndtri(0.5 * b)) * both for b in config.budgets], axis=-1)
    return distances, _probabilities(config, lambda h, size: 2.0 * ndtr(-size[0] / both[h]))


def _touch_curve(
    config: PromisesConfig,
    starts: DailyStarts,
    markets: Mapping[str, MarketData],
    symbol: str,
    pool: list[str],
) -> Stated:
    """A HAR forecast of the contract's own past and a logistic curve of touches: the rule of former releases.

    NaN where the contract is younger than the look-back of HAR and two first training windows.
    """
    from gearing.forecasters.excursion import SIZES, distance_of_budget, of_size, walk_forward_touches

    market, shape = markets[symbol], (len(config.horizons), 2, starts.days.size)
    distances = np.full((*shape, len(config.budgets)), np.nan)
    touched = np.full((*shape, max(len(config.sizes_of(h)) for h in config.horizons)), np.nan)
    for h, horizon in enumerate(config.horizons):
        sizes = tuple(sorted({*SIZES, *config.sizes_of(horizon)}))
        rows = har_rows(market, horizon)
        if rows is None:
            continue
        made = walk_forward(forecaster("har").estimator(), rows, _CURVE)
        for s, side in enumerate(SIDES):
            way: Any = "down" if side > 0 else "up"
            curve = walk_forward_touches(market, made, way, sizes, _CURVE)
            table = [of_size(curve, size, way) for size in sizes]
            at = (table[0].rows.known_at.astype("datetime64[D]") - starts.days[0]).astype(np.int64)
            p = np.stack([one.value for one in table], axis=-1)
            size = np.asarray(sizes)
            log_distance = -np.log1p(-size) if side > 0 else np.log1p(size)
            for b, budget in enumerate(config.budgets):
                distances[h, s, at, b] = distance_of_budget(p, log_distance, budget)
            for k, one in enumerate(config.sizes_of(horizon)):
                touched[h, s, at, k] = p[:, sizes.index(one)]
    return distances, touched


def har_rows(market: MarketData, horizon: str) -> Rows | None:
    """Rows of HAR, one a day; None where they do not span its first window, and after it that of the curve."""
    columns = forecaster("har").columns
    if market.n_bars < max(get_feature(name).least_bars(market.bar) for name in columns):
        return None
    rows = forecast_rows(market, columns, horizon, "1d")
    least = 2 * parse_duration(_CURVE.first_train) + 2 * DAY  # refits are at midnights
    return rows if len(rows) and rows.known_at[-1] - rows.known_at[0] >= least else None
