"""Settings of a study of books on a drawdown budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gearing.market import MarketData
from gearing.market.timing import parse_duration
from gearing.names import check_names
from gearing.policies.controls import DrawdownFloor, ExposureScale
from gearing.simulation.config import SimulationConfig
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.fields import Direction, Duration, EachOnce, Moment, Section, by_name
from gearing.studies.portfolio.agents import BookAgent
from gearing.studies.portfolio.variants import ALL, Variant
from gearing.studies.rules_and_agents import Rule
from gearing.studies.sections import Decision, Exchange, Market, Statistics, account_settings

FLOOR_WINDOW = "365d"  # of the peak, as scales are fitted for
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


class BookDecision(Decision):
    """As `Decision`, with cross margin and a side that the policy chooses."""

    direction: Direction = "free"
    margin_mode: Literal["isolated", "cross"] = "cross"


class BookStatistics(Statistics):
    """As `Statistics`, with 90 % intervals."""

    level: float = Field(default=0.90, gt=0.5, lt=1.0)


class Refits(Section):
    """When scales are fitted: at ``from``, the first day of the test, and every so often after it.

    Attributes
    ----------
    from : moment
    every : duration
    """

    from_: Moment = Field(alias="from")
    every: Duration = "365d"


class BookRule(Rule):
    """A rule, and the contracts that it trades.

    Attributes
    ----------
    contracts : list of str, optional
        Only these of the market.
    """

    contracts: list[str] | None = Field(default=None, min_length=1)

    def market(self, whole: MarketData) -> MarketData:
        """The market that the rule trades."""
        return whole if self.contracts is None else whole.select(self.contracts)


BookAgents = Annotated[dict[str, BookAgent], BeforeValidator(by_name)]
BookRules = Annotated[dict[str, BookRule], BeforeValidator(by_name), Field(min_length=1)]


class PortfolioConfig(ExperimentConfig):
    """Books, scaled on their past to a drawdown budget, over a test that they have not seen.

    Attributes
    ----------
    rules : mapping of name to rule
        ``contracts`` of a rule restricts it to some of the market's.
    agents : mapping of name to agent
        Trained anew at every refit on the days before it, each around a rule of the study.
    base : str, optional
        What others are compared with; the first rule unless named.
    main : str, optional
        The policy that the study is about; the base unless named.
    average : str, optional
        A second policy that others are compared with, such as an average of rules.
    budget : list of float
        Mean largest drawdowns of 365 days, each a budget of its own.
    floor : float, optional
        Limit of the drawdown floor in budgets: 2 lets exposure fall to zero at twice the budget, from the peak of the
        last 365 days. null is no floor.
    test : Refits
    resamples : int
        Years that a scale is fitted on.
    margin : float
        Largest growth a year below the base, at equal realised risk, that still counts as not inferior.
    variants : mapping of name to Variant
        The study again with one change each; rules with ``contracts`` of their own take part only in those that
        change no contracts.
    statistics : BookStatistics
        Of the paired differences.
    seed : int
        Of the bootstraps.
    """

    kind: Literal["portfolio"] = "portfolio"
    market: Market = Market()
    decision: BookDecision = BookDecision()
    exchange: Exchange = Exchange()
    rules: BookRules
    agents: BookAgents = Field(default_factory=dict)
    base: str | None = None
    main: str | None = None
    average: str | None = None
    budget: Annotated[list[Fraction], EachOnce] = Field(default=[0.25], min_length=1)
    floor: float | None = Field(default=2.0, gt=0.0)
    test: Refits
    resamples: int = Field(default=500, ge=50)
    margin: float = Field(default=0.05, ge=0.0)
    variants: dict[str, Variant] = Field(default_factory=dict)
    statistics: BookStatistics = BookStatistics()
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _parts_agree(self) -> PortfolioConfig:
        if both := sorted(self.rules.keys() & self.agents.keys()):
            raise ValueError(f"{both[0]}: a rule and an agent share a name. Rename one.")
        for name, agent in self.agents.items():
            check_names(f"agents.{name}.base: no rule", [agent.base], self.rules)
            if self.rules[agent.base].contracts is not None:
                raise ValueError(
                    f"agents.{name}.base: {agent.base} trades contracts of its own; name another rule."
                )
        for place in ("base", "main", "average"):
            if (name := getattr(self, place)) is not None:
                check_names(f"{place}: no policy", [name], self.played)
        if self.statistics.baseline is not None:
            raise ValueError("statistics.baseline: name the policy that others are compared with as base.")
        for budget in self.budget:
            if self.floor is not None and not self.floor * budget < 1.0:
                raise ValueError(
                    f"floor {self.floor:g} times the budget {budget:g} is a drawdown of {self.floor * budget:g}; it "
                    "must be below 1. Lower the floor, or write floor: null."
                )
        parse_duration(self.test.every, None)
        self.simulation()
        self._check_variants()
        return self

    def _check_variants(self) -> None:
        if ALL in self.variants:
            raise ValueError(f"variants.{ALL}: the study itself is called {ALL}; choose another name.")
        for name, variant in self.variants.items():
            check_names(f"variants.{name}.policies: no policy", variant.policies or (), self.played)
            if variant.missing_funding is not None and not self.market.is_history:
                raise ValueError(f"variants.{name}: a generated market lacks no funding; leave it out.")
            for policy in (self.base_name, *([self.average] if self.average else ())):
                if policy not in self.policies(name):
                    raise ValueError(
                        f"variants.{name}: {policy}, which others are compared with, takes no part: it is not among "
                        "its policies, or trades contracts of its own. Add it, or compare with another."
                    )

    def policies(self, variant: str) -> list[str]:
        """Policies that take part in a variant."""
        one = self.variants[variant]
        names = one.policies or list(self.played)
        return [name for name in names if not one.takes_contracts or self.played[name].contracts is None]

    @property
    def played(self) -> dict[str, BookRule | BookAgent]:
        """Rules and agents by name."""
        return {**self.rules, **self.agents}

    @property
    def base_name(self) -> str:
        """The policy that others are compared with."""
        return self.base or next(iter(self.rules))

    @property
    def main_name(self) -> str:
        """The policy that the study is about."""
        return self.main or self.base_name

    def check_contracts(self, whole: MarketData) -> None:
        """Refuse rules that trade contracts which the market does not have, before anything is played."""
        for name, rule in self.rules.items():
            try:
                rule.market(whole)
            except ValueError as error:
                raise ValueError(f"rules.{name}.contracts: {error}") from None

    def limit(self, budget: float) -> float | None:
        """Limit of the floor at a budget."""
        return None if self.floor is None else self.floor * budget

    def simulation(self, **changes: Any) -> SimulationConfig:
        """Settings of the account."""
        return SimulationConfig(**(account_settings(self.decision, self.exchange) | changes))

    def controls(self, scales: tuple[float, ...], since: tuple[str, ...], budget: float) -> tuple[Any, ...]:
        """Scale and floor of an account with a budget."""
        most = self.decision.max_leverage
        scale = ExposureScale(factor=scales, since=since, max_leverage=most)
        limit = self.limit(budget)
        return (scale,) if limit is None else (scale, DrawdownFloor(limit, FLOOR_WINDOW))
