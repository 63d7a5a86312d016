"""Touch probabilities of an experiment, compared with the reflection principle under two variances."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gearing.forecasters.excursion import (
    SIZES,
    Side,
    log_distance,
    of_size,
    reflection_probability,
    walk_forward_touches,
)
from gearing.forecasters.register import forecaster
from gearing.forecasters.rows import forecast_rows
from gearing.forecasters.scoring.event_scores import (
    brier,
    difference_interval,
    log_score,
    reliability,
    worst_by_chance,
)
from gearing.forecasters.walk_forward import Forecast, walk_forward
from gearing.market import MarketData
from gearing.market.timing import parse_duration
from gearing.studies.forecast.config import ForecastConfig, Touches

Array = NDArray[np.float64]
BASELINES = ("ewma", "garch_t")
BLOCK_DAYS = 10


def excursion_table(config: ForecastConfig, markets: Mapping[str, MarketData]) -> pd.DataFrame:
    """Scores by contract, horizon, side and size: the calibrated probability and two reflection principles."""
    section = config.excursions
    assert section is not None
    rows: list[dict[str, Any]] = []
    for horizon in section.horizons:
        for symbol in config.market.contracts:
            rows += _contract_rows(symbol, markets[symbol], horizon, section, config)
    return pd.DataFrame(rows).set_index(["contract", "horizon", "side", "size"])


def _contract_rows(
    symbol: str, market: MarketData, horizon: str, section: Touches, config: ForecastConfig
) -> list[dict[str, Any]]:
    names = (section.forecaster, *BASELINES)
    made = {name: _variance(name, market, horizon, section.every, config) for name in names}
    sizes = tuple(sorted({*SIZES, *section.sizes}))
    found = []
    for side in ("down", "up"):
        probabilities = walk_forward_touches(market, made[section.forecaster], side, sizes)
        for size in section.sizes:
            one = of_size(probabilities, size, side)
            scores = _scores(one, made, size, side, horizon, section.every)
            found.append({"contract": symbol, "horizon": horizon, "side": side, "size": size, **scores})
    return found


def _variance(name: str, market: MarketData, horizon: str, every: str, config: ForecastConfig) -> Forecast:
    recipe = forecaster(name)
    rows = forecast_rows(market, recipe.columns, horizon, every)
    clock = max(every, config.schedule.refits().clock(horizon), key=parse_duration)
    schedule = config.schedule.refits(clock)
    return walk_forward(recipe.estimator(), rows, schedule, n_jobs=config.jobs)


def _scores(
    one: Forecast, made: Mapping[str, Forecast], size: float, side: Side, horizon: str, every: str
) -> dict[str, float]:
    plain = {name: _reflection(one, made[name], log_distance(size, side)) for name in BASELINES}
    known = np.isfinite(one.rows.y) & np.all([np.isfinite(p) for p in plain.values()], axis=0)
    y, p = one.rows.y[known], one.value[known]
    per_day = parse_duration("24h") / parse_duration(every)
    block = max(int(BLOCK_DAYS * per_day), int(3 * parse_duration(horizon) / parse_duration(every)))
    table = reliability(y, p)
    overlap = max(int(parse_duration(horizon) / parse_duration(every)), 1)
    scores = {
        "n": float(known.sum()),
        "touched": float(y.mean()),
        "brier": float(brier(y, p).mean()),
        "log_score": float(log_score(y, p).mean()),
        "worst_decile": table.worst,
        "worst_by_chance": worst_by_chance(p, overlap),
        "mean_decile": float(np.abs(table.forecast - table.observed).mean()),
    }
    for name, other in plain.items():
        low, high = difference_interval(brier(y, p), brier(y, other[known]), block)
        scores[f"brier_{name}"] = float(brier(y, other[known]).mean())
        scores[f"worst_decile_{name}"] = reliability(y, other[known]).worst
        scores[f"log_score_{name}"] = float(log_score(y, other[known]).mean())
        scores[f"less_than_{name}_low"], scores[f"less_than_{name}_high"] = low, high
    return scores


def _reflection(one: Forecast, variance: Forecast, distance: Array) -> Array:
    """The principle's probability at the rows of ``one``; NaN where that variance was not forecast."""
    known = dict(zip(variance.rows.known_at, variance.value, strict=True))
    values = np.array([known.get(moment, np.nan) for moment in one.rows.known_at])
    return reflection_probability(values, distance)
