"""What the agents of a study on real history learn from: several contracts, bootstrap paths, a synthetic past."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.features import FeatureSet, FeatureTable, is_feature
from gearing.market.data import MarketData
from gearing.policies.registry import make_rule
from gearing.simulation.actions import ResidualScheme
from gearing.studies.folds import Fold
from gearing.studies.study.history_columns import column_names

if TYPE_CHECKING:
    from gearing.agents import TrainedAgent
    from gearing.studies.study.history import Bench, Trial


def learn(bench: Bench, trial: Trial) -> tuple[TrainedAgent, list[str]]:
    """Train the agent of a trial; what the training leaves, and the columns that its policy reads."""
    from gearing.agents import train_agent

    config, agent = bench.config, bench.config.agents[trial.policy]
    fold, symbols = bench.folds[trial.fold], bench.config.groups[trial.group]
    direction = config.directions[trial.direction]
    base = make_rule(agent.base) if agent.base is not None else None
    columns = column_names(config, agent.columns or config.columns)
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
    start = _pretrained(bench, trial, settings, columns, simulation) if agent.pretrain else None
    spans = [bench.cut(symbol, fold.train, columns) for symbol in symbols]
    spans += [
        pair
        for k in range(agent.bootstrap)
        for pair in (_resampled(bench, s, fold, columns, seed, k) for s in symbols)
    ]
    held_out = [bench.cut(symbol, fold.validate, columns) for symbol in symbols] if agent.choose else []
    trained = train_agent(
        settings,
        *as_one_contract(spans),
        simulation,
        seed=seed,
        validation=as_one_contract(held_out) if held_out else None,
        start_from=start,
    )
    return trained, columns


def _resampled(bench: Bench, symbol: str, fold: Fold, columns: list[str], seed: int, number: int) -> Any:
    """A block-bootstrap path of a contract's training span, and its features."""
    from gearing.market.synthetic.generators import synthetic_market

    _check_computed("bootstrap paths have", columns)
    source, _ = bench.cut(symbol, fold.train)
    years = source.n_bars * float(source.bar / np.timedelta64(365, "D"))
    path = synthetic_market("bootstrap", seed=1000 * seed + number, years=years, source=source)
    return path, FeatureSet(columns).compute(path)


def _check_computed(what: str, columns: list[str]) -> None:
    forecast = [name for name in columns if not is_feature(name)]
    if forecast:
        raise ValueError(
            f"{what} no column {', '.join(forecast)}; leave 'forecast' and 'excursions' out of the agent's columns."
        )


def _pretrained(
    bench: Bench, trial: Trial, settings: dict[str, Any], columns: list[str], simulation: Any
) -> Any:
    """The policy after its synthetic training; the same for all folds, so it is kept."""
    from gearing.agents import load_policy, train_agent
    from gearing.market.synthetic.generators import synthetic_market

    seed = int(trial.seed or 0)
    asked = bench.config.agents[trial.policy].pretrain
    assert asked is not None
    _check_computed("a synthetic market has", columns)
    place = bench.folder / "pretrained" / f"{bench.tag(trial.policy)}-{trial.direction}-seed{seed}"
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
            market.replace(
                contracts=(contract,),
                volume=market.volume / scale,
                settlements=settlements,
                index=index,
                **scaled,
            )
        )
        tables.append(replace(table, symbols=first.symbols))
    return markets, tables
