"""Agents beside rules on real history: walk-forward over contracts, alone and pooled, every test fold played once.

A group is a set of contracts: an agent trains on the training spans of all of them and is tested on each by itself.
Whatever is played leaves its days on disk, so a run that is killed goes on; tables are made from what lies there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from gearing.agents.settings import agent_settings
from gearing.evaluation.backtesting import backtest
from gearing.evaluation.comparisons.matched_fixed import GRID_SIZE, FixedGrid
from gearing.evaluation.comparisons.placebo import circular_shifts
from gearing.evaluation.metrics import daily_log_growth
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator
from gearing.storage.atomic import write_arrays
from gearing.storage.digest import digest
from gearing.studies.experiment import Findings, experiment
from gearing.studies.folds import Fold, Span
from gearing.studies.study.history_columns import column_table
from gearing.studies.study.history_config import HistoryConfig
from gearing.studies.work import Work


@dataclass(frozen=True)
class Trial:
    """One policy on one fold of one group; a rule's group is a contract, and it has no seed."""

    policy: str
    direction: str
    group: str
    fold: int
    seed: int | None = None
    controlled: bool = False

    @property
    def label(self) -> str:
        """Name of the policy in tables."""
        return f"{self.policy} + controls" if self.controlled else self.policy

    def file(self, bench: Bench, symbol: str) -> Path:
        """Where the days of a contract are kept; other settings of a policy have another file."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        controls = "+controls" if self.controlled else ""
        name = f"{self.policy}{controls}-{self.direction}-{self.group}-fold{self.fold}{seed}-{symbol}"
        return bench.folder / "trials" / bench.tag(self.policy) / f"{name}.npz"


class Bench:
    """Markets, tables and folds that all trials share."""

    def __init__(self, config: HistoryConfig, folder: Path):
        self.config, self.folder = config, folder
        markets = {
            symbol: config.market.model_copy(update={"contracts": [symbol]}).open()
            for symbol in config.symbols
        }
        self.markets = markets
        self.tables = {symbol: column_table(config, market) for symbol, market in markets.items()}
        known = [table.close_time[table.first_complete] for table in self.tables.values()]
        last = min(market.close_time[-1] for market in markets.values())
        self.folds: list[Fold] = config.folds.folds(_midnight(max(known)), last)

    def tag(self, policy: str) -> str:
        """Short hash of a policy's settings, those that ship for an agent's task included."""
        config = self.config
        if policy in config.agents:
            agent = config.agents[policy]
            told = agent.model_dump(
                mode="json", exclude={"seeds", "groups", "directions"}, exclude_defaults=True
            )
            told["settings"] = agent_settings({**agent.settings, "algorithm": agent.algorithm}).as_dict()
        else:
            told = config.rules[policy].model_dump(mode="json", exclude_defaults=True)
        return f"{policy}-{digest(told, length=8)}"

    def cut(
        self, symbol: str, span: Span, columns: list[str] | None = None
    ) -> tuple[MarketData, FeatureTable]:
        """Bars and table of a span of decisions, the bar before it included."""
        market, table = self.markets[symbol], self.tables[symbol]
        start, last = span[0] - market.bar, span[1]
        cut = table.between(start, last)
        return market.between(start, last), cut if columns is None else cut.select(columns)

    @lru_cache(maxsize=64)  # noqa: B019  one bench lives as long as its process
    def fixed(self, symbol: str, direction: str, fold: int) -> FixedGrid:
        """Fixed leverages over a test fold."""
        settings = self.config.simulation(self.config.directions[direction], start="first")
        market, table = self.cut(symbol, self.folds[fold].test)
        simulator = Simulator(market, table, settings, GRID_SIZE)
        simulator.reset(seed=0)
        return FixedGrid.play(simulator, flat=True)


def _midnight(moment: np.datetime64) -> np.datetime64:
    day = moment.astype("datetime64[D]")
    return (day if day == moment else day + 1).astype("datetime64[ms]")


# ------------------------------------------------------------------------------------------------------- running


@experiment(HistoryConfig)
def run_history(config: HistoryConfig, work: Work) -> Findings:
    """Play what is not played yet and set the tables: all policies, the agents' seeds, and why agents win or lose.

    See `gearing.studies.study.history_tables` for their columns.
    """
    from joblib import Parallel, delayed

    from gearing.studies.study.attribution import reasons_table, seeds_table
    from gearing.studies.study.daily_results import everything_played
    from gearing.studies.study.history_tables import history_table, told_line

    bench = Bench(config, work.folder)
    work.on(bench.markets)
    missing = [trial for trial in trials_of(bench) if not _is_done(bench, trial)]
    work.tell(f"{len(missing)} trials to play")
    Parallel(n_jobs=config.jobs)(delayed(_play)(bench, trial) for trial in missing)
    played = list(everything_played(bench))
    table = history_table(bench.config, played)
    tables = {"policies": table, "reasons": reasons_table(played), "seeds": seeds_table(played)}
    metrics = {f"{'.'.join(key)}.growth": float(row["growth"]) for key, row in table.iterrows()}
    notes = tuple(f"fold {fold.number}: {fold}" for fold in bench.folds)
    return Findings(told_line(config, table), tables, metrics=metrics, markets=bench.markets, notes=notes)


def trials_of(bench: Bench) -> list[Trial]:
    """All trials: rules per contract, with and without controls, then agents seed by seed."""
    config, found = bench.config, []
    versions = (False, True) if config.controls else (False,)
    for direction in config.directions:
        found += [
            Trial(rule, direction, symbol, fold.number, controlled=with_controls)
            for symbol in config.symbols
            for fold in bench.folds
            for rule in config.rules
            for with_controls in versions
        ]
    for seed in range(max([config.seeds, *(a.seeds or 0 for a in config.agents.values())])):
        found += _learning(bench, seed)
    return found


def _learning(bench: Bench, seed: int) -> Iterable[Trial]:
    config = bench.config
    for name, agent in config.agents.items():
        if seed >= (agent.seeds or config.seeds):
            continue
        for direction in agent.directions or config.directions:
            for group in agent.groups or config.groups:
                for fold in bench.folds:
                    yield Trial(name, direction, group, fold.number, seed)


def _is_done(bench: Bench, trial: Trial) -> bool:
    """Whether all that a trial leaves is there; an agent is played with controls last."""
    last = replace(
        trial, controlled=trial.controlled or (trial.seed is not None and bool(bench.config.controls))
    )
    return all(last.file(bench, symbol).exists() for symbol in tested(bench.config, trial))


def tested(config: HistoryConfig, trial: Trial) -> list[str]:
    """Contracts that a trial is tested on."""
    return [trial.group] if trial.seed is None else config.groups[trial.group]


def _play(bench: Bench, trial: Trial) -> None:
    """Train what is trained, and play it on the test fold of every contract; an agent without and with controls."""
    from gearing.studies.study.learning import learn

    changes: dict[str, Any] = {}
    learned: dict[str, float] = {}
    if trial.seed is None:
        asked = bench.config.rules[trial.policy]
        policy, columns, versions = asked.make(), None, [trial]
    else:
        trained, columns = learn(bench, trial)
        policy, interval = trained.policy, bench.config.agents[trial.policy].interval
        changes = {} if interval is None else {"decision_interval": interval}
        score = trained.validation_score
        learned = {"validation": np.nan if score is None else score, "chosen_at": trained.best_decisions}
        with_and_without = (False, True) if bench.config.controls else (False,)
        versions = [replace(trial, controlled=controlled) for controlled in with_and_without]
    for version in versions:
        settings = bench.config.simulation(
            bench.config.directions[trial.direction], controls=_controls(bench, version), **changes
        )
        for symbol in tested(bench.config, trial):
            market, table = bench.cut(symbol, bench.folds[trial.fold].test, _read(bench, columns, settings))
            given = {n: getattr(settings, n) for n in settings.__dataclass_fields__ if n != "start"}
            result = backtest(policy, market, table, **given)
            placebo = _placebo(bench, version, result, market, table)
            _keep(version.file(bench, symbol), result, **placebo, **learned)


def _controls(bench: Bench, trial: Trial) -> tuple[Any, ...]:
    return tuple(control.make() for control in bench.config.controls) if trial.controlled else ()


def _read(bench: Bench, columns: list[str] | None, settings: SimulationConfig) -> list[str] | None:
    """Columns that an agent and the controls around it read; None is all, for rules."""
    if columns is None:
        return None
    known = bench.tables[bench.config.symbols[0]].columns
    asked = [c for control in settings.controls for c in control.required_columns if c in known]
    return list(dict.fromkeys([*columns, *asked]))


def _placebo(
    bench: Bench, trial: Trial, result: BacktestResult, market: MarketData, table: FeatureTable
) -> dict[str, Any]:
    """Growth a year of the leverages that were traded, in their place and shifted in time.

    All seeds and contracts of a fold are shifted by the same numbers of days, so that their draws can be averaged.
    """
    if trial.controlled or not bench.config.shifts:
        return {}
    placebo = circular_shifts(result, market, table, shifts=bench.config.shifts, seed=trial.fold)
    return {"replayed": placebo.growth, "shifted": placebo.shifted}


def _keep(place: Path, result: BacktestResult, **more: Any) -> None:
    """Days of a result, and what else is known of it; written in one piece."""
    arrays = dict(
        time=result.time[:-1], growth=daily_log_growth(result.time, result.equity),
        leverage=np.abs(result.leverage[: result.end]).sum(axis=1), liquidations=result.steps.liquidations,
        fees=(result.steps.fees / np.maximum(result.steps.equity_before, 1e-9))[: result.end],
        funding=(result.steps.funding / np.maximum(result.steps.equity_before, 1e-9))[: result.end],
        ruined=result.ruined, **more,
    )  # fmt: skip
    write_arrays(place, arrays)
