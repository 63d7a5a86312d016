"""Settings of a comparison with a known optimum, and the markets that they describe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureSet, FeatureTable, is_feature
from gearing.features.feature_set import GROUPS
from gearing.market import MarketData
from gearing.market.synthetic.generators import synthetic_market
from gearing.names import check_names
from gearing.policies.oracle import state_table
from gearing.simulation.config import SimulationConfig, market_a_settings, market_b_settings
from gearing.storage.digest import digest
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Column, Section, by_name, check_column
from gearing.studies.rules_and_agents import Learner, Rule
from gearing.studies.search.config import Search, Searched
from gearing.studies.sections import MOST_SEEDS, MOST_YEARS, Generator

REFERENCES = ("oracle", "half_of_the_oracle", "best_fixed")  # policies that every experiment plays
FORMULA = "formula"  # what is computed of a path outside the simulator
OWN_COLUMNS = (*POSITION_COLUMNS, *ACCOUNT_COLUMNS)  # what an account shows of itself
_STATE = ("drift", "volatility", "jumps", "funding")  # columns of the state of the two markets
_BRIEF_YEARS = 1.0
_PRESETS = {"market-a": market_a_settings, "market-b": market_b_settings}


class Paths(Section):
    """Synthetic paths: their seeds count up from ``seed``."""

    seed: int = Field(ge=0)
    years: float = Field(gt=0.0, le=MOST_YEARS)
    count: int = Field(default=1, ge=1, le=MOST_SEEDS)


class Agent(Learner):
    """A learning algorithm; ``seeds`` instead of the experiment's number."""

    seeds: int | None = Field(default=None, ge=1, le=MOST_SEEDS)


class StateRule(Rule):
    """A policy without training that may read the market's state, too, where it is shown."""

    def check(self) -> None:
        """Refuse an unknown name, parameter or column."""
        for column in self.make().required_columns:
            check_column(column, _STATE)


class RegretConfig(ExperimentConfig):
    """Agents on markets whose best leverage is known.

    Attributes
    ----------
    market : Generator
        "market-a" or "market-b". The oracle of market B ignores costs, so there are none: no fees,
        slippage, ticks or lots.
    shown : {"state", "prices"}
        What policies see: the market's true state, or features of prices and funding.
    columns : list of str
        Features where prices are shown.
    account : mapping
        Settings of `SimulationConfig` that differ from the task's own.
    train : Paths
        Seed k trains on the paths k x count, ... of them.
    validate : Paths
        These choose the weights.
    test : Paths
        Every policy plays them once.
    agents : mapping of name to Agent
    agents : mapping of name to Agent
    rules : mapping of name to StateRule
        Rules, and policies of a user's own; they see the columns that they declare.
    fixed : list of float
        Leverages of equity among which the best fixed one is found, on the validation paths.
    seeds : int
    search : Search, optional
        Search over the settings of an agent instead of testing it.
    searched : Searched, optional
        The search that chose an agent's settings.
    """

    kind: Literal["regret"] = "regret"
    market: Generator = Generator(generator="market-a")
    shown: Literal["state", "prices"] = "state"
    columns: list[Column] = Field(default=["default"], min_length=1)
    account: dict[str, Any] = Field(default_factory=dict)
    train: Paths = Paths(seed=1_000, years=1_000.0)
    validate_: Paths = Field(default=Paths(seed=500, years=400.0), alias="validate")
    test: Paths = Paths(seed=100_000, years=1_000.0, count=8)
    agents: Annotated[dict[str, Agent], BeforeValidator(by_name)] = Field(default_factory=dict)
    rules: Annotated[dict[str, StateRule], BeforeValidator(by_name)] = Field(default_factory=dict)
    fixed: list[float] = Field(default=[0.25, 0.5, 0.75, 1.0, 1.5], min_length=1)
    seeds: int = Field(default=10, ge=1, le=MOST_SEEDS)
    search: Search | None = None
    searched: Searched | None = None

    @model_validator(mode="after")
    def _search_fits(self) -> RegretConfig:
        if self.search is not None:
            self.search.check(self.agents)
            if self.search.seeds > self.seeds:
                raise ValueError(
                    f"search.seeds {self.search.seeds} exceeds seeds {self.seeds}, the number of training markets. "
                    "Raise seeds."
                )
        return self

    @field_validator("market")
    @classmethod
    def _has_an_oracle(cls, market: Generator) -> Generator:
        check_names("no market with an oracle", [market.generator], _PRESETS)
        return market

    @model_validator(mode="after")
    def _columns_exist(self) -> RegretConfig:
        """Those that are shown, and those of agents among them: a training that fails for one begins much later."""
        others = [name for name in self.columns if name not in GROUPS and not is_feature(name)]
        if self.shown == "prices" and others:
            raise ValueError(
                f"columns: {', '.join(others)} cannot be computed from prices and funding of "
                f"{self.market.generator}; give features: gearing.features.registered_features() lists all."
            )
        for place, names in self._agent_columns():
            check_names(f"{place}: no column", names, [*self.shown_columns, "market", *OWN_COLUMNS])
        return self

    def _agent_columns(self) -> Iterator[tuple[str, list[str]]]:
        """Where an agent or the search names columns, and which."""
        given = {f"agents.{name}": agent.settings.get("columns") for name, agent in self.agents.items()}
        if self.search is not None:
            given["search.settings"] = self.search.settings.get("columns")
            for k, choice in enumerate(self.search.choices("columns")):
                given[f"search.space.columns.{k}"] = choice
        for place, names in given.items():
            if isinstance(names, list | tuple):  # None is all; what is no list is refused with the agent
                yield place if place[-1].isdigit() else f"{place}.columns", list(names)

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Columns of the market that policies may see."""
        return _STATE if self.shown == "state" else FeatureSet(list(self.columns)).columns

    @field_validator("account")
    @classmethod
    def _settings_exist(cls, account: dict[str, Any]) -> dict[str, Any]:
        check_names("no field", account, SimulationConfig.__dataclass_fields__)
        return account

    @model_validator(mode="after")
    def _names_are_different(self) -> RegretConfig:
        if not self.agents and not self.rules:
            raise ValueError("nothing to compare: name agents, rules or both.")
        taken = sorted(self.rules.keys() & {*self.agents, *REFERENCES, FORMULA})
        if taken:
            raise ValueError(f"rules: {', '.join(taken)} is the name of an agent or a reference. Rename it.")
        return self

    @model_validator(mode="after")
    def _rules_can_see(self) -> RegretConfig:
        state = _STATE if self.shown == "state" else ()
        for name, rule in self.rules.items():
            known = (*state, *POSITION_COLUMNS, *ACCOUNT_COLUMNS)
            missing = [c for c in rule.make().required_columns if not is_feature(c) and c not in known]
            if missing:
                raise ValueError(
                    f"rules.{name} reads {', '.join(missing)}, which is not shown here. Name another column, as in "
                    f"{name}: {{rule: {rule.rule}, column: realized_volatility_30d}}."
                )
        return self

    @model_validator(mode="after")
    def _paths_are_different(self) -> RegretConfig:
        spans = {
            "train": (self.train.seed, self.train.seed + self.seeds * self.train.count),
            "validate": (self.validate_.seed, self.validate_.seed + self.validate_.count),
            "test": (self.test.seed, self.test.seed + self.test.count),
        }
        for (one, (first, end)), (other, (start, last)) in combinations(spans.items(), 2):
            if first < last and start < end:
                raise ValueError(
                    f"{one} has the market seeds {first} to {end - 1}, {other} {start} to {last - 1}: they share "
                    "paths. Move one of them."
                )
        try:
            self.simulation().profile(MarketData.venue)
        except TypeError as error:
            raise ValueError(f"account: {error}") from None
        return self

    @property
    def generated(self) -> dict[str, tuple[str, str]]:
        """Fingerprints of the markets: of what generates them, since they are made of it alone."""
        paths = {"training": self.train, "validation": self.validate_, "test": self.test}
        made = self.model_dump(mode="json", include={"market", "shown", "columns"})
        return {
            f"{self.market.generator} {use}": (digest(made, self.code, one.model_dump(), length=64), use)
            for use, one in paths.items()
        }

    @property
    def test_years(self) -> float:
        """Length of all test paths."""
        return self.test.years * self.test.count

    @property
    def filtered(self) -> bool:
        """Whether the Bayes filter is the reference: the state of market A is hidden."""
        return self.market.generator == "market-a" and self.shown == "prices"

    def simulation_settings(self) -> dict[str, Any]:
        """Settings of all accounts by name, as `gearing.backtest` takes them."""
        settings = _PRESETS[self.market.generator]() | self.account
        if self.market.generator == "market-a":
            return settings
        free = replace(SimulationConfig(**settings).profile(MarketData.venue), taker_fee=0.0, maker_fee=0.0)
        return {**settings, "venue": free, "fee_level": None, "slippage": 0.0}

    def simulation(self) -> SimulationConfig:
        """Settings of all accounts."""
        return SimulationConfig(**self.simulation_settings())

    def open(self, seed: int, years: float) -> tuple[MarketData, FeatureTable]:
        """A path and what is shown of it."""
        market = synthetic_market(self.market.generator, seed=seed, years=years, **self.market.settings)
        if self.market.generator == "market-b":
            free: dict[str, Any] = {"tick_size": 0.0, "lot_size": 0.0, "min_notional": 0.0}
            market = market.replace(contracts=tuple(replace(one, **free) for one in market.contracts))
        if self.shown == "state":
            return market, state_table(market)
        return market, FeatureSet(list(self.columns)).compute(market)

    def open_briefly(self) -> tuple[MarketData, FeatureTable]:
        """A short path of the validation: what no path of this market has is refused before anything is trained.

        Raises
        ------
        ValueError
            If a column cannot be computed.
        """
        try:
            return self.open(self.validate_.seed, min(_BRIEF_YEARS, self.validate_.years))
        except ValueError as error:
            raise ValueError(f"{self.name}, columns: {error}") from None

    def shown_to(self, policy: Any, market: MarketData, table: FeatureTable) -> FeatureTable:
        """What a rule sees of a path: the columns that it declares, of the market's state and of its features."""
        state = [name for name in policy.required_columns if self.shown == "state" and name in _STATE]
        names = [name for name in policy.required_columns if is_feature(name) and name not in state]
        if not names:
            return table.select(state or [table.columns[0]])
        seen = FeatureSet(names).compute(market)
        for name in state:
            k = table.index(name)
            seen = seen.join(
                name,
                table.column(name),
                unit=table.units[k],
                lower=float(table.lower[k]),
                upper=float(table.upper[k]),
            )
        return seen

    def markets(self, paths: Paths, first: int = 0) -> tuple[list[MarketData], list[FeatureTable]]:
        """Some paths, from the one numbered ``first``."""
        pairs = [self.open(paths.seed + first + k, paths.years) for k in range(paths.count)]
        return [market for market, _ in pairs], [table for _, table in pairs]
