"""How near agents come to a known optimum: trained on fresh synthetic markets, compared with the oracle on others.

Every policy plays the same test markets under the same mechanics (common random numbers). Training markets differ by
seed, the validation markets choose the weights, test markets are played once.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gearing.agents.scoring import Scorer
from gearing.evaluation.conformance import PolicyError, check_policy
from gearing.evaluation.playing import Observer
from gearing.features import FeatureTable
from gearing.market import MarketData
from gearing.market.oracle.bayes_filter import bayes_filter
from gearing.market.oracle.best_leverage import oracle_leverage
from gearing.policies.oracle import LOWER, UPPER, OraclePolicy, oracle_path_growth, oracle_policy
from gearing.policies.rules import FixedLeverage
from gearing.storage.atomic import write_arrays
from gearing.studies.experiment import Findings, experiment
from gearing.studies.recording.metrics import numbers_of, of_policies
from gearing.studies.regret.compared import compared
from gearing.studies.regret.config import FORMULA, REFERENCES, RegretConfig
from gearing.studies.regret.headline import headline
from gearing.studies.regret.searching import search_regret
from gearing.studies.regret.tables import (
    GROWTH,
    MEASURED,
    PRINTED,
    agent_table,
    agents_line,
    growth_of,
    reference_table,
    rule_table,
    rules_line,
    scores,
    seed_table,
)
from gearing.studies.regret.training import settings_of, train
from gearing.studies.trials import Place, Trial
from gearing.studies.work import Work

GRID = 0.2  # step of the leverages on which the oracle is solved
# Names in tracked runs of what has another in tables.
_METRICS = {
    "growth": "log_growth", "leverage": "effective_leverage", "best_decisions": "trained_decisions",
    "validation_score": "validation", "error": "log_growth_error",
}  # fmt: skip
_NOT_SHOWN = ("oracle_on_validation",)


@dataclass(frozen=True)
class Player(Trial):
    """A policy on all test paths: a reference, a rule, or, with a seed, an agent that is trained first."""

    policy: str
    seed: int | None = None

    @property
    def run_name(self) -> str:
        """Name of its tracked run."""
        return self.policy.replace("_", " ") if self.seed is None else f"{self.policy}, seed {self.seed}"

    @property
    def about(self) -> str:
        """What it is, as the begin of a sentence."""
        kind = "Policy" if self.seed is None else "Agent"
        return f"{kind} `{self.policy}` on test paths whose best leverage is known"

    def tags(self, config: Any) -> dict[str, Any]:
        """What tells it apart, and the market."""
        known = (*REFERENCES, FORMULA)
        kind = "agent" if self.seed is not None else "reference" if self.policy in known else "rule"
        return {
            "policy": self.policy,
            "policy_kind": kind,
            "seed": self.seed,
            "contract": config.market.generator,
        }

    def parameters(self, config: Any) -> dict[str, Any]:
        """Every setting of the agent, defaults and those that ship included, and those of market and account."""
        shared = config.model_dump(mode="json", include={"market", "shown", "account"})
        if self.seed is None:
            rule = config.rules.get(self.policy)
            return {**shared, **({} if rule is None else rule.parameters)}
        columns = {"columns": ", ".join(config.columns)} if config.shown == "prices" else {}
        return {**shared, **settings_of(config, self.policy).as_dict(), **columns}

    def metrics(self, summary: Any) -> dict[str, float]:
        """Score and regret, and what training took, under the names that all studies have."""
        numbers = numbers_of(summary) | {
            name: float(np.mean(summary[name])) for name in MEASURED if name in summary
        }
        if "history" in summary:  # as in the table: processor time of learning alone
            numbers["seconds"] = float(summary["history"][-1]["seconds"])
        return {_METRICS.get(name, name): value for name, value in numbers.items() if name not in _NOT_SHOWN}

    def settings(self, config: Any) -> dict[str, Any]:
        """All but the other agents and rules; the agent's with those that ship for its task."""
        settings = {k: value for k, value in config.settings.items() if k not in ("agents", "rules", "seeds")}
        if self.seed is not None:
            return {**settings, "agent": settings_of(config, self.policy).as_dict()}
        rule = config.rules.get(self.policy)
        return settings if rule is None else {**settings, "rule": rule.identity}


@experiment(RegretConfig)
def run_regret(config: RegretConfig, work: Work) -> Findings:
    """Tables: ``agents``, one row per agent with its score (growth over the oracle's), the interval over seeds, the
    share of decisions inside the oracle's band, and what it took to 0.9 of the oracle on validation and to the chosen
    weights; ``rules``, of policies without training; ``references``; ``seeds``. With the section ``search`` it searches
    over an agent's settings instead.
    """
    if config.search is not None:
        return search_regret(config, work)
    _check_begin(config)  # before the oracle is solved, which takes longer
    oracle, *others = [Player(name) for name in (*REFERENCES, FORMULA)]
    (first,) = work.run([oracle], partial(_play, config, None))
    best = growth_of(first)
    known = [first, *work.run(others, partial(_play, config, best))]
    played = work.run([Player(name) for name in config.rules], partial(_play, config, best), needed=False)
    trials = [Player(name, seed) for name, seed in _seeds(config)]
    results = work.run(trials, partial(_play, config, best), needed=False)
    if not results and not played:
        work.raise_failure()
    tables, printed, lines = {}, {}, []
    if results:
        seeds = seed_table(config, results, known[0])
        tables["agents"] = agent_table(seeds)
        printed["agents"] = tables["agents"][PRINTED]
        lines.append(agents_line(config, tables["agents"]))
    if played:
        tables["rules"] = rule_table(config, played, known[0])
        lines.append(rules_line(config, tables["rules"]))
    rows = {
        str(name): row.rename(_METRICS).to_dict()
        for table in tables.values()
        for name, row in table.iterrows()
    }
    main = next(iter(rows))
    tables |= {"references": reference_table(config, known)} | ({"seeds": seeds} if results else {})
    comparison = compared(config, results, [*known[:-1], *played, known[-1]])
    return Findings(
        "; ".join(lines), tables, metrics=of_policies(rows, main), printed=printed, main=main, comparison=comparison,
        headline=headline(config, tables.get("agents"), played, known, comparison.curves),
    )  # fmt: skip


def _seeds(config: RegretConfig) -> list[tuple[str, int]]:
    """Agent and seed of everything that is trained, seed by seed."""
    most = {name: agent.seeds or config.seeds for name, agent in config.agents.items()}
    return [
        (name, k) for k in range(max(most.values(), default=0)) for name in config.agents if k < most[name]
    ]


def _play(config: RegretConfig, best: np.ndarray | None, trial: Player, place: Place) -> dict[str, Any]:
    """Train what is trained, and play every test path: growth of its parts as a file, the rest as summary.

    ``best`` is the growth of the oracle's parts; the oracle itself has none yet.
    """
    policy: Any = None
    learned: dict[str, Any] = {}
    rule = config.rules.get(trial.policy) if trial.seed is None else None
    if trial.seed is not None:
        policy, learned = _trained(config, trial, place)
    elif rule is not None:
        policy = rule.make()
    elif trial.policy == "best_fixed":
        policy = best_fixed(config)
    is_formula = trial == Player(FORMULA)
    played = []
    for number in range(config.test.count):
        market, table = config.open(config.test.seed + number, config.test.years)
        if rule is not None:
            table = config.shown_to(policy, market, table)
        if is_formula:
            played.append(_formulas(config, market))
        else:
            played.append(_on_path(config, market, table, policy or references(config, market)[trial.policy]))
    growth = np.concatenate([np.atleast_1d(one.pop("growth")) for one in played])
    write_arrays(place.folder / GROWTH, {"growth": growth})
    scored = {} if is_formula else scores(config, growth, growth if best is None else best)
    return {**learned, **scored, **{name: [one[name] for one in played] for name in played[0]}}


def _check_begin(config: RegretConfig) -> None:
    """Compute the columns of a short path of the validation, and run the conformance suite of a user's own policies."""
    market, table = config.open_briefly()
    for name, rule in config.rules.items():
        if not rule.is_own:
            continue
        policy = rule.make()
        seen = config.shown_to(policy, market, table)
        try:
            check_policy(policy, market, seen, **config.simulation_settings())
        except PolicyError as error:
            raise PolicyError(f"rules.{name}: {error}") from None


def _on_path(config: RegretConfig, market: MarketData, table: FeatureTable, policy: Any) -> dict[str, Any]:
    bands = policy if isinstance(policy, OraclePolicy) else references(config, market)["oracle"]
    return play(Scorer([market], [bands.join(table)], config.simulation()), policy)


def _trained(config: RegretConfig, trial: Player, place: Place) -> tuple[Any, dict[str, Any]]:
    """The trained policy, and what training took."""
    from gearing.agents import load_policy

    trained = train(config, trial.policy, int(trial.seed or 0), place)
    trained.policy.save(place.folder / "policy")
    measured = ("history", "decisions", "best_decisions", "validation_score", "seconds")
    learned = {name: getattr(trained, name) for name in measured}
    learned["untrained"] = float(trained.best_decisions == 0)
    learned["oracle_on_validation"] = _oracle_growth(config, *config.markets(config.validate_))
    return load_policy(place.folder / "policy"), learned


def _oracle_growth(config: RegretConfig, markets: list[MarketData], tables: list[FeatureTable]) -> float:
    """Growth a year of the oracle under the same mechanics."""
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


def _formulas(config: RegretConfig, market: MarketData) -> dict[str, Any]:
    """Growth a year of what is computed along the path itself, outside the simulator."""
    growth = {"growth": float(oracle_path_growth(market).sum() / config.test.years)}
    if config.filtered:
        growth["filtered"] = float(bayes_filter(market).growth.sum() / config.test.years)
    return growth


class _Watch(Observer):
    """Adds up leverage, and how it lies to the oracle's band."""

    def begin(self, simulator: Any, count: int) -> None:
        self.decisions, self.leverage, self.inside, self.outside_by = 0, 0.0, 0, 0.0

    def decided(self, k: int, simulator: Any, targets: np.ndarray, active: np.ndarray) -> None:
        view = simulator.view
        share = simulator.config.shares(1)[0]
        chosen = np.where(np.isnan(targets), view["effective_leverage"], share * targets)[active, 0]
        beyond = np.maximum(view[LOWER][active, 0] - chosen, chosen - view[UPPER][active, 0])
        self.decisions += chosen.size
        self.leverage += np.abs(chosen).sum()
        self.inside += int(np.count_nonzero(beyond <= GRID))
        self.outside_by += np.maximum(beyond, 0.0).sum()


def play(scorer: Any, policy: Any) -> dict[str, Any]:
    """Growth of every part of a path (n_parts,), mean leverage, and how the leverage lies to the oracle's band."""
    watch = _Watch()
    growth, _ = scorer.parts(policy, watch)[0]
    sums = {"leverage": watch.leverage, "inside": watch.inside, "outside_by": watch.outside_by}
    return {"growth": growth, **{name: float(x / max(watch.decisions, 1)) for name, x in sums.items()}}


def best_fixed(config: RegretConfig) -> FixedLeverage:
    """The best of the fixed leverages on the validation paths."""
    share = config.simulation().shares(1)[0]
    scorer = Scorer(*config.markets(config.validate_), config.simulation())
    rules: list[Any] = [FixedLeverage(size / share) for size in config.fixed]
    return max(rules, key=scorer)
