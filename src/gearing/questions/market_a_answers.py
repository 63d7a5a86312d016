"""What does the simulator earn on market A, where the growth of a policy is known?

The table of the evaluation protocol, section 8.2. Each policy's growth is computed three ways that share no code but
the market's law: by quadrature over the states (value iteration for the oracle), by the recursion of the protocol along
sampled paths, and by accounts of the Simulator on the same paths.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from gearing.evaluation.playing import play
from gearing.market.data import MarketData
from gearing.market.oracle.best_leverage import path_growth, path_growth_of_targets
from gearing.market.oracle.finite_oracle import COST, MAX_LEVERAGE, Oracle, growth_of_targets, solve
from gearing.market.synthetic.generators import synthetic_market
from gearing.market.synthetic.market_a import STEPS_A_YEAR, VARIANTS, MarketA, market_a
from gearing.market.synthetic.quadrature import jump_nodes
from gearing.policies.oracle import LOWER, UPPER, OraclePolicy, state_table
from gearing.questions.conclusions import of_market_a
from gearing.questions.question import metrics_of
from gearing.simulation.config import IDEAL_VENUE, SimulationConfig, market_a_settings
from gearing.simulation.simulator import Simulator
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.work import Work

SPAN = 20  # years of one account
DECISIONS = SPAN * STEPS_A_YEAR
# At a time, each on a market of its own: over thousands of years a price leaves what floats can hold.
ACCOUNTS = 100
FRICTIONLESS, WITH_COSTS = "frictionless oracle, no cost", "oracle with costs (bands)"


class MarketAAnswers(ExperimentConfig):
    """What does the simulator earn on market A, where the growth of a policy is known?

    Attributes
    ----------
    years : int
        Sampled years of each policy, in accounts of 20 years; all policies see the same paths.
    seed : int
    """

    kind: Literal["market_a_answers"] = "market_a_answers"
    years: int = Field(default=8_000, ge=SPAN)
    seed: int = Field(default=0, ge=0)


@experiment(MarketAAnswers)
def market_a_answers(config: MarketAAnswers, work: Work) -> Findings:
    """Tables: ``full``, the protocol's policies on market A; ``variants``, its two oracles on every other variant."""

    def part(variant: str, rows: Sequence[KnownPolicy]) -> pd.DataFrame:
        return work.part(variant, partial(growth_table, variant, rows, config.years, config.seed))

    full = part("full", protocol_policies())
    variants = variant_table({name: part(name, oracles()) for name in VARIANTS if name != "full"})
    row = full.loc[WITH_COSTS]
    line = (
        f"the oracle with costs earns {row.computed_moved:.3f} log growth a year by value iteration, "
        f"{row.sampled:.3f} along {config.years:,} sampled years and {row.played:.3f} in the simulator on these"
    )
    can, cannot = of_market_a(full, config.years)
    tables = {"full": full, "variants": variants}
    return Findings(line, tables, metrics=metrics_of(full.played), conclusions=can, limits=cannot)


@dataclass(frozen=True)
class KnownPolicy:
    """A policy of market A whose growth is known.

    Parameters
    ----------
    name : str
    targets : callable
        From the oracle to the target leverage of each state (n_states,); None is the oracle with its bands.
    cost : float
        Fraction of traded notional.
    published, error : float
        Growth a year in the protocol and its Monte Carlo error; NaN where it gives none.
    """

    name: str
    targets: Callable[[Oracle], np.ndarray] | None
    cost: float = COST
    published: float = np.nan
    error: float = np.nan

    def growth(self, oracle: Oracle, moved_funding: bool) -> float:
        """Stationary log growth a year, from the law of the states."""
        if self.targets is None:
            return oracle.costed_growth
        return growth_of_targets(oracle.model, self.targets(oracle), self.cost, moved_funding=moved_funding)


def protocol_policies() -> tuple[KnownPolicy, ...]:
    """The rows of the protocol's table."""
    return (
        KnownPolicy(FRICTIONLESS, lambda o: o.frictionless, 0.0, 1.088, 0.017),
        KnownPolicy(WITH_COSTS, None, COST, 0.902, 0.015),
        KnownPolicy("frictionless L, costs charged", lambda o: o.frictionless, COST, 0.771, 0.017),
        KnownPolicy("half of it", lambda o: o.frictionless / 2, COST, 0.661, 0.009),
        KnownPolicy("a quarter of it", lambda o: o.frictionless / 4, COST, 0.398, 0.004),
        KnownPolicy("drift and funding known, mean variance", _mean_variance, COST, 0.468, 0.012),
        KnownPolicy("sign of drift x 1", lambda o: np.sign(_drift(o.model)), COST, 0.319, 0.006),
        KnownPolicy("volatility known, mean drift", _mean_drift, COST, 0.050, 0.005),
        KnownPolicy("fixed 0.6x (best fixed)", _fixed(0.6), COST, 0.040, 0.004),
        KnownPolicy("fixed 1x", _fixed(1.0), COST, 0.016),
        KnownPolicy("fixed 3x", _fixed(3.0), COST, -0.80),
        KnownPolicy("fixed 10x", _fixed(10.0), COST, -13.9),
    )


def oracles() -> tuple[KnownPolicy, ...]:
    """The policies of each variant with a known best growth."""
    return (KnownPolicy(FRICTIONLESS, lambda o: o.frictionless, 0.0), KnownPolicy(WITH_COSTS, None))


def growth_table(
    variant: str, rows: Sequence[KnownPolicy], years: int = 8_000, seed: int = 0
) -> pd.DataFrame:
    """Growth a year of market A's policies: published, computed, sampled, and played in the simulator.

    Parameters
    ----------
    variant : str
        Of market A.
    years : int
        Sampled years of each row, in accounts of 20 years; all rows see the same paths.

    Returns
    -------
    DataFrame
        Indexed by policy: ``published`` and its ``published_error``; ``computed`` (quadrature, funding on the
        notional at the step's begin, as the protocol has it) and ``computed_moved`` (on the notional at its end, as
        the simulator has it); ``sampled`` (the protocol's recursion on the paths) and ``played`` (the Simulator on
        the same paths), each with its standard ``_error``.
    """
    model = market_a(variant)
    plain, moved = (solve(model, moved_funding=flag) for flag in (False, True))
    sampled: dict[str, list[np.ndarray]] = {row.name: [] for row in rows}
    played: dict[str, list[np.ndarray]] = {row.name: [] for row in rows}
    for markets in _markets(variant, years, seed):
        simulators = {cost: _simulator(markets, cost) for cost in {row.cost for row in rows}}
        for row in rows:
            sampled[row.name].append(np.array([_sampled(market, row, plain) for market in markets]))
            played[row.name].append(_play(simulators[row.cost], row, plain))
    table = {
        row.name: {
            "published": row.published, "published_error": row.error, "computed": row.growth(plain, False),
            "computed_moved": row.growth(moved, True), **_mean("sampled", sampled[row.name]),
            **_mean("played", played[row.name]),
        }
        for row in rows
    }  # fmt: skip
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("policy")


def variant_table(parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """`growth_table` of every variant, with the growth that a closed form gives where there is one."""
    table = pd.concat(parts, names=["variant", "policy"]).drop(columns=["published", "published_error"])
    table.insert(0, "closed_form", np.nan)
    for variant in parts:
        table.loc[(variant, FRICTIONLESS), "closed_form"] = closed_form(market_a(variant))
    return table


def closed_form(model: MarketA) -> float:
    """Merton's growth of a market without jumps and with one volatility: mean of (mu - f / D)^2 / (2 sigma^2).

    NaN for other markets, and where the best leverage passes the bound of 10 in a state.
    """
    if len(model.volatility) > 1 or any(model.jumps_a_year):
        return np.nan
    excess = _excess(model)
    variance = model.volatility[0] ** 2
    if (np.abs(excess / variance) > MAX_LEVERAGE).any():
        return np.nan
    return float(model.stationary @ excess**2) / (2.0 * variance)


def _play(simulator: Simulator, row: KnownPolicy, oracle: Oracle) -> np.ndarray:
    """Log growth a year of each account under a policy; account i plays the whole of market i."""
    simulator.begin(np.zeros(simulator.n_accounts, np.int64), DECISIONS, np.arange(simulator.n_accounts))
    # the k-th decision falls at the close of bar k
    state = np.array([_truth(market, "state_at_close")[:DECISIONS] for market in simulator.markets])
    share, bound = simulator.config.shares(1)[0], simulator.config.max_leverage
    if row.targets is None:
        play(simulator, _Bands(OraclePolicy(oracle.lower, oracle.upper, share, bound), state))
    else:
        play(simulator, np.clip(row.targets(oracle)[state] / share, -bound, bound)[..., None])
    return np.log(simulator.accounts.equity / simulator.config.initial_equity) / SPAN


@dataclass(eq=False)
class _Bands:
    """The oracle with bands by state, along the states of each account (n_accounts, n_decisions)."""

    oracle: OraclePolicy
    states: np.ndarray
    required_columns: tuple[str, ...] = ("effective_leverage",)
    action_scheme: str = "target"

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, int]:
        k = state or 0
        now = self.states[:, k, None]
        band = {LOWER: self.oracle.lower[now], UPPER: self.oracle.upper[now]}
        return self.oracle.choose({"effective_leverage": observation["effective_leverage"], **band}), k + 1


def _markets(variant: str, years: int, seed: int) -> Iterator[list[MarketData]]:
    """Markets of an account's span each, and a bar more, at whose close the first decision falls."""
    length, count = SPAN + 1.0 / STEPS_A_YEAR, years // SPAN
    for first in range(0, count, ACCOUNTS):
        numbers = range(first, min(first + ACCOUNTS, count))
        # far apart, so that no two tables share paths by accident
        yield [synthetic_market("market-a", seed * 1_000_000 + k, length, variant=variant) for k in numbers]


def _simulator(markets: list[MarketData], cost: float) -> Simulator:
    venue = replace(IDEAL_VENUE, taker_fee=cost, maker_fee=cost)
    config = SimulationConfig(**(market_a_settings() | {"venue": venue}))
    return Simulator(markets, [state_table(market) for market in markets], config, n_accounts=len(markets))


def _sampled(market: MarketData, row: KnownPolicy, oracle: Oracle) -> float:
    """Log growth a year by the recursion of the protocol."""
    if row.targets is None:
        steps = path_growth(market, oracle)
    else:
        steps = path_growth_of_targets(market, row.targets(oracle)[_truth(market, "state")], row.cost)
    return float(steps[1:].sum()) / SPAN


def _truth(market: MarketData, name: str) -> np.ndarray:
    assert market.truth is not None
    return market.truth[name][:, 0]


def _mean(name: str, parts: Sequence[np.ndarray]) -> dict[str, float]:
    values = np.concatenate(parts)
    error = values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else np.nan
    return {name: float(values.mean()), f"{name}_error": float(error)}


def _drift(model: MarketA) -> np.ndarray:
    return model.of_state(model.drift, 0)


def _excess(model: MarketA) -> np.ndarray:
    """Drift less funding of each state, a year."""
    return _drift(model) - model.of_state(model.funding, 2) * STEPS_A_YEAR


def _fixed(leverage: float) -> Callable[[Oracle], np.ndarray]:
    return lambda oracle: np.full(oracle.model.n_states, leverage)


def _total_variance(model: MarketA) -> np.ndarray:
    """sigma^2 + lam E[J^2] of each state, a year."""
    sizes, weights = jump_nodes(vars(model))
    rate = model.of_state(model.jumps_a_year, 1)
    return model.of_state(model.volatility, 1) ** 2 + rate * float(weights @ sizes**2)


def _mean_variance(oracle: Oracle) -> np.ndarray:
    model = oracle.model
    variance = model.stationary @ _total_variance(model)
    return np.clip(_excess(model) / variance, -MAX_LEVERAGE, MAX_LEVERAGE)


def _mean_drift(oracle: Oracle) -> np.ndarray:
    model = oracle.model
    mean_funding = model.stationary @ model.of_state(model.funding, 2) * STEPS_A_YEAR
    excess = model.stationary @ _drift(model) - mean_funding
    return np.clip(excess / _total_variance(model), -MAX_LEVERAGE, MAX_LEVERAGE)
