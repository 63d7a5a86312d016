"""What a study knows about a policy, as the cards of its bundle: evaluation and risk, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gearing.evaluation.metrics import daily_log_growth
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.risk.past_starts import share_of
from gearing.evaluation.statistics.inference import mean_interval

_METRICS = {
    "annual_return": "annual_return", "sharpe": "sharpe", "max_drawdown": "max_drawdown",
    "liquidations": "liquidations a year", "effective_leverage": "effective_leverage", "end_equity": "end_equity",
}  # of a result's row, and their names on the card  # fmt: skip
_NOT_PLAYED = "of the trainings one by one; their mean, which the bundle decides by, was not played"
HORIZONS = (1, 7, 30)  # days
_LOSS = 0.1  # of equity
_INTERVAL = (
    "95 %, blocks of days at least as long as the horizon; where no or every day has the event, Clopper-Pearson for "
    "the horizons that follow each other"
)


def evaluation_card(results: Mapping[str, BacktestResult], where: str) -> dict[str, Any]:
    """Evaluation of a bundle's policy: of the trainings behind it, out of sample, or of a rule.

    Parameters
    ----------
    results : mapping of name (of a seed, or of the policy) to BacktestResult
    where : str
        Data and span, in words.
    """
    growth = [daily_log_growth(one.path.time, one.path.equity) for one in results.values()]
    mean = np.mean([one[: min(map(len, growth))] for one in growth], axis=0)
    low, high = mean_interval(mean, seed=0)
    rows = [
        {"played": name, **{shown: one.row[metric] for metric, shown in _METRICS.items()}}
        for name, one in results.items()
    ]
    several = len(results) > 1
    return {
        "data": where,
        "log growth a year": f"{365.0 * mean.mean():.3f} [{low:.3f}, {high:.3f}]"
        + (", mean of the trainings" if several else ""),
        "interval": "95 %, stationary bootstrap of days",
        **({"note": _NOT_PLAYED} if several else {}),
        "results": rows,
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
            share, low, high = _share(hit, days, len(hits))
            budget = (promised or {}).get(days) if event == "liquidation" else None
            rows.append(
                {
                    "horizon": f"{days}d",
                    "event": event,
                    "promised": "none" if budget is None else budget,
                    "realised": share,
                    "low": low,
                    "high": high,
                    "days": hit.size,
                }
            )
    return {"data": where, "interval": _INTERVAL, "risks": rows}


def _share(hit: np.ndarray, days: int, results: int) -> tuple[float, float, float]:
    """Share of days with an event within the horizon, and its 95 % interval.

    A bootstrap of days without any event, or of nothing else, has no spread. The interval is then that of Clopper and
    Pearson (1934) for as many independent trials as one result has horizons one after the other: of 0 events in n
    trials, 0 to 1 - 0.025^(1/n).
    """
    if hit.any() and not hit.all():
        found = share_of(hit.astype(np.float64), days, seed=0)
        return found.estimate, found.low, found.high
    apart = 0.025 ** (1.0 / max(1, hit.size // results // days))
    return (1.0, apart, 1.0) if hit.all() else (0.0, 0.0, 1.0 - apart)


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
