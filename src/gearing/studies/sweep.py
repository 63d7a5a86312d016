"""Parameters of a rule, swept walk-forward: chosen on the past, tested on the next window, all of them counted."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
from pydantic import Field, field_validator, model_validator

from gearing.evaluation.comparisons.matched_fixed import MatchedFixed, matched_fixed
from gearing.evaluation.metrics import RUINED
from gearing.evaluation.reports.figures import equity_figure
from gearing.evaluation.statistics.inference import Difference, mean_interval
from gearing.evaluation.statistics.selection import expected_best_sharpe
from gearing.evaluation.sweep.search_space import check_space, example, is_configuration
from gearing.evaluation.sweep.walk_forward import CRITERIA, SEARCHES, Sweep, sweep
from gearing.policies.registry import make_rule
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.fields import Duration, check_column
from gearing.studies.sections import Decision, Exchange, Market, account_settings
from gearing.studies.work import Work

_BOUNDS = {"low", "high"}
_SKILL = 0.95  # a deflated Sharpe ratio above it is called skill
_GAINS = ("vs_same_leverage", "vs_same_volatility")
_COUNTED = ["max_drawdown", "liquidations", "fees", "funding"]


class SweepConfig(ExperimentConfig):
    """A walk-forward sweep.

    Attributes
    ----------
    space : mapping
        ``rule`` and its parameters: a list is a choice among its members, ``{low: 1.0, high: 8.0}`` a range (not for
        the grid), anything else is fixed.
    search : {"grid", "random", "optuna"}
        Every combination; ``n`` draws; or ``n`` draws per window, guided by the past that the window may see.
    n : int, optional
    train, test : duration
        First training window, which then grows, and how long a choice is traded.
    criterion : {"log_growth", "sharpe"}
        What is best on the past.
    replications, seed
        Of bootstraps; the seed also of the search.
    """

    kind: Literal["sweep"] = "sweep"
    market: Market = Market()
    space: dict[str, Any]
    search: Literal[*SEARCHES] = "grid"  # type: ignore[valid-type]  # pydantic reads it, mypy does not
    n: int | None = Field(default=None, ge=1)
    train: Duration = "365d"
    test: Duration = "90d"
    criterion: Literal[*CRITERIA] = "log_growth"  # type: ignore[valid-type]  # pydantic reads it, mypy does not
    decision: Decision = Decision()
    exchange: Exchange = Exchange()
    replications: int = Field(default=1000, ge=100)
    seed: int = Field(default=0, ge=0)

    @field_validator("space")
    @classmethod
    def _names_its_rule(cls, space: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(space.get("rule"), str):
            raise ValueError("names no rule; write {rule: volatility_target, target: [1.0, 2.0]}.")
        for name, given in space.items():
            if isinstance(given, dict) and set(given) != _BOUNDS:
                raise ValueError(f"{name}: a range is written {{low: 1.0, high: 8.0}}, not {given!r}.")
            if given == []:
                raise ValueError(f"{name}: the list of choices is empty.")
        return space

    @model_validator(mode="after")
    def _can_be_searched(self) -> SweepConfig:
        try:
            self._check_rule()
        except TypeError as error:
            raise ValueError(f"space: {error}") from None
        return self

    def _check_rule(self) -> None:
        check_space(self.choices, self.search, self.n)
        middle = example(self.choices)
        for name, given in self.choices.items():
            for value in given if isinstance(given, list) else [middle[name]]:
                changed = {**middle, name: value}
                columns = make_rule(changed).required_columns if is_configuration(changed) else ()
                for column in columns:
                    check_column(column)

    @property
    def choices(self) -> dict[str, Any]:
        """The space as `gearing.evaluation.sweep.walk_forward.sweep` takes it."""
        return {
            name: (given["low"], given["high"]) if isinstance(given, dict) else given
            for name, given in self.space.items()
        }


@experiment(SweepConfig)
def run_sweep(config: SweepConfig, work: Work) -> Findings:
    """Choose window by window, trade what was chosen, and compare it with fixed leverage of the same mean.

    Tables: ``outcome``, the traded account and matched fixed leverage; ``windows``, what was chosen in each;
    ``configurations``, all that were tried, with their Sharpe ratio over the whole path.
    """
    market = config.market.open()
    markets = {market.name or "market": market}
    work.on(markets)
    done = sweep(
        config.choices, market, search=config.search, n=config.n, train=config.train, test=config.test,
        criterion=config.criterion, seed=config.seed, n_threads=config.jobs,
        **account_settings(config.decision, config.exchange),
    )  # fmt: skip
    work.tell(repr(done))
    matched = matched_fixed(done.result, market.between(None, done.result.time[-1]))
    gained = matched.growth(config.seed)
    tables = {
        "outcome": _outcome(matched, gained), "windows": done.windows.set_index("from"), "configurations": done.tried,
    }  # fmt: skip
    title = f"{config.name}: chosen on the past, tested on the next window"
    figures = {"equity": equity_figure([matched.result, matched.same_leverage], title)}
    line, metrics = _line(config, done, gained[0]), _metrics(done, gained)
    can, cannot = _sentences(done, gained)
    return Findings(
        line, tables, figures, metrics, markets, _notes(done), conclusions=can, limits=cannot,
        main=str(config.space["rule"]),
    )  # fmt: skip


def _sentences(done: Sweep, gained: tuple[Difference, Difference]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What can be concluded of the traded account, and what cannot."""
    if done.result.ruined:
        return ("The account that was traded is ruined; there is no growth to compare.",), ()
    can, cannot = [], []
    for one, other in zip(gained, ("same mean", "same volatility"), strict=True):
        fixed = f"fixed leverage with the {other}"
        if one.low > 0.0 or one.high < 0.0:
            more = "more" if one.low > 0.0 else "less"
            can.append(f"What was chosen grew {more} than {fixed}: {one} a year, which excludes zero.")
        else:
            cannot.append(
                f"Whether what was chosen grows faster than {fixed} is open: {one} a year includes zero."
            )
    skill = (
        f"{done.n_configurations:,} configurations were tried. The probability that the account's true Sharpe ratio is "
        f"above what the luckiest of them would show is {done.deflated_sharpe:.2f}."
    )
    (can if done.deflated_sharpe > _SKILL else cannot).append(skill)
    return tuple(can), tuple(cannot)


def _outcome(matched: MatchedFixed, gained: tuple[Difference, Difference]) -> pd.DataFrame:
    """The traded account and matched fixed leverage; growth less theirs, with its 95 % interval."""
    table = matched.table[["effective_leverage", "log_growth", "sharpe", *_COUNTED]]
    intervals = {"less_theirs": "estimate", "low": "low", "high": "high"}
    own, *theirs = table["log_growth"]
    gone = [RUINED in (own, other) for other in theirs]  # then there is no growth to compare

    def column(part: str) -> list[Any]:
        return [RUINED if none else getattr(one, part) for one, none in zip(gained, gone, strict=True)]

    return table.assign(**{name: [float("nan"), *column(part)] for name, part in intervals.items()})


def _metrics(done: Sweep, gained: tuple[Difference, Difference]) -> dict[str, float]:
    measured = done.result.performance
    metrics = {
        "n_configurations": float(done.n_configurations),
        "deflated_sharpe": done.deflated_sharpe,
        "expected_best_sharpe": _luck(done),
        **{name: getattr(measured, name) for name in ("log_growth", "sharpe", "max_drawdown")},
        "liquidations": float(done.result.steps.liquidations.sum()),
        **{name: one.estimate for name, one in zip(_GAINS, gained, strict=True)},
    }
    if done.result.ruined:  # growth would be that of a floor
        metrics = {name: x for name, x in metrics.items() if name not in ("log_growth", *_GAINS)}
    return {name: value for name, value in metrics.items() if value == value}


def _luck(done: Sweep) -> float:
    """Sharpe ratio that the best of as many configurations without skill would show."""
    return expected_best_sharpe(done.sharpes[done.sharpes == done.sharpes], done.n_configurations)


def _line(config: SweepConfig, done: Sweep, gained: Difference) -> str:
    begin = (
        f"{config.name}: {done.n_configurations:,} configurations, each of {len(done.chosen)} windows of {config.test} "
        "traded with the best before it:"
    )
    if done.result.ruined:
        return (
            f"{begin} the account was ruined at {done.result.time[done.result.end].astype('datetime64[m]')}"
        )
    measured, daily = done.result.performance, done.result.daily_log_growth
    low, high = mean_interval(daily, seed=config.seed, replications=config.replications)
    return (
        f"{begin} {measured.log_growth:+.2f} [{low:+.2f}, {high:+.2f}] log growth a year, "
        f"{gained} compared with fixed leverage of the same mean; Sharpe {measured.sharpe:.2f}, deflated "
        f"{done.deflated_sharpe:.2f}"
    )


def _notes(done: Sweep) -> tuple[str, ...]:
    return (
        f"Of {done.n_configurations:,} configurations without skill the best would show a Sharpe ratio of about "
        f"{_luck(done):.2f} a year by luck; the deflated Sharpe ratio, {done.deflated_sharpe:.2f}, is the probability "
        "that the traded account's true one is above that.",
        "Sharpe ratios of single configurations are those of the whole path, the past that chose among them included.",
    )
