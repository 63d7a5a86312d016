"""How near agents come to a known optimum: trained on fresh synthetic markets, judged on others beside the oracle.

Every policy plays the same test markets under the same mechanics (common random numbers). Training markets differ by
seed, the validation market chooses the weights, test markets are played once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from gearing.evaluation.playing import Observer
from gearing.features import FeatureSet, FeatureTable
from gearing.market import MarketData
from gearing.market.oracle.bayes_filter import bayes_filter
from gearing.market.oracle.best_leverage import oracle_leverage
from gearing.market.synthetic.generators import synthetic_market
from gearing.policies.oracle import (
    LOWER,
    UPPER,
    OraclePolicy,
    oracle_path_growth,
    oracle_policy,
    state_table,
)
from gearing.policies.rules import FixedLeverage
from gearing.simulation.config import SimulationConfig
from gearing.simulation.presets import market_a_settings, market_b_settings
from gearing.storage.atomic import write_arrays, write_json
from gearing.storage.digest import digest
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.fields import Section
from gearing.studies.regret.tables import agent_table, reference_table, scored
from gearing.studies.work import Work

if TYPE_CHECKING:
    import pandas as pd

TRAINING = "training.json"
GRID = 0.2  # step of the leverages on which the oracle is solved


class Paths(Section):
    """Synthetic paths: their seeds count up from ``seed``."""

    seed: int = Field(ge=0)
    years: float = Field(gt=0.0)
    count: int = Field(default=1, ge=1)


class Learner(Section):
    """An agent and whatever differs from its shipped settings, see `gearing.agents.AgentSettings`.

    Attributes
    ----------
    seeds : int, optional
        Instead of the study's number.
    """

    algorithm: str
    settings: dict[str, Any] = Field(default_factory=dict)
    seeds: int | None = Field(default=None, ge=1)


class RegretConfig(ExperimentConfig):
    """Settings of a regret study.

    Attributes
    ----------
    market : {"market-a", "market-b"}
        The oracle of market B knows no costs, so that everyone plays it without: no fees, slippage, ticks or lots.
    variant : mapping
        The generator's own settings, as ``variant: zero-drift`` of market A.
    shown : {"state", "prices"}
        What policies see: the market's true state, or features of prices and funding.
    columns : list of str
        Features where prices are shown.
    account : mapping
        Settings of `SimulationConfig` that differ from the task's own.
    train : Paths
        Seed k trains on the paths k x count, ... of them.
    fixed : list of float
        Leverages of equity among which the best fixed one is found, on the validation market.
    seeds : int
        More can be added later: what is trained and played already is not done again.
    """

    kind: Literal["regret"] = "regret"
    market: Literal["market-a", "market-b"] = "market-a"
    variant: dict[str, Any] = Field(default_factory=dict)
    shown: Literal["state", "prices"] = "state"
    columns: list[str] = Field(default=["default"], min_length=1)
    account: dict[str, Any] = Field(default_factory=dict)
    train: Paths = Paths(seed=1_000, years=1_000.0)
    validate_: Paths = Field(default=Paths(seed=500, years=400.0), alias="validate")
    test: Paths = Paths(seed=100_000, years=1_000.0, count=8)
    agents: dict[str, Learner] = Field(min_length=1)
    fixed: list[float] = Field(default=[0.25, 0.5, 0.75, 1.0, 1.5], min_length=1)
    seeds: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _paths_are_different(self) -> RegretConfig:
        spans = {
            "train": (self.train.seed, self.train.seed + self.seeds * self.train.count),
            "validate": (self.validate_.seed, self.validate_.seed + self.validate_.count),
            "test": (self.test.seed, self.test.seed + self.test.count),
        }
        names = list(spans)
        for k, one in enumerate(names):
            for other in names[k + 1 :]:
                if spans[one][0] < spans[other][1] and spans[other][0] < spans[one][1]:
                    raise ValueError(
                        f"{one} has the market seeds {spans[one][0]} to {spans[one][1] - 1}, {other} "
                        f"{spans[other][0]} to {spans[other][1] - 1}: they share paths. Move one of them."
                    )
        self.simulation()
        return self

    def simulation(self) -> SimulationConfig:
        """Mechanics that everyone plays under."""
        preset = market_a_settings() if self.market == "market-a" else market_b_settings()
        config = SimulationConfig(**(preset | self.account))
        if self.market == "market-a":
            return config
        free = replace(config.profile(MarketData.venue), taker_fee=0.0, maker_fee=0.0)
        return config.with_(venue=free, fee_level=None, slippage=0.0)

    def open(self, seed: int, years: float) -> tuple[MarketData, FeatureTable]:
        """A path and what is shown of it."""
        market = synthetic_market(self.market, seed=seed, years=years, **self.variant)
        if self.market == "market-b":
            market = market.replace(
                contracts=tuple(
                    replace(contract, tick_size=0.0, lot_size=0.0, min_notional=0.0)
                    for contract in market.contracts
                )
            )
        if self.shown == "state":
            return market, state_table(market)
        return market, FeatureSet(list(self.columns)).compute(market)

    def markets(self, paths: Paths, first: int = 0) -> tuple[list[MarketData], list[FeatureTable]]:
        """Some paths, from the one numbered ``first``."""
        pairs = [self.open(paths.seed + first + k, paths.years) for k in range(paths.count)]
        return [market for market, _ in pairs], [table for _, table in pairs]

    @property
    def filtered(self) -> bool:
        """Whether the Bayes filter is the reference: the state of market A is hidden."""
        return self.market == "market-a" and self.shown == "prices"

    def trials(self) -> list[tuple[str, int]]:
        """Agent and seed of everything that is trained, seed by seed."""
        most = {name: agent.seeds or self.seeds for name, agent in self.agents.items()}
        return [(name, k) for k in range(max(most.values())) for name in self.agents if k < most[name]]

    @property
    def digest(self) -> str:
        """Hash of everything that results depend on, but for how many seeds there are: more can be added.

        Agents count with all their settings, those that ship for a task included.
        """
        from gearing.agents import agent_settings

        told = self.model_dump(mode="json", exclude={*self.not_hashed, "seeds", "agents"})
        told["agents"] = {
            name: agent_settings({**agent.settings, "algorithm": agent.algorithm}).as_dict()
            for name, agent in self.agents.items()
        }
        return digest(told)


@experiment(RegretConfig)
def run_regret(config: RegretConfig, work: Work) -> Findings:
    """Train what is not trained yet, play what is not played yet, and set the tables.

    Tables: ``agents``, one row per agent with its score (growth over the oracle's), the interval over seeds, the
    share of decisions inside the oracle's band, and what it took to 0.9 of the oracle on validation; ``references``;
    ``seeds``.
    """
    from joblib import Parallel, delayed

    missing = [trial for trial in config.trials() if not (place(work.folder, *trial) / TRAINING).exists()]
    work.tell(f"{len(missing)} of {len(config.trials())} agents to train")
    Parallel(n_jobs=config.jobs)(delayed(_train)(config, work.folder, *trial) for trial in missing)
    work.tell(f"playing everyone on {config.test.count} test paths")
    Parallel(n_jobs=config.jobs)(delayed(_judge)(config, work.folder, k) for k in range(config.test.count))
    seeds = scored(config, work.folder)
    agents = agent_table(seeds)
    tables = {"agents": agents, "references": reference_table(config, work.folder), "seeds": seeds}
    metrics = {f"{name}.score": float(row["score"]) for name, row in agents.iterrows()}
    return Findings(_line(config, agents), tables, metrics=metrics)


def _line(config: RegretConfig, agents: pd.DataFrame) -> str:
    told = [
        f"{name} {row['score']:.3f} [{row['score_low']:.3f}, {row['score_high']:.3f}] ({int(row['seeds'])} seeds)"
        for name, row in agents.iterrows()
    ]
    years = config.test.years * config.test.count
    return f"{config.name}: parts of the oracle's growth over {years:,.0f} years: " + ", ".join(told)


def place(folder: Path, agent: str, seed: int) -> Path:
    """Folder of one trained agent."""
    return folder / "agents" / f"{agent}-seed{seed}"


# ------------------------------------------------------------------------------------------------------ training


def _train(config: RegretConfig, folder: Path, agent: str, seed: int) -> None:
    from gearing.agents import train_agent
    from gearing.tracking import Tracker

    own = place(folder, agent, seed)
    learner = config.agents[agent]
    markets, tables = config.markets(config.train, seed * config.train.count)
    held_out = config.markets(config.validate_)
    tracker = Tracker(config.tracking.uri, config.tracking.experiment) if config.tracking.enabled else None
    settings = {**learner.settings, "algorithm": learner.algorithm}

    def train(run: Any) -> Any:
        return train_agent(
            settings, markets, tables, config.simulation(), seed=seed, validation=held_out,
            checkpoint_dir=own / "checkpoint", resume=True, run=run,
        )  # fmt: skip

    if tracker is None:
        trained = train(None)
    else:
        with tracker.run(f"{agent} [{seed}]", key=f"{folder.name}-{own.name}") as run:
            run.log_params(
                {"experiment": config.name, "agent": agent, "seed": seed, "folder": str(own.absolute())}
            )
            trained = train(run)
        tracker.close()
    trained.policy.save(own / "policy")
    write_json(
        own / TRAINING,
        {
            "history": trained.history,
            "decisions": trained.decisions,
            "best_decisions": trained.best_decisions,
            "validation_score": trained.validation_score,
            "seconds": trained.seconds,
            "oracle_on_validation": _oracle_growth(config, *held_out),
        },
    )


def _oracle_growth(config: RegretConfig, markets: list[MarketData], tables: list[FeatureTable]) -> float:
    """Growth a year of the oracle under the same mechanics."""
    from gearing.agents.scoring import Scorer

    oracles = [references(config, market)["oracle"] for market in markets]
    joined = [oracle.join(table) for oracle, table in zip(oracles, tables, strict=True)]
    oracle: Any = oracles[0]
    return Scorer(markets, joined, config.simulation())(oracle)


def references(config: RegretConfig, market: MarketData) -> dict[str, OraclePolicy]:
    """Policies that know the law: the oracle, and half of its leverage without bands."""
    simulation = config.simulation()
    made, share, bound = oracle_policy(market), simulation.shares(1)[0], simulation.max_leverage
    best = oracle_leverage(market, max_leverage=share * bound)
    half = 0.5 * np.vstack([best[1:], best[-1:]])  # of the step that follows a close
    return {
        "oracle": OraclePolicy(made.lower, made.upper, share, bound),
        "half_of_the_oracle": OraclePolicy(half, half, share, bound),
    }


# ------------------------------------------------------------------------------------------------------- judging


def _judge(config: RegretConfig, folder: Path, number: int) -> None:
    """Play everyone on one test path; a policy that was played there is not played again."""
    from gearing.agents import load_policy
    from gearing.agents.scoring import Scorer

    own = folder / "test" / str(number)
    wanted = {f"{name}-seed{seed}": place(folder, name, seed) for name, seed in config.trials()}
    wanted = {name: path for name, path in wanted.items() if not (own / f"{name}.npz").exists()}
    if not wanted:
        return
    market, table = config.open(config.test.seed + number, config.test.years)
    known = references(config, market)
    scorer = Scorer([market], [known["oracle"].join(table)], config.simulation())
    if not (own / "formula.npz").exists():
        for name, policy in known.items():
            with_columns = Scorer([market], [policy.join(table)], config.simulation())
            write_arrays(own / f"{name}.npz", play(with_columns, policy))
        write_arrays(own / "best_fixed.npz", play(scorer, best_fixed(config)))
        write_arrays(own / "formula.npz", _formulas(config, market))
    for name, path in wanted.items():
        write_arrays(own / f"{name}.npz", play(scorer, load_policy(path / "policy")))


def _formulas(config: RegretConfig, market: MarketData) -> dict[str, np.ndarray]:
    """Growth a year of what is computed along the path itself, outside the simulator."""
    growth = {"growth": np.array(oracle_path_growth(market).sum() / config.test.years)}
    if config.filtered:
        growth["filtered"] = np.array(bayes_filter(market).growth.sum() / config.test.years)
    return growth


class _Watch(Observer):
    """Adds up leverage, and how it lies to the oracle's band."""

    def begin(self, simulator: Any, count: int) -> None:
        self.decisions, self.leverage, self.inside, self.outside_by = 0, 0.0, 0, 0.0

    def decided(self, k: int, simulator: Any, targets: np.ndarray, active: np.ndarray) -> None:
        view = simulator.view
        if LOWER not in view:
            return
        share = simulator.config.shares(1)[0]
        chosen = np.where(np.isnan(targets), view["effective_leverage"], share * targets)[active, 0]
        beyond = np.maximum(view[LOWER][active, 0] - chosen, chosen - view[UPPER][active, 0])
        self.decisions += chosen.size
        self.leverage += np.abs(chosen).sum()
        self.inside += int(np.count_nonzero(beyond <= GRID))
        self.outside_by += np.maximum(beyond, 0.0).sum()


def play(scorer: Any, policy: Any) -> dict[str, np.ndarray]:
    """Growth and length of every part of a path, mean leverage, and how the leverage lies to the oracle's band."""
    watch = _Watch()
    growth, length = scorer.parts(policy, watch)[0]
    count = max(watch.decisions, 1)
    sums = {"leverage": watch.leverage, "inside": watch.inside, "outside_by": watch.outside_by}
    return {"growth": growth, "length": length, **{name: np.array(x / count) for name, x in sums.items()}}


def best_fixed(config: RegretConfig) -> FixedLeverage:
    """The best of the fixed leverages on the validation paths."""
    from gearing.agents.scoring import Scorer

    share = config.simulation().shares(1)[0]
    scorer = Scorer(*config.markets(config.validate_), config.simulation())
    rules: list[Any] = [FixedLeverage(size / share) for size in config.fixed]
    return max(rules, key=scorer)
