"""One policy of a portfolio study: its past at scale 1, the scales fitted on it, and its test at every budget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.columns import policy_table
from gearing.evaluation.metrics import daily_returns
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.risk.drawdown_budget import scale_to_budget
from gearing.features import FeatureTable
from gearing.market import MarketData
from gearing.market.timing import DAY, label, parse_duration, text
from gearing.studies.fields import as_time
from gearing.studies.portfolio.config import PortfolioConfig
from gearing.studies.trials import Place, Trial

_DAYS = "days.parquet"


@dataclass(frozen=True)
class Book(Trial):
    """A policy at all budgets."""

    policy: str

    def settings(self, config: Any) -> dict[str, Any]:
        """All but the other policies and what compares them."""
        others = ("rules", "base", "main", "average", "margin")
        shared = {name: value for name, value in config.settings.items() if name not in others}
        return {**shared, "rule": config.rules[self.policy].identity}


@dataclass(frozen=True)
class Played:
    """What became of a policy at one budget.

    Attributes
    ----------
    days : (n_days,) datetime64[ms]
        Ends of the days of the test.
    returns : (n_days,)
        Simple daily returns.
    summary : dict
        ``scales``, ``since``, ``promised_growth`` and ``promised_drawdown`` by refit; ``turnover``, ``fees`` and
        ``funding`` a year as shares of mean equity; ``liquidations``; ``bar_drawdown``, the largest at the closes of
        all bars; mean and largest ``gross`` exposure; ``ruined``.
    """

    days: np.ndarray
    returns: np.ndarray
    summary: dict[str, Any]


def play_book(config: PortfolioConfig, whole: MarketData, trial: Book, place: Place) -> dict[str, Any]:
    """Play a policy; writes its daily returns, a column for each budget."""
    rule = config.rules[trial.policy]
    market, policy = rule.market(whole), rule.make()
    table = policy_table(policy, market, None, config.simulation())
    settings = vars(config.simulation(start="first"))
    past = backtest(policy, market, table, **settings)
    days, returns = daily_returns_of(past)
    moments = refit_moments(config, days, market)
    if past.ruined and past.time[past.end] < moments[-1]:
        raise ValueError(
            f"rules.{trial.policy}: the account at scale 1 is ruined on {text(past.time[past.end])}, so that no scale "
            "can be fitted after it. Lower the rule's target."
        )
    columns, summary = {}, {}
    for budget in config.budget:
        name = f"{budget:g}"
        fitted = fitted_scales(config, days, returns, moments, budget)
        cut, known = tested(market, table, moments[0])
        controls = config.controls(tuple(fitted["scales"]), tuple(fitted["since"]), budget)
        result = backtest(policy, cut, known, **(settings | {"controls": controls}))
        ends, columns[name] = daily_returns_of(result)
        summary[name] = {**fitted, **_counts(result)}
    pd.DataFrame(columns, index=pd.Index(ends, name="day")).to_parquet(place.folder / _DAYS)
    return summary


def read_book(folder: Path, summary: dict[str, Any]) -> dict[str, Played]:
    """What ``play_book`` left, by budget."""
    table = pd.read_parquet(folder / _DAYS)
    days = table.index.to_numpy().astype("datetime64[ms]")
    return {name: Played(days, table[name].to_numpy(float), summary[name]) for name in table}


def daily_returns_of(result: BacktestResult) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the days of a backtest and the simple return of each, both (n_days,)."""
    returns = daily_returns(result.path.time, result.path.equity)
    return result.time[0] + np.arange(1, returns.size + 1) * DAY, returns


def refit_moments(config: PortfolioConfig, days: np.ndarray, market: MarketData) -> np.ndarray:
    """When scales are fitted: the first day of the test and every ``test.every`` after it.

    Raises
    ------
    ValueError
        If the market ends before the test begins.
    """
    first, every = as_time(config.test.from_), parse_duration(config.test.every)
    if not market.open_time[0] < first < market.close_time[-1] - every / 2:
        raise ValueError(
            f"test.from is {text(first)}, and the data reach from {text(market.open_time[0])} to "
            f"{text(market.close_time[-1])}. Begin later than the data, and at least half of test.every "
            f"({label(every)}) before they end."
        )
    return np.arange(first, days[-1], every)


def fitted_scales(
    config: PortfolioConfig, days: np.ndarray, returns: np.ndarray, moments: np.ndarray, budget: float
) -> dict[str, list[Any]]:
    """Scale and promises of every refit, from the days that have ended by then."""
    fits = [
        scale_to_budget(
            returns[days <= moment], budget, floor=config.limit(budget), replications=config.resamples,
            mean_block=config.statistics.mean_block, seed=config.seed,
        )
        for moment in moments
    ]  # fmt: skip
    return {
        "since": [str(moment) for moment in moments], "scales": [one.scale for one in fits],
        "promised_growth": [one.growth for one in fits], "promised_drawdown": [one.drawdown for one in fits],
    }  # fmt: skip


def tested(market: MarketData, table: FeatureTable, first: np.datetime64) -> tuple[MarketData, FeatureTable]:
    """The test: it begins with the bar before ``first``, whose close decides."""
    start = first - market.bar
    return market.between(start), table.between(start)


def _counts(result: BacktestResult) -> dict[str, Any]:
    """What an account did: turnover, fees and funding a year as shares of its mean equity, liquidations in all."""
    costs = {name: float(result.row[name]) for name in ("turnover", "fees", "funding")}
    return {
        **costs,
        "liquidations": int(result.steps.liquidations.sum()),
        "bar_drawdown": float(result.drawdown()),
        "gross": float(result.gross_leverage.mean()),
        "largest_gross": float(result.gross_leverage.max()),
        "ruined": bool(result.ruined),
    }
