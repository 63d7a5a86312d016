"""What is played in a study of known books: rules and the optimum, or an agent after some years of history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.metrics import daily_returns
from gearing.features import FeatureSet
from gearing.market import MarketData
from gearing.market.synthetic.generators import synthetic_market
from gearing.market.timing import DAY
from gearing.policies.controls import ExposureScale
from gearing.policies.oracle import oracle_policy
from gearing.studies.known_book.config import MOST_LEVERAGE, ORACLE, KnownBookConfig
from gearing.studies.trials import Place, Trial

_SHARE = 0.25  # of a policy's targets that is played
_BEFORE = 365  # days before a test that warm up columns and the oracle's filter


@dataclass(frozen=True)
class Played(Trial):
    """An agent after some years of history of one path; without an agent, the rules and the optimum."""

    path: int
    agent: str | None = None
    history: float | None = None

    @property
    def name(self) -> str:
        """Such as ``linear-20y-path1``, or ``rules-path1``."""
        what = "rules" if self.agent is None else f"{self.agent}-{self.history:g}y"
        return f"{what}-path{self.path}"

    def settings(self, config: Any) -> dict[str, Any]:
        """What the returns depend on."""
        names = ("train", "tests", "years", "seed", "seeds")
        about: dict[str, Any] = {name: config.settings[name] for name in names}
        about |= {"longest": max(config.history), "history": self.history}
        return about | (
            {"rules": config.settings["rules"]}
            if self.agent is None
            else {"agent": config.settings["agents"][self.agent]}
        )


def play_known(config: KnownBookConfig, trial: Played, place: Place) -> dict[str, Any]:
    """Play on every test; writes daily returns, a file for each test with a column for each policy."""
    whole, start = trained_on(config, trial.path)
    policies = (
        {name: rule.make() for name, rule in config.rules.items()}
        if trial.agent is None
        else {trial.agent: learned(config, trial, whole, start)}
    )
    for test in config.tests:
        market = whole if test == config.train else other(config, test, trial.path)
        begin = start if test == config.train else market.open_time[0] + _BEFORE * DAY
        columns = {name: returns_of(config, policy, market, begin) for name, policy in policies.items()}
        if trial.agent is None:
            columns[ORACLE] = returns_of(config, None, market, begin)
        pd.DataFrame(columns).to_parquet(place.folder / f"{test}.parquet")
    return {}


def trained_on(config: KnownBookConfig, path: int) -> tuple[MarketData, np.datetime64]:
    """A path of the training book, and when its test begins."""
    longest = max(config.history)
    whole = synthetic_market(
        config.train, seed=config.seed + path, years=longest + config.years + _BEFORE / 365
    )
    return whole, whole.open_time[0] + (round(longest * 365) + _BEFORE) * DAY


def other(config: KnownBookConfig, test: str, path: int) -> MarketData:
    """A path of another book."""
    return synthetic_market(test, seed=config.seed + path, years=config.years + _BEFORE / 365)


def learned(config: KnownBookConfig, trial: Played, whole: MarketData, start: np.datetime64) -> Any:
    """The agent after its years of history, which end where the test begins."""
    from gearing.agents.training import train_agent

    assert trial.agent is not None
    assert trial.history is not None
    agent = config.agents[trial.agent]
    first = start - round(trial.history * 365) * DAY
    table = FeatureSet(agent.features).compute(whole)
    given = agent.hyper_parameters
    given = {**given, "network": {**given.get("network", {}), "members": config.seeds}}
    account = config.simulation(action="leverage")
    return train_agent(
        given, whole.between(first, start), table.between(first, start), account, seed=config.seed
    ).policy


def returns_of(config: KnownBookConfig, policy: Any, market: MarketData, begin: np.datetime64) -> np.ndarray:
    """Simple daily returns of an account from ``begin`` on; the year before warms up columns and filter.

    Targets are a quarter of the policy's: full leverage of the optimum can ruin an account that decides once a day, and
    growth at equal risk does not depend on the scale. All are NaN if the account is ruined nevertheless: it has no
    returns that a scale could be fitted to.

    Parameters
    ----------
    policy : Policy, or None for the optimum
    """
    cut = market.between(begin - _BEFORE * DAY)
    account = config.simulation(controls=(ExposureScale(_SHARE, max_leverage=MOST_LEVERAGE),))
    result = backtest(policy or oracle_policy(cut), cut, **vars(account))
    days = daily_returns(result.path.time, result.path.equity)
    ends = result.time[0] + np.arange(1, days.size + 1) * DAY
    return np.where(result.ruined, np.nan, days[ends > begin])
