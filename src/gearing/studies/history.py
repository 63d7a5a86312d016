"""Agents beside rules on real history: walk-forward over contracts, alone and pooled, every test fold played once.

A group is a set of contracts: an agent trains on the training spans of all of them and is tested on each by itself.
Whatever is played leaves its days on disk, so a run that is killed goes on; tables are made from what lies there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from gearing.evaluation.backtest import BacktestResult, backtest
from gearing.evaluation.batch import play_sizes
from gearing.evaluation.metrics import daily_log_growth
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.policies.registry import make_control, make_rule
from gearing.simulation.actions import ResidualScheme
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator
from gearing.studies.config import Decision, Exchange, Forecast, Market, Rule, Slippage, _by_name
from gearing.studies.fields import Section
from gearing.studies.folds import Fold, Folds, Span
from gearing.studies.forecasting import FORECAST

if TYPE_CHECKING:
    import pandas as pd

TWINS = 48  # fixed leverages that every fold is played with, to interpolate the one of the same average


class Pretraining(Section):
    """Training on a synthetic market before the real one.

    Attributes
    ----------
    generator : str
    seed, years : of the paths
    decisions : int
    """

    generator: str = "market-b"
    seed: int = Field(default=0, ge=0)
    years: float = Field(default=40.0, gt=0.0)
    decisions: int = Field(default=1_000_000, ge=1)


class Agent(Section):
    """One learned policy.

    Attributes
    ----------
    algorithm, settings
        See `gearing.agents.AgentSettings`.
    action, base
        Action scheme, and the rule that a residual one scales.
    columns : list of str
        Features; "forecast" is the forecast column.
    reward : str
        Of agents that learn by reward.
    interval : duration, optional
        Its own decision interval.
    bootstrap : int
        Block-bootstrap paths of the training span that are added for each contract.
    pretrain : Pretraining, optional
    seeds : int, optional
        Instead of the study's number.
    groups, directions : list of str, optional
        Only these of the study.
    """

    algorithm: str
    settings: dict[str, Any] = Field(default_factory=dict)
    action: str = "leverage"
    base: str | None = None
    columns: list[str] | None = None
    reward: str = "log_growth"
    interval: str | None = None
    bootstrap: int = Field(default=0, ge=0)
    pretrain: Pretraining | None = None
    seeds: int | None = Field(default=None, ge=1)
    groups: list[str] | None = None
    directions: list[str] | None = None


class HistoryConfig(Section):
    """Settings of the study.

    Attributes
    ----------
    groups : mapping of name to contracts
        An agent trains on all contracts of a group and is tested on each.
    directions : mapping of name to direction
    columns : list of str
        What agents see unless they say otherwise.
    controls : list of mapping
        Risk controls; rules are played without and with them.
    budget : float
        Stated probability of a liquidation within 30 days, printed beside the realised one.
    """

    name: str
    question: str = ""
    market: Market
    groups: dict[str, list[str]] = Field(min_length=1)
    directions: dict[str, str] = Field(default={"long": "long"}, min_length=1)
    folds: Folds = Folds()
    decision: Decision = Decision()
    exchange: Exchange = Exchange()
    forecast: Forecast | None = None
    columns: list[str] = Field(default=["default"], min_length=1)
    controls: list[dict[str, Any]] = Field(default_factory=list)
    agents: dict[str, Agent] = Field(default_factory=dict)
    rules: Annotated[dict[str, Rule], BeforeValidator(_by_name)] = Field(default_factory=dict)
    budget: float = Field(default=0.05, gt=0.0, lt=1.0)
    seeds: int = Field(default=10, ge=1)
    output: str = "runs"

    @model_validator(mode="after")
    def _parts_agree(self) -> HistoryConfig:
        for control in self.controls:
            make_control(control)
        for name, agent in self.agents.items():
            for asked, known in ((agent.groups, self.groups), (agent.directions, self.directions)):
                for one in asked or ():
                    if one not in known:
                        raise ValueError(f"agent {name} asks for {one!r}; there are {', '.join(known)}.")
        self.simulation("long")
        return self

    def simulation(self, direction: str, **changes: Any) -> SimulationConfig:
        """Settings of the simulated account."""
        decision = self.decision.model_dump()
        settings = decision | self.exchange.model_dump(exclude={"slippage"})
        settings["decision_interval"] = settings.pop("interval")
        settings["decision"] = settings.pop("mode")
        settings["slippage"] = _slippage(self.exchange.slippage)
        return SimulationConfig(**(settings | {"direction": direction} | changes))

    @property
    def symbols(self) -> list[str]:
        """All contracts, each once."""
        return list(dict.fromkeys(symbol for group in self.groups.values() for symbol in group))

    @property
    def digest(self) -> str:
        """Hash of what markets, folds and accounts are; trials are kept by name below it."""
        kept = {"market", "folds", "decision", "exchange", "forecast", "directions", "controls"}
        told = self.model_dump(mode="json", include=kept)
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _slippage(asked: Slippage) -> Any:
    from gearing.simulation.config import Slippage as Simulated

    return Simulated(**asked.model_dump())


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

    def file(self, folder: Path, symbol: str) -> Path:
        """Where the days of a contract are kept."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        controls = "+controls" if self.controlled else ""
        return (
            folder
            / "trials"
            / f"{self.policy}{controls}-{self.direction}-{self.group}-fold{self.fold}{seed}-{symbol}.npz"
        )


class Bench:
    """Markets, tables and folds that all trials share."""

    def __init__(self, config: HistoryConfig, folder: Path):
        self.config, self.folder = config, folder
        markets = {
            symbol: config.market.model_copy(update={"contracts": [symbol]}).open()
            for symbol in config.symbols
        }
        self.markets = markets
        self.tables = {symbol: self._table(market) for symbol, market in markets.items()}
        known = [table.close_time[table.first_complete] for table in self.tables.values()]
        last = min(market.close_time[-1] for market in markets.values())
        self.folds: list[Fold] = config.folds.folds(_midnight(max(known)), last)

    def _table(self, market: MarketData) -> FeatureTable:
        config = self.config
        wanted = [
            *_features(config.columns),
            *(c for a in config.agents.values() for c in _features(a.columns or [])),
        ]
        rules = [make_rule({"rule": rule.rule, **rule.settings}) for rule in config.rules.values()]
        controls = [make_control(control) for control in config.controls]
        bases = [make_rule(a.base) for a in config.agents.values() if a.base is not None]
        for asking in (*rules, *controls, *bases):
            wanted += asking.required_columns
        wanted += [d.partition(":")[2] for d in config.directions.values() if ":" in d]
        wanted = [name for name in dict.fromkeys(wanted) if name != FORECAST and name in _registered()]
        table = FeatureSet(wanted).compute(market)
        if config.forecast is None:
            return table
        from gearing.forecasters import Schedule, forecast_volatility_column

        asked = config.forecast
        schedule = Schedule(asked.train, asked.train if asked.window == "rolling" else None, asked.refit)
        column = forecast_volatility_column(
            market, asked.forecaster, asked.horizon, schedule=schedule, **asked.settings
        )
        return column.join(table)

    def cut(
        self, symbol: str, span: Span, columns: list[str] | None = None
    ) -> tuple[MarketData, FeatureTable]:
        """Bars and table of a span of decisions, the bar before it included."""
        market, table = self.markets[symbol], self.tables[symbol]
        start, last = span[0] - market.bar, span[1]
        cut = table.between(start, last)
        return market.between(start, last), cut if columns is None else cut.select(columns)

    @lru_cache(maxsize=64)  # noqa: B019  one bench lives as long as its process
    def twins(self, symbol: str, direction: str, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean effective leverage (n,) and daily growth (n, n_days) of fixed leverages over a test fold."""
        settings = self.config.simulation(self.config.directions[direction], start="first")
        market, table = self.cut(symbol, self.folds[fold].test)
        simulator = Simulator(market, table, settings, TWINS)
        simulator.reset(seed=0)
        sizes = np.concatenate([[0.0], np.geomspace(0.02, settings.max_leverage, TWINS - 1)])
        played = play_sizes(simulator, sizes[:, None, None])
        return played.leverage, np.stack([daily_log_growth(played.time, path) for path in played.equity])


def _midnight(moment: np.datetime64) -> np.datetime64:
    day = moment.astype("datetime64[D]")
    return (day if day == moment else day + 1).astype("datetime64[ms]")


def _features(columns: Iterable[str]) -> list[str]:
    return [
        name
        for column in columns
        for name in ([FORECAST] if column == "forecast" else FeatureSet([column]).columns)
    ]


@lru_cache(maxsize=1)
def _registered() -> frozenset[str]:
    from gearing.features import registered_features

    return frozenset(feature.name for feature in registered_features())


# ------------------------------------------------------------------------------------------------------- running


@dataclass(frozen=True, eq=False)
class HistoryResult:
    """What was found: one table row per group, direction and policy."""

    config: HistoryConfig
    folder: Path
    table: pd.DataFrame
    folds: list[Fold]


def load_history(path: str | Path, overrides: Iterable[str] = ()) -> HistoryConfig:
    """Read an experiment; overrides are ``key=value`` as for any study."""
    from omegaconf import OmegaConf

    text = Path(path).read_text(encoding="utf-8")
    merged = OmegaConf.merge(OmegaConf.create(text), OmegaConf.from_dotlist(list(overrides)))
    values = OmegaConf.to_container(merged, resolve=True)
    assert isinstance(values, dict)
    values.setdefault("name", Path(path).stem)
    if text.startswith("#"):
        values.setdefault("question", text.partition("\n")[0].lstrip("# "))
    return HistoryConfig.model_validate(values)


def run_history(
    experiment: str | Path | HistoryConfig,
    overrides: Iterable[str] = (),
    *,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
) -> HistoryResult:
    """Play what is not played yet and set the table.

    Parameters
    ----------
    experiment : path or HistoryConfig
    jobs : int
        Processes.
    progress : callable, optional
        Told what is going on.
    """
    from joblib import Parallel, delayed

    from gearing.studies.history_tables import history_table

    config = experiment if isinstance(experiment, HistoryConfig) else load_history(experiment, overrides)
    folder = Path(config.output) / f"{config.name}-{config.digest}"
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    bench = Bench(config, folder)
    tell = progress or (lambda text: None)
    for fold in bench.folds:
        tell(f"fold {fold.number}: {fold}")
    missing = [trial for trial in trials_of(bench) if not _is_done(bench, trial)]
    tell(f"{len(missing)} trials to play, results in {folder}")
    Parallel(n_jobs=jobs)(delayed(_play)(bench, trial) for trial in missing)
    table = history_table(bench)
    table.to_csv(folder / "table.csv")
    return HistoryResult(config, folder, table, bench.folds)


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
    return all(last.file(bench.folder, symbol).exists() for symbol in tested(bench.config, trial))


def tested(config: HistoryConfig, trial: Trial) -> list[str]:
    """Contracts that a trial is tested on."""
    return [trial.group] if trial.seed is None else config.groups[trial.group]


def _play(bench: Bench, trial: Trial) -> None:
    if trial.seed is None:
        asked = bench.config.rules[trial.policy]
        policy, columns, interval = make_rule({"rule": asked.rule, **asked.settings}), None, None
    else:
        policy, columns = learn(bench, trial)
        interval = bench.config.agents[trial.policy].interval
    changes: dict[str, Any] = {} if interval is None else {"decision_interval": interval}
    controls = tuple(make_control(control) for control in bench.config.controls)
    for controlled in (False, True) if trial.seed is not None and controls else (trial.controlled,):
        version = replace(trial, controlled=controlled)
        settings = bench.config.simulation(
            bench.config.directions[trial.direction], controls=controls if controlled else (), **changes
        )
        extra = [c for control in settings.controls for c in control.required_columns]
        wanted = (
            None
            if columns is None
            else [
                *columns,
                *(
                    c
                    for c in extra
                    if c in bench.tables[bench.config.symbols[0]].columns and c not in columns
                ),
            ]
        )
        for symbol in tested(bench.config, trial):
            market, table = bench.cut(symbol, bench.folds[trial.fold].test, wanted)
            result = backtest(
                policy,
                market,
                table,
                **{n: getattr(settings, n) for n in settings.__dataclass_fields__ if n != "start"},
            )
            _keep(version.file(bench.folder, symbol), result)


def _keep(place: Path, result: BacktestResult) -> None:
    """Days of a result; written in one piece."""
    draft = place.with_suffix(".part.npz")
    np.savez(
        draft, time=result.time[:-1], growth=daily_log_growth(result.time, result.equity),
        leverage=np.abs(result.leverage[: result.end]).sum(axis=1), liquidations=result.steps.liquidations,
        fees=(result.steps.fees / np.maximum(result.steps.equity_before, 1e-9))[: result.end],
        funding=(result.steps.funding / np.maximum(result.steps.equity_before, 1e-9))[: result.end],
        ruined=result.ruined,
    )  # fmt: skip
    draft.replace(place)


# ------------------------------------------------------------------------------------------------------ learning


def learn(bench: Bench, trial: Trial) -> tuple[Any, list[str]]:
    """Train the agent of a trial; its policy, and the columns that it reads."""
    from gearing.agents import train_agent

    config, agent = bench.config, bench.config.agents[trial.policy]
    fold, symbols = bench.folds[trial.fold], bench.config.groups[trial.group]
    direction = config.directions[trial.direction]
    base = make_rule(agent.base) if agent.base is not None else None
    columns = _features(agent.columns or config.columns)
    columns += [
        *(base.required_columns if base else ()),
        *([direction.partition(":")[2]] if ":" in direction else []),
    ]
    columns = [name for name in dict.fromkeys(columns) if name in bench.tables[symbols[0]].columns]
    changes: dict[str, Any] = {"reward": agent.reward, "action": agent.action}
    if agent.interval is not None:
        changes["decision_interval"] = agent.interval
    simulation = config.simulation(direction, **changes)
    if base is not None:
        simulation = simulation.with_(action=ResidualScheme(simulation.max_leverage, base))
    settings, seed = {**agent.settings, "algorithm": agent.algorithm}, int(trial.seed or 0)
    start = (
        _pretrained(agent, settings, columns, simulation, seed, bench.folder, trial)
        if agent.pretrain
        else None
    )
    spans = [bench.cut(symbol, fold.train, columns) for symbol in symbols]
    spans += [
        pair
        for k in range(agent.bootstrap)
        for pair in (_resampled(bench, s, fold, columns, seed, k) for s in symbols)
    ]
    held_out = [bench.cut(symbol, fold.validate, columns) for symbol in symbols]
    trained = train_agent(
        settings,
        *as_one_contract(spans),
        simulation,
        seed=seed,
        validation=as_one_contract(held_out),
        start_from=start,
    )
    return trained.policy, columns


def _resampled(bench: Bench, symbol: str, fold: Fold, columns: list[str], seed: int, number: int) -> Any:
    """A block-bootstrap path of a contract's training span, and its features."""
    from gearing.market.synthetic import synthetic_market

    if FORECAST in columns:
        raise ValueError(
            "bootstrap paths have no forecast column; leave 'forecast' out of the agent's columns."
        )
    source, _ = bench.cut(symbol, fold.train)
    years = source.n_bars * float(source.bar / np.timedelta64(365, "D"))
    path = synthetic_market("bootstrap", seed=1000 * seed + number, years=years, source=source)
    return path, FeatureSet(columns).compute(path)


def _pretrained(
    agent: Agent,
    settings: dict[str, Any],
    columns: list[str],
    simulation: Any,
    seed: int,
    folder: Path,
    trial: Trial,
) -> Any:
    """The policy after its synthetic training; the same for all folds, so it is kept."""
    from gearing.agents import load_policy, train_agent
    from gearing.market.synthetic import synthetic_market

    asked = agent.pretrain
    assert asked is not None
    if FORECAST in columns:
        raise ValueError(
            "a synthetic market has no forecast column here; leave 'forecast' out of the agent's columns."
        )
    place = folder / "pretrained" / f"{trial.policy}-{trial.direction}-seed{seed}"
    if not place.exists():
        markets = [
            synthetic_market(asked.generator, seed=asked.seed + k, years=y)
            for k, y in ((2 * seed, asked.years), (2 * seed + 1, asked.years / 4))
        ]
        tables = [FeatureSet(columns).compute(market) for market in markets]
        trained = train_agent(
            settings, markets[0], tables[0], simulation, seed=seed, total_decisions=asked.decisions,
            validation=(markets[1], tables[1]),
        )  # fmt: skip
        trained.policy.save(place)
    return load_policy(place)


def as_one_contract(
    pairs: list[tuple[MarketData, FeatureTable]],
) -> tuple[list[MarketData], list[FeatureTable]]:
    """Paths of several contracts as paths of the first: its symbol, and prices scaled to its level.

    An account of one contract trains on all of them; ticks and lots are the first one's, tiers stay each one's own.
    """
    first = pairs[0][0]
    markets, tables = [], []
    for market, table in pairs:
        scale = float(first.close[0, 0] / market.close[0, 0])
        contract = replace(first.contracts[0], schedules=market.contracts[0].schedules)
        settlements = market.settlements.copy()
        settlements["mark"] *= scale
        scaled = {name: getattr(market, name) * scale for name in ("last", "mark")}
        index = None if market.index is None else market.index * scale
        markets.append(
            market._with(
                contracts=(contract,),
                volume=market.volume / scale,
                settlements=settlements,
                index=index,
                **scaled,
            )
        )
        tables.append(replace(table, symbols=first.symbols))
    return markets, tables
