"""One policy of a portfolio study: its past at scale 1, the scales fitted on it, and its test at every budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.columns import policy_table
from gearing.evaluation.metrics import daily_returns
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.risk.drawdown_budget import chance_of_drawdown, scale_to_budget
from gearing.features import FeatureTable
from gearing.market import MarketData
from gearing.market.timing import DAY, label, parse_duration, text
from gearing.simulation.config import BAND, rebalance_mode
from gearing.studies.fields import as_time
from gearing.studies.portfolio.config import PortfolioConfig
from gearing.studies.portfolio.learning import made
from gearing.studies.portfolio.variants import dealt
from gearing.studies.trials import Place, Trial

_DAYS = "days.parquet"


@dataclass(frozen=True)
class Book(Trial):
    """A policy at all budgets, in the study itself or in a variant of it.

    Attributes
    ----------
    policy : str
    variant : str, optional
    part : int, optional
        Which group of contracts is played, of a variant that leaves groups out of the fit.
    without : str, optional
        Contracts that a variant drops, joined by commas.
    """

    policy: str
    variant: str | None = None
    part: int | None = None
    without: str | None = None

    def settings(self, config: Any) -> dict[str, Any]:
        """All but the other policies and variants, and what compares them."""
        others = ("rules", "agents", "base", "main", "average", "margin", "variants")
        shared = {name: value for name, value in config.settings.items() if name not in others}
        variant = None if self.variant is None else config.variants[self.variant].model_dump()
        return {**shared, "rule": self._identity(config), "variant": variant}

    def _identity(self, config: Any) -> Any:
        """What its returns depend on: the rule, or the agent and the rule that it scales."""
        own = config.played[self.policy].identity
        if self.policy in config.rules:
            return own
        return {"agent": own, "base": config.rules[config.agents[self.policy].base].identity}

    def data(self, config: Any, fingerprints: Mapping[str, str]) -> Mapping[str, str]:
        """The market of its variant."""
        whole = next(iter(fingerprints.values()))
        return {"market": fingerprints.get(self.variant or "", whole)}

    def markets(self, config: PortfolioConfig, whole: MarketData) -> tuple[MarketData, MarketData]:
        """The contracts whose past scales are fitted on, and those that are played."""
        rule = config.played[self.policy]
        if self.part is not None and self.variant is not None:
            groups = dealt(whole, config.variants[self.variant].left_out or 2)
            others = [name for k, group in enumerate(groups) if k != self.part for name in group]
            return whole.select([name for name in whole.symbols if name in others]), whole.select(
                groups[self.part]
            )
        left = rule.market(whole)
        if self.without is not None:
            left = left.select([name for name in left.symbols if name not in self.without.split(",")])
        return left, left


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
        ``scales``, ``since``, ``promised_growth`` and ``promised_drawdown`` by refit; ``chance``, lowest and highest
        realised over promised drawdown that chance makes; ``turnover``, ``fees`` and
        ``funding`` a year as shares of mean equity; ``liquidations``; ``bar_drawdown``, the largest at the closes of
        all bars; mean and largest ``gross`` exposure; ``ruined``. ``contribution`` is what each contract added to the
        growth of the account at scale 1 in the test.
    """

    days: np.ndarray
    returns: np.ndarray
    summary: dict[str, Any]


def play_book(config: PortfolioConfig, whole: MarketData, trial: Book, place: Place) -> dict[str, Any]:
    """Play a policy; writes its daily returns, a column for each budget."""
    fitted_on, played_on = trial.markets(config, whole)
    policy = made(config, trial.policy, fitted_on)
    settings = vars(config.simulation(start="first"))
    past = Past(policy, fitted_on, policy_table(policy, fitted_on, None, config.simulation()), settings)
    result = past.played(config.decision.rebalance)
    moments = refit_moments(config, daily_returns_of(result)[0], fitted_on)
    _check_lived(trial.policy, result, moments)
    table = past.table
    if played_on is not fitted_on:
        table = policy_table(policy, played_on, None, config.simulation())
    cut, known = tested(played_on, table, moments[0])
    n_days = int((cut.close_time[-1] - moments[0]) / DAY)
    columns: dict[str, np.ndarray] = {}
    summary: dict[str, Any] = {"contribution": contributions(result, moments[0])}
    for budget in config.budget:
        name = f"{budget:g}"
        fitted = past.fitted(config, result, moments, budget, n_days)
        controls = config.controls(tuple(fitted["scales"]), tuple(fitted["since"]), budget)
        test = backtest(policy, cut, known, **(settings | {"controls": controls}))
        ends, columns[name] = daily_returns_of(test)
        summary[name] = {**fitted, **_counts(test)}
    pd.DataFrame(columns, index=pd.Index(ends, name="day")).to_parquet(place.folder / _DAYS)
    return summary


@dataclass(frozen=True)
class Past:
    """A policy at scale 1, all that its scales are fitted on."""

    policy: Any
    market: MarketData
    table: FeatureTable
    settings: dict[str, Any]

    def played(self, rebalance: str) -> BacktestResult:
        """Its account from the first decision to the end of the data."""
        return backtest(self.policy, self.market, self.table, **(self.settings | {"rebalance": rebalance}))

    def fitted(
        self, config: PortfolioConfig, first: BacktestResult, moments: np.ndarray, budget: float, n_days: int
    ) -> dict[str, list[Any]]:
        """Scale and promises of every refit, and what chance does to the first promise in a test of ``n_days``.

        A no-trade band is a difference of target leverages. An account at scale s with the band b trades as one at
        scale 1 does with b / s, so a first scale is found with b, on its account ``first``, and all are fitted with b
        over that.
        """
        scale = fitted_scales(config, *daily_returns_of(first), moments[:1], budget)["scales"][0]
        days, returns = daily_returns_of(self.played(narrowed(config.decision.rebalance, scale)))
        fitted = fitted_scales(config, days, returns, moments, budget)
        return {**fitted, "chance": chance_of(config, returns[days <= moments[0]], fitted, budget, n_days)}


def narrowed(rebalance: str, scale: float) -> str:
    """How an account at scale 1 rebalances that trades as one at another scale does."""
    mode, band = rebalance_mode(rebalance)
    return f"band({band / scale:.9f})" if mode == BAND and scale > 0.0 else rebalance


def contributions(result: BacktestResult, since: np.datetime64) -> dict[str, float]:
    """What each contract added to an account's growth after ``since``: its profits over the equity before them."""
    inside = result.time[1:] > since
    ledgers = result.ledgers[inside]
    gained = sum(ledgers[name] for name in ("price_pnl", "fees", "funding", "liquidation"))
    before = np.where(result.equity[:-1] > 0.0, result.equity[:-1], np.inf)[inside]
    return dict(zip(result.slots, (gained / before[:, None]).sum(axis=0).tolist(), strict=True))


def _check_lived(policy: str, past: BacktestResult, moments: np.ndarray) -> None:
    if past.ruined and past.time[past.end] < moments[-1]:
        raise ValueError(
            f"rules.{policy}: the account at scale 1 is ruined on {text(past.time[past.end])}, so that no scale "
            "can be fitted after it. Lower the rule's target."
        )


def read_book(folder: Path, summary: dict[str, Any]) -> dict[str, Played]:
    """What ``play_book`` left, by budget."""
    table = pd.read_parquet(folder / _DAYS)
    days = table.index.to_numpy().astype("datetime64[ms]")
    shared = {"contribution": summary["contribution"]}
    return {name: Played(days, table[name].to_numpy(float), summary[name] | shared) for name in table}


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


def chance_of(
    config: PortfolioConfig, past: np.ndarray, fitted: Mapping[str, list[Any]], budget: float, n_days: int
) -> list[float]:
    """Lowest and highest realised drawdown over the promise, if the test is as the past before it."""
    how = config.statistics
    ends = chance_of_drawdown(
        past, fitted["scales"][0], n_days, floor=config.limit(budget), level=how.level, mean_block=how.mean_block,
        seed=config.seed,
    )  # fmt: skip
    return [end / fitted["promised_drawdown"][0] for end in ends]


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
