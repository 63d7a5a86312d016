"""Policies in generated crashes: growth over each path, liquidations and ruin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.columns import column_table
from gearing.evaluation.conformance import PolicyError, check_policy
from gearing.evaluation.metrics import EQUITY_FLOOR
from gearing.evaluation.statistics.scores import aggregate
from gearing.market import MarketData, synthetic_market
from gearing.market.synthetic.crashes import SCENARIOS
from gearing.names import check_names
from gearing.simulation.config import SimulationConfig
from gearing.storage.atomic import write_arrays
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.fields import Direction, Section
from gearing.studies.recording.metrics import of_policies
from gearing.studies.rules_and_agents import Rules
from gearing.studies.sections import Decision, Exchange, account_settings
from gearing.studies.trials import Place, Result, Trial
from gearing.studies.work import Work

_PATHS = "paths.npz"
# Metrics of a tracked run by what a trial's summary calls them; `growth` is over a path, however long.
_METRICS = {
    "path_growth": "growth",
    "liquidated": "liquidated",
    "ruined": "ruined",
    "max_drawdown": "drawdown",
}


class Crash(Section):
    """A crash in the middle of market B, and the side that accounts trade.

    Attributes
    ----------
    scenario : {"gap", "cascade", "funding-squeeze"}
    settings : mapping
        Of the scenario, see `gearing.market.synthetic.crashes`.
    """

    scenario: str
    direction: Direction = "long"
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _exists(self) -> Crash:
        check_names("no crash scenario", [self.scenario], SCENARIOS)
        return self

    def open(self, seed: int, years: float) -> MarketData:
        """A path with the crash."""
        return synthetic_market("crash", seed=seed, years=years, scenario=self.scenario, **self.settings)


class StressConfig(ExperimentConfig):
    """Policies in generated crashes.

    Attributes
    ----------
    crashes : mapping of name to Crash
    paths : int
        Of each crash; their seeds count up from ``seed``.
    years : float
        Length of a path; the crash is in its middle.
    rules : mapping of name to rule
    """

    kind: Literal["crash_stress"] = "crash_stress"
    crashes: dict[str, Crash] = Field(min_length=1)
    seed: int = Field(default=0, ge=0)
    paths: int = Field(default=50, ge=2)
    years: float = Field(default=0.75, gt=0.1, le=10.0)
    decision: Decision = Decision()
    exchange: Exchange = Exchange()
    rules: Rules = Field(min_length=1)

    @model_validator(mode="after")
    def _settings_are_right(self) -> StressConfig:
        for crash in self.crashes.values():
            self.simulation(crash)
        return self

    def settings_of(self, crash: Crash) -> dict[str, Any]:
        """Settings of the accounts."""
        return account_settings(self.decision, self.exchange) | {"direction": crash.direction}

    def simulation(self, crash: Crash) -> SimulationConfig:
        """The same as an object."""
        return SimulationConfig(**self.settings_of(crash))


@dataclass(frozen=True)
class Stressed(Trial):
    """A policy on all paths of a crash."""

    policy: str
    crash: str

    def settings(self, config: Any) -> dict[str, Any]:
        """All but the other policies and crashes."""
        shared = {name: value for name, value in config.settings.items() if name not in ("rules", "crashes")}
        crash = config.crashes[self.crash].model_dump(mode="json")
        return {**shared, "rule": config.rules[self.policy].identity, "crash": crash}

    def tags(self, config: Any) -> dict[str, Any]:
        """What tells it apart."""
        direction = config.crashes[self.crash].direction
        return {**asdict(self), "policy_kind": "rule", "direction": direction, "contract": "market-b"}

    def parameters(self, config: Any) -> dict[str, Any]:
        """Every setting of the rule, of the crash and of the account."""
        shared = config.model_dump(mode="json", include={"decision", "exchange", "paths", "years"})
        crash = config.crashes[self.crash].model_dump(mode="json")
        return {**shared, "scenario": crash, **config.rules[self.policy].parameters}

    def metrics(self, summary: Any) -> dict[str, float]:
        """Means over the paths, under the names that all studies have."""
        return _as_metrics(summary)


@experiment(StressConfig)
def run_stress(config: StressConfig, work: Work) -> Findings:
    """Table ``policies``, by policy and crash: growth over a path with its interval over paths, the share of liquidated
    and of ruined paths, drawdown.
    """
    _check_own(config)
    trials = [Stressed(rule, crash) for rule in config.rules for crash in config.crashes]
    results = work.run(trials, partial(_play, config))
    rows = [_row(result) for result in results]
    keys = [(one.trial.policy, one.trial.crash) for one in results]
    table = pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(keys, names=["policy", "crash"]))
    means = table["growth"].groupby(level="policy", sort=False).mean()
    line = ", ".join(f"{name} {growth:+.3f}" for name, growth in means.items())
    can, cannot = _conclusions(config, results)
    main = next(iter(means.index), None)
    return Findings(
        f"{config.name}: mean log growth over a crash: {line}", {"policies": table},
        metrics=of_policies(_shown(config, table), main), main=main, conclusions=can, limits=cannot,
    )  # fmt: skip


def _as_metrics(row: Any) -> dict[str, float]:
    """Means over paths of a policy in a crash."""
    return {metric: float(row[name]) for metric, name in _METRICS.items()}


def _shown(config: StressConfig, table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Metrics of every policy, means over crashes, and of every policy in each crash."""
    means = table.groupby(level="policy", sort=False).mean()
    return {str(name): _as_metrics(row) for name, row in means.iterrows()} | {
        f"{policy}/{crash}": _as_metrics(row) for (policy, crash), row in table.iterrows()
    }


def _conclusions(config: StressConfig, results: Sequence[Result]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What can be concluded of each policy, compared with the first on the same paths, and what cannot."""
    can, cannot = [], []
    baseline = next(iter(config.rules))
    growths = {(one.trial.policy, one.trial.crash): growth_of([one]) for one in results}
    for (name, crash), growth in growths.items():
        own = growths.get((baseline, crash))
        if name == baseline or own is None:
            continue
        less = aggregate(growth - own, seed=0, statistic=np.mean)
        text = f"log growth {less.estimate:+.3f} [{less.low:+.3f}, {less.high:+.3f}] on the same paths"
        if less.low > 0.0 or less.high < 0.0:
            more = "more" if less.low > 0.0 else "less"
            can.append(f"{crash}: {name} ended with {more} than {baseline}: {text}.")
        else:
            cannot.append(f"{crash}: whether {name} ends with more than {baseline} is open: {text}.")
    cannot.append(
        f"The crashes are generated, {config.paths} paths of each: how likely one is, and what real prices do, they do "
        "not say."
    )
    return tuple(can) or ("No difference is shown.",), tuple(cannot)


def growth_of(results: Sequence[Result]) -> np.ndarray:
    """Log growth of each path, of one or several trials (n_paths, n_trials)."""
    return np.stack([np.load(one.folder / _PATHS)["growth"] for one in results], axis=1)


def _play(config: StressConfig, trial: Stressed, place: Place) -> dict[str, float]:
    crash, rule = config.crashes[trial.crash], config.rules[trial.policy]
    policy, played = rule.make(), []
    settings = config.settings_of(crash)
    for number in range(config.paths):
        market = crash.open(config.seed + number, config.years)
        table = column_table(policy.required_columns, market, forecast=None)
        result = backtest(policy, market, table, forecast=None, **settings)
        growth = np.log(max(result.equity[-1] / result.equity[0], EQUITY_FLOOR))
        liquidated = bool((result.ledgers.liquidations > 0).any())
        played.append((growth, liquidated, result.ruined, result.row["max_drawdown"]))
    names = ("growth", "liquidated", "ruined", "drawdown")
    arrays = {
        name: np.array(values, np.float64)
        for name, values in zip(names, zip(*played, strict=True), strict=True)
    }
    write_arrays(place.folder / _PATHS, arrays)
    return {name: float(values.mean()) for name, values in arrays.items()}


def _check_own(config: StressConfig) -> None:
    """The conformance suite of policies of a user's own, on the first path of each crash."""
    for name, rule in config.rules.items():
        for crash in config.crashes.values() if rule.is_own else ():
            policy, market = rule.make(), crash.open(config.seed, config.years)
            table = column_table(policy.required_columns, market, forecast=None)
            try:
                check_policy(policy, market, table, **config.settings_of(crash))
            except PolicyError as error:
                raise PolicyError(f"rules.{name}: {error}") from None


def _row(result: Result) -> dict[str, float]:
    growth = growth_of([result])
    found = aggregate(growth, seed=0, statistic=np.mean)
    shares = {name: float(result.summary[name]) for name in ("liquidated", "ruined", "drawdown")}
    worst = float(growth.min())
    return {
        "growth": found.estimate,
        "growth_low": found.low,
        "growth_high": found.high,
        "worst": worst,
        **shares,
    }
