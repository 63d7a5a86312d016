"""What the agents of a study learn from: a span of one or several contracts, bootstrap paths, a synthetic past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.features import FeatureSet, FeatureTable, is_feature
from gearing.market.data import MarketData
from gearing.market.synthetic.generators import synthetic_market
from gearing.simulation.actions import ResidualScheme
from gearing.simulation.config import SimulationConfig
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.folds import Fold
from gearing.studies.study.columns import agent_columns, base_rule
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.prepare import Prepared
from gearing.studies.study.trials import POLICY, PolicyTrial
from gearing.studies.trials import CHECKPOINT, Place
from gearing.studies.work import Work

if TYPE_CHECKING:
    from gearing.agents import TrainedAgent

Pretrained = Mapping[tuple[str, str | None, int], Path]  # by policy, direction and seed
Pair = tuple[MarketData, FeatureTable]


def train(prepared: Prepared, pretrained: Pretrained, trial: PolicyTrial, place: Place) -> TrainedAgent:
    """Train the agent of a trial on its fold's training spans; a killed training goes on from its checkpoint."""
    from gearing.agents import load_policy, train_agent

    config, fold, seed = prepared.config, prepared.folds[trial.fold], int(trial.seed or 0)
    agent = config.agents[trial.policy]
    columns = agent_columns(config, trial.policy, trial.direction)
    accounts = trial.accounts(config) or list(prepared.markets)
    spans = [prepared.cut(account, fold.train, columns) for account in accounts]
    for number in range(agent.bootstrap):
        spans += [_resampled(prepared, account, fold, columns, seed, number) for account in accounts]
    held_out = [prepared.cut(account, fold.validate, columns) for account in accounts] if agent.choose else []
    start = pretrained.get((trial.policy, trial.direction, seed))
    return train_agent(
        agent.hyper_parameters,
        *as_one_contract(spans),
        training_settings(config, trial.policy, trial.direction),
        seed=seed,
        validation=as_one_contract(held_out) if held_out else None,
        checkpoint_dir=place.folder / CHECKPOINT,
        resume="restart",
        start_from=None if start is None else load_policy(start),
        run=place.run,
        progress=place.progress and trial.name,
    )


def training_settings(config: StudyConfig, policy: str, direction: str | None = None) -> SimulationConfig:
    """Settings of the accounts that an agent trains with."""
    agent = config.agents[policy]
    scheme: Any = agent.action or "leverage"
    if agent.base is not None:
        scheme = ResidualScheme(config.decision.max_leverage, base_rule(config, agent))
    return config.simulation(policy, direction, action=scheme, reward=agent.reward)


def _resampled(
    prepared: Prepared, account: str, fold: Fold, columns: list[str], seed: int, number: int
) -> Pair:
    """A block-bootstrap path of a contract's training span, and its features."""
    _check_computed("bootstrap paths have", columns)
    source, _ = prepared.cut(account, fold.train)
    years = source.n_bars * float(source.bar / np.timedelta64(365, "D"))
    path = synthetic_market("bootstrap", seed=1000 * seed + number, years=years, source=source)
    return path, FeatureSet(columns).compute(path)


def _check_computed(what: str, columns: list[str]) -> None:
    forecast = [name for name in columns if not is_feature(name)]
    if forecast:
        raise ValueError(
            f"{what} no column {', '.join(forecast)}; leave 'forecast' and 'excursions' out of the agent's columns."
        )


@dataclass(frozen=True)
class PretrainTrial(PolicyTrial):
    """The synthetic training of an agent, the same for all folds and groups."""

    @property
    def name(self) -> str:
        """Name among the study's trials."""
        parts = ("pretrain", self.policy, self.direction, f"seed{self.seed}")
        return "-".join(part for part in parts if part is not None)

    @property
    def run_name(self) -> str:
        """Name of its tracked run."""
        return ", ".join(
            [
                f"pretraining of {self.policy}",
                *([self.direction] if self.direction else []),
                f"seed {self.seed}",
            ]
        )

    @property
    def about(self) -> str:
        """What it is, as the begin of a sentence."""
        return f"Training of `{self.policy}` on synthetic markets"

    def tags(self, config: Any) -> Mapping[str, Any]:
        """What tells it apart."""
        return {
            "policy": self.policy,
            "policy_kind": "pretraining",
            "direction": self.direction,
            "seed": self.seed,
        }

    def data(self, config: ExperimentConfig, fingerprints: Mapping[str, str]) -> Mapping[str, str]:
        """None: its markets are generated."""
        return {}


def pretrain(config: StudyConfig, trials: Iterable[PolicyTrial], work: Work) -> Pretrained:
    """Train what is trained on synthetic markets first; what failed is missing, see `can_begin`."""
    wanted = {
        PretrainTrial(trial.policy, 0, "", trial.seed, None, trial.direction): None
        for trial in trials
        if _is_pretrained(config, trial)
    }
    found = work.run(list(wanted), partial(_pretrain, config), needed=False)
    return {(o.trial.policy, o.trial.direction, o.trial.seed): o.folder / POLICY for o in found}


def can_begin(config: StudyConfig, pretrained: Pretrained, trial: PolicyTrial) -> bool:
    """Whether a trial has all it begins with: not where its synthetic training failed."""
    return not _is_pretrained(config, trial) or (trial.policy, trial.direction, trial.seed) in pretrained


def _is_pretrained(config: StudyConfig, trial: PolicyTrial) -> bool:
    return trial.seed is not None and config.agents[trial.policy].pretrain is not None


def _pretrain(config: StudyConfig, trial: PretrainTrial, place: Place) -> dict[str, Any]:
    from gearing.agents import train_agent

    agent, seed = config.agents[trial.policy], int(trial.seed or 0)
    given = agent.pretrain
    assert given is not None
    columns = agent_columns(config, trial.policy, trial.direction)
    _check_computed("a synthetic market has", columns)
    markets = [
        synthetic_market(given.generator, seed=given.seed + k, years=years, **given.settings)
        for k, years in ((2 * seed, given.years), (2 * seed + 1, given.years / 4))
    ]
    tables = [FeatureSet(columns).compute(market) for market in markets]
    trained = train_agent(
        agent.hyper_parameters, markets[0], tables[0], training_settings(config, trial.policy, trial.direction),
        seed=seed, total_decisions=given.decisions, validation=(markets[1], tables[1]),
        checkpoint_dir=place.folder / CHECKPOINT, resume="restart", run=place.run,
        progress=place.progress and trial.name,
    )  # fmt: skip
    trained.policy.save(place.folder / POLICY)
    return {"validation": trained.validation_score}


def as_one_contract(pairs: list[Pair]) -> tuple[list[MarketData], list[FeatureTable]]:
    """Paths of several contracts as paths of the first: its symbol, and prices scaled to its level.

    An account of one contract trains on all of them; ticks and lots are the first one's, tiers stay each one's own.
    """
    first = pairs[0][0]
    markets, tables = [], []
    for market, table in pairs:
        same = market if market is first else _scaled(market, first)
        markets.append(same)
        tables.append(replace(table, symbols=first.symbols, closes=same.close))
    return markets, tables


def _scaled(market: MarketData, first: MarketData) -> MarketData:
    scale = float(first.close[0, 0] / market.close[0, 0])
    settlements = market.settlements.copy()
    settlements["mark"] *= scale
    return market.replace(
        contracts=(replace(first.contracts[0], schedules=market.contracts[0].schedules),),
        volume=market.volume / scale,
        settlements=settlements,
        index=None if market.index is None else market.index * scale,
        **{name: getattr(market, name) * scale for name in ("last", "mark")},
    )
