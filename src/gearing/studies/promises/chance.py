"""How many cells would be broken or timid by chance alone, if every promise were exact."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gearing.evaluation.risk.promises import block_of
from gearing.evaluation.statistics.bootstrap import resamples
from gearing.forecasters.excursion_law.scale import days_of
from gearing.studies.promises.config import EVENTS, PromisesConfig
from gearing.studies.promises.distances import distance_column
from gearing.studies.promises.tables import POOLED, SIDE_NAMES

Array = NDArray[np.float64]
_TAIL = 0.95
NAMES = ("broken_by_chance", "broken_at_most", "timid_by_chance", "timid_at_most")


def counts_by_chance(
    hits: Array, low: Array, high: Array, horizon: str, *, seed: int, replications: int
) -> dict[str, float]:
    """Mean and 95 % quantile of the number of cells whose interval would exclude the true frequency.

    Days are resampled in blocks, all cells together, so that a crash breaks the cells of all contracts at once, as it
    does. In each resample the realised frequency is the truth; a cell is broken where its own deviation is larger than
    the lower arm of its interval.

    Parameters
    ----------
    hits : (n_cells, n_days)
        1 where the event followed, 0 where it did not, NaN without a start.
    low, high : (n_cells,)
        Ends of each cell's interval.
    """
    known = np.isfinite(hits)
    filled, n_days = np.where(known, hits, 0.0).T, hits.shape[1]
    estimate = filled.sum(axis=0) / known.sum(axis=1)
    broken, timid = [], []
    for rows in resamples(n_days, min(block_of(days_of(horizon)), n_days / 2), replications, seed):
        times = np.stack([np.bincount(one, minlength=n_days) for one in rows]).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            away = times @ filled / (times @ known.T.astype(np.float64)) - estimate
        broken.append((away > estimate - low).sum(axis=1))
        timid.append((-away > high - estimate).sum(axis=1))
    found = [np.concatenate(one) for one in (broken, timid)]
    values = [f(one) for one in found for f in (np.mean, lambda x: np.quantile(x, _TAIL))]
    return dict(zip(NAMES, (float(v) for v in values), strict=True))


def chance_table(
    config: PromisesConfig, made: Mapping[str, pd.DataFrame], promises: pd.DataFrame
) -> pd.DataFrame:
    """Counts by chance of every rule and horizon, see `counts_by_chance`.

    Parameters
    ----------
    made : mapping of rule to DataFrame
        Of `gearing.studies.promises.distances.stated`.
    promises : DataFrame
        Of `gearing.studies.promises.tables.promise_table`, all rules.
    """
    cells = promises[
        (promises.contract != POOLED)
        & (promises.event == EVENTS[0])
        & promises.refused.isna()
        & promises.low.notna()
    ]
    rows = {}
    for (rule, horizon), part in cells.groupby(["rule", "horizon"], sort=False):
        hits = _hits(made[rule], horizon, part)
        low, high = (part[name].to_numpy(np.float64) for name in ("low", "high"))
        rows[rule, horizon] = counts_by_chance(
            hits, low, high, horizon, seed=config.seed, replications=config.replications
        )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["rule", "horizon"])


def _hits(stated: pd.DataFrame, horizon: str, cells: pd.DataFrame) -> Array:
    """Hits of each cell on the days that any of them has (n_cells, n_days)."""
    mine = stated[stated.horizon == horizon]
    found = {}
    for budget in cells.budget.unique():
        hit = (mine.excursion >= mine[distance_column(budget)]).astype(np.float64)
        wide = mine.assign(hit=hit).pivot(index="day", columns=["contract", "side"], values="hit")
        found[budget] = wide
    side = {name: number for number, name in SIDE_NAMES.items()}
    keys = zip(cells.budget, cells.contract, cells.side, strict=True)
    return np.stack([found[budget][contract, side[name]].to_numpy() for budget, contract, name in keys])
