"""What a study knows about a policy, as the cards of its bundle: evaluation and risk, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gearing.evaluation.metrics import daily_log_growth
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.risk.safest_leverage import share_of
from gearing.evaluation.statistics.inference import mean_interval

_METRICS = ("annual_return", "sharpe", "max_drawdown", "liquidations", "mean_leverage", "end_equity")
HORIZONS = (1, 7, 30)  # days
_LOSS = 0.1  # of equity


def evaluation_card(results: Mapping[str, BacktestResult], where: str) -> dict[str, Any]:
    """Evaluation of the trainings behind a bundle, out of sample.

    Parameters
    ----------
    results : mapping of name (of a seed) to BacktestResult
    where : str
        Data and span, in words.
    """
    growth = [daily_log_growth(one.path.time, one.path.equity) for one in results.values()]
    mean = np.mean([one[: min(map(len, growth))] for one in growth], axis=0)
    low, high = mean_interval(mean, seed=0)
    rows = [{"training": name, **{m: one.row.get(m) for m in _METRICS}} for name, one in results.items()]
    return {
        "data": where,
        "log growth a year": f"{365.0 * mean.mean():.3f} [{low:.3f}, {high:.3f}], mean of the trainings",
        "interval": "95 %, stationary bootstrap of days",
        "note": "of the trainings one by one; their mean, which the bundle decides by, was not played",
        "trainings": rows,
    }


def budget_card(
    results: Sequence[BacktestResult], where: str, promised: Mapping[int, float] | None = None
) -> dict[str, Any]:
    """Promised against realised risk by horizon.

    The events are a liquidation, and a fall of equity by a tenth, within the horizon of a day on which the policy
    decided; the shares are of all such days of all trainings.

    Parameters
    ----------
    promised : mapping of horizon [days] to probability of a liquidation, optional
        None where the policy promises nothing: then the card states what was realised.
    """
    rows: list[dict[str, Any]] = []
    for days in HORIZONS:
        liquidated = [_within(_daily_liquidations(one), days) for one in results]
        fell = [_falls(one, days) for one in results]
        for event, hits in (("liquidation", liquidated), (f"loss of {_LOSS:.0%} of equity", fell)):
            hit = np.concatenate(hits) if hits else np.zeros(0)
            if not hit.size:
                continue
            found = share_of(hit.astype(np.float64), days, seed=0)
            budget = (promised or {}).get(days) if event == "liquidation" else None
            rows.append(
                {
                    "horizon": f"{days}d",
                    "event": event,
                    "promised": "none" if budget is None else budget,
                    "realised": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    "days": hit.size,
                }
            )
    return {"data": where, "interval": "95 %, blocks of days at least as long as the horizon", "risks": rows}


def _daily_liquidations(result: BacktestResult) -> np.ndarray:
    """Liquidations of each day from the first decision on."""
    day = (result.time[:-1] - result.time[0]) // np.timedelta64(1, "D")
    return np.bincount(day.astype(np.int64), np.asarray(result.steps.liquidations, np.float64))


def _within(counts: np.ndarray, days: int) -> np.ndarray:
    """Whether there was one within the days from each day on, of days with as many after them."""
    total = np.concatenate([[0.0], np.cumsum(counts)])
    return total[days:] - total[:-days] > 0.0 if counts.size >= days else np.zeros(0, bool)


def _falls(result: BacktestResult, days: int) -> np.ndarray:
    """Whether equity fell by a tenth at the end of a day within the horizon."""
    equity = np.asarray(result.path.equity, np.float64)
    day = (result.path.time - result.path.time[0]) // np.timedelta64(1, "D")
    ends = np.searchsorted(day.astype(np.int64), np.arange(int(day[-1].astype(np.int64)) + 1))
    daily = equity[ends]
    if daily.size <= days:
        return np.zeros(0, bool)
    lowest = np.min([daily[k : daily.size - days + k] for k in range(1, days + 1)], axis=0)
    return np.asarray(lowest <= (1.0 - _LOSS) * daily[: daily.size - days])
