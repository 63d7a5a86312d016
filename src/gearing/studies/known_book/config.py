"""Settings of a study of learned books on synthetic books with a known optimum."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gearing.agents.settings import agent_settings
from gearing.features.table import AVAILABLE
from gearing.market.synthetic.books import FAMILIES
from gearing.names import check_names
from gearing.simulation.config import SimulationConfig
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import EachOnce, by_name
from gearing.studies.rules_and_agents import Learner, Rules
from gearing.studies.sections import MOST_YEARS

ORACLE = "oracle"
MOST_LEVERAGE = 100.0  # of the contracts of synthetic books
Years = Annotated[float, Field(gt=0.0, le=MOST_YEARS)]


class BookLearnerOf(Learner):
    """An agent that chooses exposures: a ``differentiable_book`` with ``network.volatility`` and ``columns``."""

    algorithm: str = "differentiable_book"

    def check(self) -> None:
        """Refuse other algorithms, and an agent that names no volatility or no columns."""
        super().check()
        made = agent_settings(self.hyper_parameters)
        if self.algorithm != "differentiable_book":
            raise ValueError(f"{self.algorithm}: this study trains differentiable_book alone.")
        if not isinstance(made.network.get("volatility"), str) or made.columns is None:
            raise ValueError(
                "name the columns that the agent reads, and network.volatility, as in docs/portfolio.md."
            )

    @property
    def features(self) -> list[str]:
        """Columns of its observation."""
        made = agent_settings(self.hyper_parameters)
        return list(dict.fromkeys([AVAILABLE, *(made.columns or ()), str(made.network["volatility"])]))


class KnownBookConfig(ExperimentConfig):
    """Agents trained on some years of a synthetic book and played on later years of it and of other books.

    Attributes
    ----------
    train : str
        The synthetic book whose history agents learn from.
    tests : list of str
        The books that all are played on; of ``train`` the years after the history, of others a path of its own.
    history : list of float
        Years of history.
    years : float
        Of every test, after a first year that the oracle's filter begins with.
    markets : int
        Paths; their seeds count up from ``seed``.
    seeds : int
        Of the agents: members of the ensemble that is played.
    budget : float
        Mean largest drawdown of 365 days at which growth is compared.
    rules : mapping of name to rule
    agents : mapping of name to agent
    base : str, optional
        The rule that the agents are compared with; the first unless named.
    main : str, optional
        The agent that the study is about; the first unless named.
    """

    kind: Literal["known_book"] = "known_book"
    train: str = "book-drift"
    tests: Annotated[list[str], EachOnce] = Field(default=["book-drift", "book-wrong"], min_length=1)
    history: Annotated[list[Years], EachOnce] = Field(default=[7.0, 20.0, 40.0], min_length=1)
    years: Years = 20.0
    markets: int = Field(default=3, ge=1, le=100)
    seed: int = Field(default=0, ge=0)
    seeds: int = Field(default=10, ge=1, le=100)
    budget: float = Field(default=0.25, gt=0.0, lt=1.0)
    level: float = Field(default=0.90, gt=0.5, lt=1.0)
    rules: Rules = Field(min_length=1)
    agents: Annotated[dict[str, BookLearnerOf], BeforeValidator(by_name)] = Field(min_length=1)
    base: str | None = None
    main: str | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> KnownBookConfig:
        check_names("no synthetic book", [self.train, *self.tests], FAMILIES)
        if both := sorted({*self.rules, ORACLE} & self.agents.keys()):
            raise ValueError(f"{both[0]} is the name of an agent and of another policy; rename one.")
        for place, known in (("base", self.rules), ("main", self.agents)):
            if (name := getattr(self, place)) is not None:
                check_names(f"{place}: no policy", [name], known)
        return self

    @property
    def base_name(self) -> str:
        """The rule that agents are compared with."""
        return self.base or next(iter(self.rules))

    @property
    def main_name(self) -> str:
        """The agent that the study is about."""
        return self.main or next(iter(self.agents))

    def simulation(self, **changes: Any) -> SimulationConfig:
        """The account: cross margin, the side is the policy's, every decision trades."""
        settings: dict[str, Any] = {
            "direction": "free", "margin_mode": "cross", "max_leverage": MOST_LEVERAGE, "start": "first",
        }  # fmt: skip
        return SimulationConfig(**settings | changes)
